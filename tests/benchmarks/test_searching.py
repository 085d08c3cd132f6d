"""`benchmarks/searching.py`: nothing of the searched dataset is known, and none of its rows is one of the study's."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from autodistill.study.design import task_of
from autodistill.study.spec import Source
from engine.base.errors import InputError
from engine.data.load import load_task
from engine.pipeline import Pipeline
from engine.pipeline.training import Training
from tests.records import made_row


@pytest.fixture(name="searching")
def _searching() -> ModuleType:
    return __import__("searching")


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    folder.mkdir()
    for split, count in (("train", 1600), ("validation", 20), ("test", 40)):
        rows = ({"text": f"{split} {place}", "label": place % 2} for place in range(count))
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def with_study(searching: ModuleType, folder: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A study of these datasets takes the place of the one that comes with the project."""
    folder.mkdir()
    runs = [made_row(identity=f"{name}{place}", dataset=f"{name}@f") for name in names for place in range(2)]
    pd.DataFrame(runs).to_csv(folder / "study.csv", index=False)
    pd.DataFrame({"dataset": [f"{name}@f" for name in names]}).to_csv(folder / "study_datasets.csv", index=False)
    for name in ("curves.parquet", "study_words.npz"):
        (folder / name).write_bytes(name.encode())
    monkeypatch.setattr(searching, "FOLDER", folder)


@pytest.mark.parametrize("studied", [True, False])
def test_no_row_is_one_of_the_study(
    searching: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, studied: bool
) -> None:
    with_study(searching, tmp_path / "study", ("reviews",) if studied else ("others",), monkeypatch)
    task = searching.unseen_task(str(data), 100)
    own = {*task.train["text"]}
    assert len(own) == 100
    assert not own & {text for rows in task.held_out.values() for text in rows["text"]}
    of_study = {text for size in (300, 1000) for text in task_of(Source(data=str(data)), size, 0).train["text"]}
    assert bool(own & of_study) is not studied


def test_what_is_known_leaves_the_dataset_out(
    searching: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_study(searching, tmp_path / "study", ("reviews", "tweets"), monkeypatch)
    left = searching.tables_without("reviews", tmp_path / "left")
    for name in ("study.csv", "study_datasets.csv"):
        assert {*pd.read_csv(left / name).dataset} == {"tweets@f"}
    assert (left / "curves.parquet").read_bytes() == b"curves.parquet"


def test_pipelines_at_random_skip_those_that_do_not_suit(searching: ModuleType, data: Path) -> None:
    task, asked = load_task(str(data)), []

    def trained(way: str, pipeline: Pipeline) -> str:
        asked.append(way)
        if len(asked) % 2:
            raise InputError("does not suit")
        return way

    drawn = searching.at_random(task, "lstm:hidden=8", Training(epochs=1), trained)
    assert [next(drawn), next(drawn)] == asked[1:4:2]
    assert len({*asked}) == 4
    assert all(way.startswith("random-") for way in asked)
