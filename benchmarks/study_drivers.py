"""One study of 60 short runs in several ways: in one process, killed, by two drivers with one store, on a Ray cluster.

    python benchmarks/study_drivers.py [--postgresql] [--ray] [--two] [--kills 5] [--seed 0] [--json]

Every way begins with an empty cache and must end with the table of the first: no row lost, none twice, and none that
differs in a column that tells no time; curves, too. `start` is the seconds until the first run begins, which are the
loading of libraries and the planning. `between` is what study, store and executor take beside a run, in seconds:
(seconds − start) × slots − seconds of all runs, by runs; `share` is their share of a run of the shipped study's median
length. A driver is killed with all of its workers at moments that follow from the seed: from half of the first way's
start on, at most so late that all kills come before the end. --postgresql: a server of its own is started; --ray:
clusters of one and of three nodes on this machine, and three of which one is taken away in mid-study.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from machine import Others, features, in_words
from processes import CLI, begin, end, kill

from autodistill.history.folder import CURVES, SHIPPED, STUDY, read_parquet
from autodistill.history.store import Store

MADE = """
name = "drivers"
datasets = ["demo"]
rows = [60, 120]
teachers = ["scratch:layers=2,hidden=32,heads=2"]
students = [
  "scratch:layers=1,hidden=16,heads=2", "scratch:layers=1,hidden=32,heads=2", "scratch:layers=2,hidden=32,heads=2",
]
student_alone = false
[design]
core = 10
repeated = 0.0
[training]
epochs = 2
max_length = 32
[fine_tuning]
epochs = 2
"""
ONE = ("--processes", "1", "--threads", "1")
TIMES = ["seconds", "total_seconds", "latency_ms", "finished_at"]
"""Columns of a study's table that tell times."""


class Way:
    """One way of making the study, in a folder of its own."""

    def __init__(self, folder: Path, slots: int, store: str | None = None):
        folder.mkdir()
        self.folder, self.slots, self.store = folder, slots, store or str(folder / "store.db")
        (folder / "study.toml").write_text(MADE, encoding="utf-8")

    def driver(self, *options: str) -> subprocess.Popen[bytes]:
        """The command, begun."""
        return self._command("run", "--cache-dir", str(self.folder / "cache"), *options)

    def _command(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        where = ("--store", self.store, "--precision", "float32", "--device", "cpu")
        return begin(self.folder, "study", name, str(self.folder / "study.toml"), *where, *options)

    def tables(self) -> list[pd.DataFrame]:
        """The runs and their curves as they are exported, without times."""
        end(self.folder, self._command("export", "--out", "tables"))
        runs, curves = pd.read_csv(self.folder / "tables" / STUDY), read_parquet(self.folder / "tables" / CURVES)
        return [runs.drop(columns=TIMES), curves.drop(columns="seconds")]

    def row(self, name: str, began: float, wanted: list[pd.DataFrame] | None) -> dict[str, Any]:
        """What came out, beside what the first way gave.

        Args:
            began: Seconds since 1970.
        """
        seconds, results = time.time() - began, Store(self.store).runs()
        of_runs = sum(result.seconds for result in results)
        first = min(datetime.fromisoformat(str(each.finished_at)).timestamp() - each.seconds for each in results)
        between = ((seconds - (first - began)) * self.slots - of_runs) / len(results)
        own = self.tables()
        runs, curves = wanted or own
        known = pd.concat([runs, own[0]]).drop_duplicates(keep=False).identity.isin(runs.identity).sum()
        return {
            "way": name,
            "runs": len(results),
            "lost": len({*runs.identity} - {*own[0].identity}),
            "twice": len(results) - len({*own[0].identity}),
            "different": int(known) // 2 + (not curves.equals(own[1])),
            "seconds": seconds,
            "start": first - began,
            "a_run": of_runs / len(results),
            "between": between,
            "share": between / (between + median_run()),
        }


def median_run() -> float:
    """Seconds of a run of the study that comes with the project."""
    return float(pd.read_csv(SHIPPED["study"]).total_seconds.median())


def killed(way: Way, times: int, dice: random.Random, first: dict[str, Any]) -> None:
    """Kills the driver and all of its processes at random moments, then lets it end."""
    latest = first["start"] + (first["seconds"] - first["start"]) / (times + 1)
    for _ in range(times):
        driver = way.driver(*ONE)
        time.sleep(dice.uniform(first["start"] / 2, latest))
        assert driver.poll() is None, "it ended before it was killed"
        kill(driver)
        print(f"killed with {len(Store(way.store).runs())} runs in the store", file=sys.stderr)
    end(way.folder, way.driver(*ONE))


@contextmanager
def database() -> Iterator[str]:
    """An empty database on a PostgreSQL server of its own."""
    sys.path.append(str(CLI.parent))
    from tests import postgresql

    if reason := postgresql.missing():
        raise SystemExit(reason)
    with postgresql.server() as address:
        yield postgresql.new_database(address)


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


def rows(folder: Path, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row a way; the first is what the others are compared with."""
    way, began = Way(folder / "one", 1), time.time()
    end(way.folder, way.driver(*ONE))
    yield (first := way.row("one process", began, None))
    wanted = way.tables()
    if given.two:
        way, began = Way(folder / "two", 2), time.time()
        end(way.folder, way.driver("--processes", "2", "--threads", "1"))
        yield way.row("two processes", began, wanted)
    if given.kills:
        way, began = Way(folder / "killed", 1), time.time()
        killed(way, given.kills, random.Random(given.seed), first)
        yield way.row(f"killed {given.kills} times", began, wanted)
    if given.postgresql:
        with database() as url:
            way, began = Way(folder / "database", 2, url), time.time()
            end(way.folder, *(way.driver(*ONE) for _ in range(2)))
            yield way.row("two drivers, PostgreSQL", began, wanted)
    for nodes, removed in ((1, False), (3, False), (3, True)) if given.ray else ():
        way = Way(folder / f"ray{nodes}{removed}", nodes)
        with cluster(nodes) as found:
            began = time.time()
            driver = way.driver("--ray", found.address)
            while removed and driver.poll() is None and (not Path(way.store).exists() or not Store(way.store).runs()):
                time.sleep(0.5)
            if removed:
                found.remove_node(next(iter(found.worker_nodes)), allow_graceful=False)
            end(way.folder, driver)
        name = f"Ray, {nodes} node{'s' * (nodes > 1)}{', one removed' * removed}"
        yield way.row(name, began, wanted)


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", action="store_true", help="by two drivers with one database, too")
    parser.add_argument("--ray", action="store_true", help="on Ray clusters, too")
    parser.add_argument("--two", action="store_true", help="in two processes, too")
    parser.add_argument("--kills", type=int, default=5, help="times that it is killed; 0: that way is left out")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which it is killed")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, Others() as others:
        found = [*rows(Path(name), given)]
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
