"""Where runs are made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch

from autodistill.history.store import Store
from autodistill.study import executors
from autodistill.study.executors import local, on_ray
from autodistill.study.planning import plan_study
from autodistill.study.spec import Study
from engine.base.errors import InputError
from tests.autodistill.study.conftest import collected, table
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("cores", "asked", "found"),
    [
        (8, (None, None), (8, 1)),
        (8, (2, None), (2, 4)),
        (8, (None, 3), (2, 3)),
        (8, (3, 2), (3, 2)),
        (1, (None, None), (1, 1)),
    ],
)
def test_workers_share_the_cores(
    cores: int, asked: tuple[int | None, int | None], found: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "cores", lambda: cores)
    place = local(*asked)
    assert place.slots == found[0]
    assert place.make.args == found  # type: ignore[attr-defined]


def test_more_threads_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "cores", lambda: 2)
    with pytest.raises(InputError, match=r"2 × 2; allowed: at most 2 together"):
        local(2, 2)


def test_a_worker_has_its_threads() -> None:
    with local(1, 1).make() as executor:
        assert executor.submit(torch.get_num_threads).result() == 1
        assert executor.submit(os.getpid).result() != os.getpid()


def test_a_dead_worker_is_known() -> None:
    with local(1, 1).make() as executor, pytest.raises(BrokenExecutor):
        executor.submit(os._exit, 9).result()


DRIVER = """
import signal, sys, time
from autodistill.study.executors import local
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell begins in the background ignores it
    executor = local(1, 1).make()
    executor.submit(time.sleep, 600)
    executor.submit(print)
    while not executor._processes:
        time.sleep(0.1)
    print(*executor._processes, flush=True)
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        executor.shutdown(wait=False, cancel_futures=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_with_its_driver(sent: signal.Signals, tmp_path: Path) -> None:
    """Also where the driver alone hears of the end, as in a notebook or under a supervisor."""
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "driver.py")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        worker = psutil.Process(int(driver.stdout.readline()))
        while len(worker.threads()) < 2:  # it loads torch first, and watches its driver then
            time.sleep(0.1)
        time.sleep(1)
        driver.send_signal(sent)
        try:
            driver.wait(timeout=60)
        finally:
            driver.kill()
    worker.wait(timeout=60)


@pytest.fixture(name="cluster")
def _cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Of three nodes, the first of which has nothing to work with."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_ends_with_the_same_table(
    cluster: Any, study: Study, done: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store.db"))

    def lose_one() -> int:
        while not store.runs():
            time.sleep(0.2)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        return len(store.runs())

    with ThreadPoolExecutor(1) as thread:
        lost = thread.submit(lose_one)
        assert collected(study, tmp_path, place=on_ray(cluster.address, slots=2)) == {}
    jobs = plan_study(study, "float32").jobs
    assert lost.result() < len(jobs)
    assert sorted(result.identity for result in store.runs()) == sorted(job.identity for job in jobs)
    pd.testing.assert_frame_equal(table(study, tmp_path), table(study, done))


def test_ray_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--ray: ray is not installed; pip install 'autodistiller-nlp\[ray\]'"):
        on_ray("local", 1).make()
