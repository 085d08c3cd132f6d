"""A study is collected: every run once, whatever is killed on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from autodistill.history.store import Store
from autodistill.study.collect import KILLED, Queue, _again, collect
from autodistill.study.executors import Place, local
from autodistill.study.ledger import Ledger
from autodistill.study.planning import plan_study
from autodistill.study.spec import Study
from tests.autodistill.study.conftest import a_study, collected, options, table
from tests.conftest import ROOT
from tests.ear import Ear


def test_every_run_is_there_once_and_nothing_else_is_left(study: Study, done: Path) -> None:
    jobs = plan_study(study, "float32").jobs
    results = Store(str(done / "store.db")).runs()
    assert sorted(result.identity for result in results) == sorted(job.identity for job in jobs)
    assert {result.status for result in results} == {"ok"}
    assert all(result.split == "test" and result.selected_on == "validation" for result in results)
    assert all({"bilstm", "teacher", "student"} <= result.scores.keys() for result in results)
    assert not any((done / "runs").iterdir())
    assert Ledger(Store(str(done / "store.db")), study.name).claims() == []


def test_the_teacher_answers_each_example_once(study: Study, done: Path) -> None:
    results = Store(str(done / "store.db")).runs()
    by_task: dict[str, list[int]] = {}
    for result in results:
        by_task.setdefault(result.dataset_fingerprint, []).append(result.teacher_examples)
    assert [sum(count > 0 for count in counts) for counts in by_task.values()] <= [2, 2]  # logits, and hidden states


def test_a_finished_study_makes_nothing(study: Study, done: Path) -> None:
    before = (done / "store.db").read_bytes()
    assert collected(study, done, place=Place(lambda: pytest.fail("an executor was made"), 1)) == {}
    assert (done / "store.db").read_bytes() == before


def test_a_larger_study_adds_only_what_is_new(study: Study) -> None:
    larger = study.model_copy(update={"design": study.design.model_copy(update={"core": 4, "repeated": 0.0})})
    known = {job.identity for job in plan_study(study, "float32").jobs}
    new = {job.identity for job in plan_study(larger, "float32").jobs} - known
    assert len(new) == 2


def test_what_cannot_be_made_is_said_and_the_others_go_on(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, "single", design={"core": 2, "repeated": 0.0})
    jobs = plan_study(study, "float32").jobs
    broken = jobs[0].__class__(**{**vars(jobs[0]), "source": jobs[0].source.model_copy(update={"data": "gone"})})
    ear, store = Ear(), Store(str(tmp_path / "store.db"))
    unmade = collect(study, [broken, *jobs[1:]], store, options(tmp_path), local(1, 1), tmp_path / "runs", ear)
    assert list(unmade) == [broken.identity]
    assert "gone" in unmade[broken.identity]
    assert [row.reason for row in Ledger(store, study.name).claims()] == [unmade[broken.identity]]
    assert [result.identity for result in store.runs()] == [job.identity for job in jobs[1:]]


class Everything:
    """A ledger in which every run is free."""

    def claim(self, identity: str) -> bool:
        return identity != "another driver's"


def test_the_first_run_of_a_group_goes_alone(data: dict[str, str]) -> None:
    ledger: Any = Everything()
    jobs = plan_study(a_study(data, "single", "pair", "tagging"), "float32").jobs
    groups = [job.group[0].rsplit("/")[-1] for job in jobs]
    assert groups == ["single"] * 3 + ["pair"] * 3 + ["tagging"] * 3
    queue = Queue(jobs)
    begun = []
    while job := queue.next(ledger):
        queue.running[Future()] = job
        begun.append(job)
    assert [job.group for job in begun] == [jobs[0].group, jobs[3].group, jobs[6].group]
    queue.warm.add(jobs[3].group)
    assert queue.next(ledger) is jobs[4]


def test_what_was_there_when_a_worker_was_killed_runs_alone(data: dict[str, str]) -> None:
    ledger: Any = Everything()
    jobs = plan_study(a_study(data, "single", "pair"), "float32").jobs
    queue = Queue(jobs)
    queue.warm = {job.group for job in jobs}
    queue.killed = {jobs[0].identity: 1}
    first = queue.next(ledger)
    assert first is jobs[0]
    queue.running[future := Future()] = first
    assert queue.next(ledger) is None
    del queue.running[future]
    queue.running[Future()] = queue.next(ledger) or jobs[0]
    queue.waiting.insert(0, jobs[0])
    assert queue.next(ledger) is jobs[2]


def test_a_killed_worker_ends_no_study(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, "single", design={"core": 3, "repeated": 0.0})
    ear, killed, over = Ear(), [], threading.Event()

    def kill_one() -> None:
        while not over.wait(0.05) and not killed:
            if any(tmp_path.glob("runs/*")):  # one is under way
                workers = [each for each in psutil.Process().children() if "--multiprocessing-fork" in each.cmdline()]
                for worker in workers:
                    worker.kill()
                    killed.append(worker.pid)

    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(kill_one)
        unmade = collected(study, tmp_path, ear)
        over.set()
        watching.result()
    assert killed
    assert unmade == {}
    assert len(Store(str(tmp_path / "store.db")).runs()) == 3
    assert any("A worker was killed; 1 run" in message for message in ear.messages)


def test_a_run_that_ends_two_workers_is_given_up(data: dict[str, str], tmp_path: Path) -> None:
    jobs = plan_study(a_study(data, "single", "pair"), "float32").jobs
    ledger, ear, unmade = Ledger(Store(str(tmp_path / "store.db")), "toy"), Ear(), {}
    queue = Queue(jobs)
    queue.warm = {job.group for job in jobs}
    for jobs_under_way in (2, 1):  # the second time it runs alone
        begun = [queue.next(ledger) for _ in range(2)][:jobs_under_way]
        queue.running = {Future(): job for job in begun if job}
        assert len(queue.running) == jobs_under_way
        _again(queue, ledger, ear, unmade)
    assert [*unmade.values()] == [KILLED]
    assert [row.reason for row in ledger.claims() if row.reason] == [KILLED]


DRIVER = """
import sys
from pathlib import Path
from tests.autodistill.study.conftest import collected
from autodistill.study.spec import Study
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    collected(Study.model_validate_json((folder / "study.json").read_text(), strict=False), folder)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_table(study: Study, done: Path, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
    (tmp_path / "study.json").write_text(study.model_dump_json(), encoding="utf-8")
    dice = random.Random(3)
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for _ in range(3):
        process = subprocess.Popen(command, env=environment)
        time.sleep(dice.uniform(4, 25))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True, timeout=300)
    pd.testing.assert_frame_equal(table(study, tmp_path), table(study, done))
