"""A plan that is kept is the one that would be worked out, and whatever it follows from is seen when it changes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from autodistill.study import kept
from autodistill.study.kept import planned
from autodistill.study.planning import Planned, plan_study
from autodistill.study.spec import Study, read_study
from engine.base import cache, machine
from engine.base.errors import InputError
from tests.autodistill.study.conftest import STUDENT, a_study, write_data
from tests.ear import Ear
from tests.toys import save_tiny, toy_task

Place = tuple[Path, Study]


@pytest.fixture(autouse=True)
def _afresh() -> None:
    cache.maker.cache_clear()


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    """A study of a folder, a file and a model, and where they are."""
    write_data(tmp_path, "single")
    write_data(tmp_path, "pair")
    shutil.copy(tmp_path / "single" / "validation.jsonl", tmp_path / "held_out.jsonl")
    save_tiny(tmp_path / "model", toy_task("single", 8, 8))
    data = {name: str(tmp_path / name) for name in ("single", "pair")}
    more: dict[str, Any] = {"teachers": [str(tmp_path / "model")], "students": [STUDENT, "static"]}
    more["fine_tuning"] = {"when": "always", "epochs": 1}
    single = {"data": data["single"], "columns": {"test": str(tmp_path / "held_out.jsonl")}}
    return tmp_path, a_study(data, datasets=[single, data["pair"]], **more)


def plan(root: Path, study: Study, precision: str = "float32") -> tuple[Planned, bool]:
    """The plan, and whether it was worked out."""
    ear = Ear()
    found = planned(study, precision, root / "cache", ear)
    return found, any("working out the runs" in text for text in ear.messages)


def test_it_is_worked_out_once(place: Place) -> None:
    (first, made), (second, again) = plan(*place), plan(*place)
    assert (made, again) == (True, False)
    assert second == first == plan_study(place[1], "float32")


def test_searches_are_kept_with_their_runs(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, design={"core": 1, "search": "halving", "trials": 2}, training={"epochs": 3})
    (first, made), (second, again) = plan(tmp_path, study), plan(tmp_path, study)
    assert (made, again) == (True, False)
    assert second == first
    (before,), (after,) = first.searches, second.searches
    assert after.columns.equals(before.columns)
    assert [*after.jobs] == [*before.jobs]


def rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Changes a file, which stays as long and as old as it was."""
    about = file.stat()
    file.write_bytes(change(file.read_bytes()))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def flip(content: bytes) -> bytes:
    """Another letter in the first row's text."""
    at = content.index(b': "') + 3
    return content[:at] + (b"x" if content[at : at + 1] != b"x" else b"y") + content[at + 1 :]


