"""One small study in several ways: on one core and on two, killed, by two drivers with one store, on a Ray cluster.

    python benchmarks/study_drivers.py [--database URL] [--ray] [--kills 5] [--json]

Every way begins with an empty cache and must end with the runs of the first: none lost, none twice, the same scores
and curves. `overhead` is what study, store and executor take of the time: 1 − seconds of all runs / (seconds × slots);
the first minute or so of every driver is the loading of libraries and the planning, which `beside_a_run` spreads over
the runs. --database: an empty PostgreSQL database; --ray: clusters of one and of three nodes on this machine, and three
of which one is taken away in mid-study.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import Others, features, in_words

from autodistill.history.store import Store
from engine.run.result import RunResult

STUDY = """
name = "drivers"
datasets = ["demo"]
rows = [100, 200]
teachers = ["scratch:layers=2,hidden=64"]
students = ["scratch:layers=1,hidden=32", "lstm:hidden=32", "static"]
student_alone = false
[design]
core = 15
repeated = 0.1
[training]
epochs = 3
max_length = 32
[fine_tuning]
epochs = 2
"""
CLI = Path(__file__).resolve().parents[1] / "cli.py"
LASTING = {"identity", "student_score", "teacher_score", "scores", "history", "best_epoch", "status"}
"""Of a run's record, what depends neither on time nor on place."""


class Way:
    """One way of making the study, in a folder of its own."""

    def __init__(self, folder: Path, slots: int, store: str | None = None):
        folder.mkdir()
        self.folder, self.slots, self.store = folder, slots, store or str(folder / "store.db")
        (folder / "study.toml").write_text(STUDY, encoding="utf-8")

    def driver(self, *options: str) -> subprocess.Popen[bytes]:
        """The command, begun."""
        where = ("--store", self.store, "--cache-dir", str(self.folder / "cache"), "--precision", "float32")
        command = [sys.executable, str(CLI), "study", "run", str(self.folder / "study.toml"), *where, *options]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, start_new_session=True, stdout=log, stderr=log)

    def row(self, name: str, seconds: float, wanted: dict[str, Any] | None) -> dict[str, Any]:
        """What came out, beside what the first way gave."""
        results = Store(self.store).runs()
        found = lasting(results)
        of_runs = sum(result.seconds for result in results)
        return {
            "way": name,
            "runs": len(results),
            "lost": len((wanted or found).keys() - found.keys()),
            "twice": len(results) - len(found),
            "different": sum(found[key] != each for key, each in (wanted or {}).items() if key in found),
            "seconds": seconds,
            "overhead": 1 - of_runs / (seconds * self.slots),
            "beside_a_run": (seconds * self.slots - of_runs) / max(len(results), 1),
        }


def lasting(results: Sequence[RunResult]) -> dict[str, Any]:
    """Identity → what is the same wherever and whenever the run is made."""
    return {result.identity: result.model_dump(mode="json", include=LASTING) for result in results}


def ended(way: Way, *drivers: subprocess.Popen[bytes]) -> None:
    """Waits for drivers; an error where one fails."""
    if failed := [driver.returncode for driver in drivers if driver.wait()]:
        raise SystemExit(f"ended with {failed}: {(way.folder / 'log').read_text('utf-8')[-2000:]}")


def killed(way: Way, times: int, longest: float) -> None:
    """Kills the driver and all of its processes at random moments, then lets it end."""
    dice = random.Random(0)
    for _ in range(times):
        driver = way.driver()
        time.sleep(dice.uniform(5, longest))
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    ended(way, way.driver())


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A Ray cluster of this machine, of nodes with a core each."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(CLI.parent)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(nodes):
        made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        made.shutdown()


def rows(folder: Path, database: str | None, ray: bool, kills: int) -> Iterator[dict[str, Any]]:
    """A row a way; the first is what the others are compared with."""
    first: dict[str, Any] | None = None
    seconds = 0.0
    for slots in (1, 2):
        way = Way(folder / f"{slots}", slots)
        began = time.perf_counter()
        ended(way, way.driver("--processes", str(slots), "--threads", "1"))
        seconds = time.perf_counter() - began
        yield way.row(f"{slots} process{'es' * (slots > 1)}", seconds, first)
        first = first or lasting(Store(way.store).runs())
    way, began = Way(folder / "killed", 2), time.perf_counter()
    killed(way, kills, longest=0.5 * seconds)
    yield way.row(f"killed {kills} times", time.perf_counter() - began, first)
    if database:
        way, began = Way(folder / "database", 2, database), time.perf_counter()
        ended(way, *(way.driver("--processes", "1", "--threads", "1") for _ in range(2)))
        yield way.row("two drivers, PostgreSQL", time.perf_counter() - began, first)
    for nodes, removed in ((1, False), (3, False), (3, True)) if ray else ():
        way = Way(folder / f"ray{nodes}{removed}", nodes)
        with cluster(nodes) as found:
            began = time.perf_counter()
            driver = way.driver("--ray", found.address)
            while removed and driver.poll() is None and (not Path(way.store).exists() or not Store(way.store).runs()):
                time.sleep(0.5)
            if removed:
                found.remove_node(next(iter(found.worker_nodes)), allow_graceful=False)
            ended(way, driver)
        name = f"Ray, {nodes} node{'s' * (nodes > 1)}{', one removed' * removed}"
        yield way.row(name, time.perf_counter() - began, first)


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="URL of an empty PostgreSQL database")
    parser.add_argument("--ray", action="store_true", help="on Ray clusters, too")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, Others() as others:
        found = [*rows(Path(name), given.database, given.ray, given.kills)]
    if given.json:
        print(json.dumps({"machine": features(), "others_cores": round(others.cores, 2), "rows": found}, indent=2))
        return
    print(f"{in_words(features())}; others kept {others.cores:.2f} cores busy")
    names = [*found[0]]
    print(f"| {' | '.join(names)} |\n|{' --- |' * len(names)}")
    for row in found:
        print(f"| {' | '.join(value if isinstance(value, str) else f'{value:.3g}' for value in row.values())} |")


if __name__ == "__main__":
    main()
