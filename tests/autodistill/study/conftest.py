"""A study of two small tasks, and files that it can read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autodistill.history.store import Store
from autodistill.study.collect import collect
from autodistill.study.executors import Place, local
from autodistill.study.planning import Planned, plan_study, tasks_of
from autodistill.study.searching import Records, Searching
from autodistill.study.spec import Study, read_study
from autodistill.study.tables import write_tables
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from tests.toys import ROWS

TEACHER, STUDENT = "scratch:layers=2,hidden=16,heads=2", "scratch:layers=1,hidden=16,heads=2"


TIMES = ["seconds", "total_seconds", "latency_ms", "finished_at"]
OPTIONS = {"device": "cpu", "precision": "float32", "workers": 0}


def options(folder: Path) -> RunOptions:
    return RunOptions(cache_dir=str(folder / "cache"), **OPTIONS)


def collected(study: Study, folder: Path, ear: Any = None, place: Place | None = None) -> dict[str, str]:
    planned, store = plan_study(study, "float32"), Store(str(folder / "store.db"))
    what = options(folder), place or local(1, 1), folder / "runs", ear or SilentReporter()
    return collect(study, planned.jobs, store, *what, searches=searches_in(planned, store))


def searches_in(planned: Planned, store: Store) -> list[Searching]:
    """The searches of a study, each at its beginning."""
    records = Records(store)
    return [Searching(search, records) for search in planned.searches]


def export(study: Study, store: Store, folder: Path) -> None:
    """Writes the tables of a study."""
    planned = plan_study(study, "float32")
    write_tables(planned, tasks_of(study, planned.samples), store, folder, searches_in(planned, store))


def table(study: Study, folder: Path) -> pd.DataFrame:
    """What came out, without what depends on the machine's mood."""
    export(study, Store(str(folder / "store.db")), folder / "tables")
    return pd.read_csv(folder / "tables" / "study.csv").drop(columns=TIMES)


def write_data(folder: Path, name: str, rows: int = 40, held_out: int = 20) -> Path:
    """A folder with the rows of a toy task."""
    kind, labels, row = ROWS[name]
    dice = random.Random(name)
    where = folder / name
    where.mkdir(parents=True)
    for split, count in {"train": rows, "validation": held_out}.items():
        lines = (json.dumps(row(dice)) for _ in range(count))
        (where / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    facts = {"name": name, "task": kind, "label_names": list(labels)}
    (where / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return where


@pytest.fixture(name="data", scope="session")
def _data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name of a toy task → its folder."""
    folder = tmp_path_factory.mktemp("study_data")
    return {name: str(write_data(folder, name)) for name in ("single", "pair", "regression", "tagging")}


def a_study(data: dict[str, str], *names: str, **more: Any) -> Study:
    """One that takes seconds."""
    known = {
        "name": "toy",
        "datasets": [data[name] for name in names or ("single",)],
        "teachers": [TEACHER],
        "students": [STUDENT],
        "design": {"core": 3, "repeated": 0.0},
        "training": {"epochs": 1, "max_length": 16},
        "fine_tuning": {"epochs": 1, "early_stopping": 0},
        "student_alone": False,
    }
    return read_study(known | more)


@pytest.fixture(name="study", scope="session")
def _study(data: dict[str, str]) -> Study:
    return a_study(data, "single", "regression", design={"core": 3, "repeated": 0.5})


@pytest.fixture(name="done", scope="session")
def _done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that nothing disturbed."""
    folder = tmp_path_factory.mktemp("study")
    assert collected(study, folder) == {}
    return folder