CHANGES: dict[str, Callable[[Path], object]] = {
    "a letter": lambda root: rewrite(root / "single" / "train.jsonl", flip),
    "a letter of another set": lambda root: rewrite(root / "held_out.jsonl", flip),
    "a new file": lambda root: shutil.copy(root / "pair" / "validation.jsonl", root / "pair" / "test.jsonl"),
    "a file less": lambda root: (root / "pair" / "validation.jsonl").unlink(),
    "another name of a file": lambda root: (root / "pair" / "validation.jsonl").rename(root / "pair" / "test.jsonl"),
    "what the folder declares": lambda root: (root / "single" / "dataset.json").write_text(
        json.dumps({"name": "single", "task": "classification", "label_names": ["2", "1", "0"]})
    ),
    "weights": lambda root: save_tiny(root / "model", toy_task("single", 8, 8), seed=1),
    "a configuration": lambda root: save_tiny(root / "model", toy_task("single", 8, 8), layers=2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_seen(change: str, place: Place) -> None:
    root, study = place
    before, _ = plan(root, study)
    CHANGES[change](root)
    after, made = plan(root, study)
    assert made
    assert after == plan_study(study, "float32")
    assert {job.identity for job in after.jobs} != {job.identity for job in before.jobs}


@pytest.mark.parametrize(
    "change",
    [{"rows": [20]}, {"test_rows": 5}, {"students": [STUDENT]}, {"seed": 1}, {"design": {"core": 2, "repeated": 0.0}}],
    ids=str,
)
def test_another_study_has_another_plan(change: dict[str, Any], place: Place) -> None:
    root, study = place
    before, _ = plan(root, study)
    other = read_study(study.model_dump(exclude_unset=True) | change)
    after, made = plan(root, other)
    assert made
    assert after != before
    assert plan(root, study) == (before, False)


def test_another_precision_has_another_plan(place: Place) -> None:
    before, _ = plan(*place)
    after, made = plan(*place, "bf16")
    assert made
    assert not {job.identity for job in after.jobs} & {job.identity for job in before.jobs}


@pytest.mark.parametrize("library", [*kept.MORE_LIBRARIES, "datasets", "torch"])
def test_another_version_of_a_library_plans_anew(library: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before, known = plan(*place), cache.version
    cache.maker.cache_clear()
    monkeypatch.setattr(cache, "version", lambda name: "0.0" if name == library else known(name))
    assert plan(*place) == before


def test_the_demo_is_of_the_versions_that_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, known = a_study({"single": ""}, datasets=["demo"]), kept.version
    keys = [kept._key(study, "float32")]
    monkeypatch.setattr(kept, "version", lambda name: "0.0" if name == "networkx" else known(name))
    keys.append(kept._key(study, "float32"))
    assert None not in keys
    assert keys[0] != keys[1]


def test_what_is_left_out_for_good_is_kept(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, "single", "tagging", students=["static", STUDENT])
    first, _ = plan(tmp_path, study)
    assert "knows no order of words" in first.left_out[0]
    assert plan(tmp_path, study) == (first, False)


def test_data_that_cannot_be_read_are_looked_for_each_time(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data | {"later": str(tmp_path / "pair")}, "single", "later")
    for _ in range(2):
        found, made = plan(tmp_path, study)
        assert made
        assert len(found.samples) == 1
    write_data(tmp_path, "pair")
    assert len(plan(tmp_path, study)[0].samples) == 2
    assert not plan(tmp_path, study)[1]
    (tmp_path / "pair" / "train.jsonl").write_text("no row\n", encoding="utf-8")
    for _ in range(2):
        found, made = plan(tmp_path, study)
        assert made
        assert found.may_change


def test_want_of_memory_passes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    root, study = place
    alone = study.model_copy(update={"datasets": study.datasets[1:]})
    with monkeypatch.context() as patched:
        patched.setattr(machine, "SURELY_FREE", 9000)
        patched.setattr(machine, "free_memory", lambda: 9000)  # for the rows, not for the models
        with pytest.raises(InputError, match="the memory does not suffice"):
            plan(root, alone)
    assert plan(root, alone)[1]
    assert not plan(root, alone)[1]


def test_a_hub_name_has_no_files_and_is_planned_anew() -> None:
    assert kept._key(a_study({"single": ""}, datasets=["owner/name"]), "float32") is None
    assert kept._key(a_study({"single": ""}, datasets=["glue/sst2"]), "float32") is None


def test_a_pipe_is_not_waited_for(data: dict[str, str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    assert kept._key(a_study({"pipe": str(tmp_path / "rows.csv")}, "pipe"), "float32") is None


def test_a_saved_folder_is_known_by_all_of_its_files(data: dict[str, str], tmp_path: Path) -> None:
    rows = {"text": ["good", "bad"] * 20, "label": [1, 0] * 20}
    Dataset.from_dict(rows).save_to_disk(str(tmp_path / "saved"))
    study = a_study({"saved": str(tmp_path / "saved")}, "saved")
    before = plan(tmp_path, study)[0]
    assert not plan(tmp_path, study)[1]
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    rewrite(arrow, lambda content: content.replace(b"goodbad", b"godebad", 1))
    after, made = plan(tmp_path, study)
    assert made
    assert after.samples != before.samples


def test_a_damaged_plan_is_made_anew(place: Place) -> None:
    first, _ = plan(*place)
    (file,) = (place[0] / "cache" / "plans").rglob(kept.PLAN)
    file.write_bytes(file.read_bytes().replace(b'"core"', b'"cure"', 1))
    ear = Ear()
    assert planned(place[1], "float32", place[0] / "cache", ear) == first
    assert "The kept plan of a study was damaged and is made anew." in ear.messages
    assert plan(*place) == (first, False)


def test_a_plan_needs_no_cache(place: Place) -> None:
    root, study = place
    (root / "cache").write_text("a file in its place", encoding="utf-8")
    assert plan(root, study) == plan(root, study) == (plan_study(study, "float32"), True)


def test_what_changes_while_it_is_read_is_not_kept(place: Place) -> None:
    """Between the reading of the key and that of the rows, here when it is said that these are read."""
    root, study = place
    file = root / "single" / "train.jsonl"
    before = file.read_bytes()

    class Hand(Ear):
        def message(self, text: str) -> None:
            file.write_bytes(flip(before))

    planned(study, "float32", root / "cache", Hand())
    file.write_bytes(before)
    assert plan(root, study) == (plan_study(study, "float32"), True)
