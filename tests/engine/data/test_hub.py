"""Datasets of the hub: what it is asked, and that an unreachable one costs no time."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from engine.base.errors import InputError
from engine.data import hub
from engine.data.load import load_task


def test_hub_names_reach_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def read_hub(repo: str, config: str | None = None) -> datasets.DatasetDict:
        asked.append((repo, config))
        rows = datasets.Dataset.from_dict({"text": list("abcd"), "label": [0, 1, 0, 1]})
        return datasets.DatasetDict(train=rows, test=rows, unsupervised=rows)

    monkeypatch.setattr(hub, "read_hub", read_hub)
    monkeypatch.chdir(tmp_path)
    task = load_task("stanfordnlp/imdb")
    load_task("aps/super_glue/boolq")
    assert asked == [("stanfordnlp/imdb", None), ("aps/super_glue", "boolq")]
    assert (task.name, task.hub) == ("imdb", "stanfordnlp/imdb")
    assert (list(task.validation), list(task.test)) == (["validation"], ["test"])
    assert "no validation set: 25 % of the rows (1) held out, stratified by label, seed 0" in task.notes
    assert "splits that are not used: unsupervised" in task.notes


def test_unreachable_hub_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file or folder; as a hub name: not in the local cache"):
        load_task("someone/something")
    with pytest.raises(InputError, match="Did you mean glue/sst2"):
        load_task("sst2")
    (tmp_path / "reviews").mkdir()
    with pytest.raises(InputError, match="Did you mean reviews"):
        load_task("reviws")


def test_cached_dataset_is_read_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the layout of the cache of `datasets`, as an earlier run with the hub leaves it."""
    from datasets.arrow_writer import ArrowWriter

    rows = datasets.Dataset.from_dict({"text": list("abcdef"), "label": [0, 1] * 3})
    folder = tmp_path / "someone___some_thing" / "default" / "0.0.0" / "0123abcd"
    folder.mkdir(parents=True)
    with ArrowWriter(path=str(folder / "some_thing-train.arrow"), features=rows.features) as writer:
        for row in rows:
            writer.write(row)
        count, size = writer.finalize()
    split = datasets.SplitInfo("train", size, count, dataset_name="some_thing")
    info = datasets.DatasetInfo(
        features=rows.features,
        splits=datasets.SplitDict({"train": split}),
        config_name="default",
        dataset_name="some_thing",
        builder_name="parquet",
        version="0.0.0",
    )
    info.write_to_directory(str(folder))
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    task = load_task("someone/SomeThing")
    assert task.train.num_rows + task.validation["validation"].num_rows == 6
    with pytest.raises(InputError, match="not in the local cache"):
        load_task("someone/SomeThing/other")
