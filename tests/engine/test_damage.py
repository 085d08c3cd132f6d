"""Damaged files of the cache and of unfinished runs, and full disks: what was damaged is made anew, nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.base.cache import SUMS, intact, keeping
from engine.base.errors import DiskError, InputError
from engine.base.options import RunOptions
from engine.run.result import RunResult
from engine.training import state
from tests.clock import at_most
from tests.engine.conftest import Ear, options_with
from tests.engine.runs import TRAINING, assert_same_end, small
from tests.toys import toy_task

MANNERS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "flipped": lambda content: bytes(byte ^ (64 * (at == len(content) // 2)) for at, byte in enumerate(content)),
    "a list": lambda content: b"[1, 2]",
    "nested": lambda content: b"[" * 100_000,
}
SAID = {
    "gold_scores": "The kept scores were damaged and are made anew.",
    "language_models": "The kept language model was damaged and is made anew.",
    "signals": "The kept signals were damaged and are made anew.",
    "teachers": "The kept teacher was damaged and is made anew.",
    "vocabularies": "The kept vocabulary was damaged and is made anew.",
}
SCORES = b'{"validation": {"scores": {"accuracy": "0.9"}, "intervals": {}, "answers": []}}'
PIPELINE = {"training": TRAINING | {"epochs": 3}, "intermediate": {"kind": "mse"}}
AUGMENTED = {"training": TRAINING | {"epochs": 1}, "augmentation": "contextual"}
TEAM = {
    "team": {"kind": "autoskd", "members": ["scratch:layers=1,hidden=16,heads=1"], "candidates": 2},
    "training": TRAINING | {"epochs": 3},
}


def a_run(options: RunOptions, out: Path, **more: Any) -> tuple[RunResult, list[str]]:
    """A finished run, and what was said of damage."""
    more.setdefault("reporter", Ear())
    result = small(options, out, **({"pipeline": PIPELINE, "data": toy_task("single", 48, 16)} | more))
    return result, [text for text in more["reporter"].messages if "damaged" in text]


def damage(files: list[Path], manner: str) -> None:
    assert files
    for path in files:
        path.write_bytes(MANNERS[manner](path.read_bytes()))


def displace(files: list[Path], manner: str) -> None:
    """Puts something that is no file in the place of each."""
    assert files
    for path in files:
        path.unlink()
        {"a pipe": os.mkfifo, "a folder": os.mkdir, "a device": lambda path: path.symlink_to("/dev/zero")}[manner](path)


def same_student(one: Path, other: Path) -> bool:
    return (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


# --- the cache ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache, and the runs `plain` and `augmented` that filled it."""
    folder = tmp_path_factory.mktemp("whole")
    options = options_with(folder / "cache")
    a_run(options, folder / "plain", student_alone=True)
    a_run(options, folder / "augmented", pipeline=AUGMENTED)
    return folder


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("kind", SAID)
def test_what_is_kept_is_made_anew_where_it_was_damaged(kind: str, manner: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "cache", tmp_path / "cache")
    damage([path for path in (tmp_path / "cache" / kind).glob("*/*") if path.is_file()], manner)
    more: dict[str, Any] = {"pipeline": AUGMENTED} if kind == "language_models" else {"student_alone": True}
    result, said = a_run(options_with(tmp_path / "cache"), tmp_path / "out", **more)
    alike = whole / ("augmented" if kind == "language_models" else "plain")
    assert set(said) == {SAID[kind]}
    assert same_student(tmp_path / "out", alike)
    assert result.scores == RunResult.read(alike).scores
    if manner == "flipped":
        assert a_run(options_with(tmp_path / "cache"), tmp_path / "again", **more)[1] == [], "it is whole again"


@pytest.mark.parametrize(
    "content", [b"\xff", b"[" * 100_000, b"null", b"[1, 2]", b'{"validation": [1]}', SCORES], ids=repr
)
@pytest.mark.parametrize(
    "kind, file",
    [
        ("gold_scores", "scores.json"),
        ("teachers", "teacher.json"),
        ("teachers", "config.json"),
        ("vocabularies", "tokenizer.json"),
    ],
)
def test_what_was_put_there_with_checksums_that_fit_is_made_anew(
    kind: str, file: str, content: bytes, whole: Path, tmp_path: Path
) -> None:
    """It ended with a JSONDecodeError, or whatever the libraries raise."""
    shutil.copytree(whole / "cache", tmp_path / "cache")
    if kind == "vocabularies":
        shutil.rmtree(tmp_path / "cache" / "teachers")  # which has its own
    for path in (tmp_path / "cache" / kind).glob(f"*/{file}"):
        path.write_bytes(content)
        with keeping(path.parent) as aside:
            for each in path.parent.iterdir():
                shutil.copy(each, aside)
            (aside / SUMS).unlink()
    result, said = a_run(options_with(tmp_path / "cache"), tmp_path / "out", student_alone=True)
    assert set(said) == {SAID[kind]}
    assert same_student(tmp_path / "out", whole / "plain")
    assert result.scores == RunResult.read(whole / "plain").scores


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX's")
@pytest.mark.parametrize("manner", ["a pipe", "a folder", "a device"])
@pytest.mark.parametrize("file", ["signals/*/*", "signals/*/*.checksum", "teachers/*/checksums", "teachers/*/*"])
def test_what_is_no_file_is_not_waited_for(file: str, manner: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "cache", tmp_path / "cache")
    displace([path for path in (tmp_path / "cache").glob(file) if path.is_file()], manner)
    with at_most(60):
        _, said = a_run(options_with(tmp_path / "cache"), tmp_path / "out", student_alone=True)
    assert set(said) == {SAID[file.partition("/")[0]]}
    assert same_student(tmp_path / "out", whole / "plain")


def test_each_file_of_the_cache_counts(whole: Path, tmp_path: Path) -> None:
    """One bit of any one of them, and each that is gone or too many."""
    changes: list[Callable[[Path], Any]] = [
        lambda path: path.write_bytes(MANNERS["flipped"](path.read_bytes())),
        Path.unlink,
        lambda path: path.with_name("pytorch_model.bin").write_bytes(b""),
    ]
    for kind in set(SAID) - {"signals"}:
        for folder in [path for path in (whole / "cache" / kind).iterdir() if path.is_dir()]:
            for file in folder.iterdir():
                for change in changes:
                    copy, ear = tmp_path / kind / folder.name, Ear()
                    shutil.copytree(folder, copy)
                    assert intact(copy, ear)
                    change(copy / file.name)
                    assert not intact(copy, ear)
                    assert ear.messages == [SAID[kind]]
                    assert not copy.exists()


# --- an unfinished run -------------------------------------------------------------------------------


class Stopping(Ear):
    """Ends the run at a step of a stage, as a kill does."""

    def __init__(self, stage: str, step: int):
        super().__init__()
        self.stage, self.step = stage, step

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        super().advance(stage, count, note)
        if stage == self.stage and self.advanced[stage] == self.step:
            raise KeyboardInterrupt


def stopped(options: RunOptions, out: Path, stage: str, step: int, **more: Any) -> None:
    """A run that is stopped there, with a checkpoint of every step before."""
    own = options.model_copy(update={"checkpoint_seconds": 0})
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(state, "CHECKPOINT_SHARE", 0)
        a_run(own, out, reporter=Stopping(stage, step), **more)


@pytest.fixture(scope="module", name="student")
def _student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in `whole`, and the same in `cut`, stopped in its third epoch."""
    folder = tmp_path_factory.mktemp("student")
    stopped(options_with(folder / "cache"), folder / "cut", "student", 14)  # of 6 an epoch
    a_run(options_with(folder / "other"), folder / "whole")
    return folder


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize(
    "files, said",
    [
        ("student/checkpoint.pt", "student: the checkpoint was damaged; it starts anew"),
        ("student/best-*.safetensors", "student: the best weights were damaged; it starts anew"),
        ("run.json", ""),
        ("run-copy.json", ""),
        ("run*.json", "What was remembered of the run in {out} was damaged: it begins anew."),
    ],
)
def test_a_run_whose_state_was_damaged_comes_to_the_same_end(
    files: str, said: str, manner: str, student: Path, tmp_path: Path
) -> None:
    shutil.copytree(student, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "cut"
    damage(sorted((out / ".work").glob(files)), manner)
    result, messages = a_run(options_with(tmp_path / "cache"), out)
    assert messages == ([said.format(out=out)] if said else [])
    if files == "run*.json":  # how many examples the teacher had seen for this run is not known any more
        assert same_student(out, student / "whole")
        assert result.scores == RunResult.read(student / "whole").scores
    else:
        assert_same_end(out, student / "whole")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX's")
@pytest.mark.parametrize("manner", ["a pipe", "a folder", "a device"])
@pytest.mark.parametrize("files", ["student/checkpoint.pt", "student/best-*.safetensors", "run.json", "run*.json"])
def test_a_run_whose_state_is_no_file_comes_to_the_same_end(
    files: str, manner: str, student: Path, tmp_path: Path
) -> None:
    """A pipe was waited for."""
    shutil.copytree(student, tmp_path, dirs_exist_ok=True)
    displace(sorted((tmp_path / "cut" / ".work").glob(files)), manner)
    with at_most(60):
        _, said = a_run(options_with(tmp_path / "cache"), tmp_path / "cut")
    assert len(said) == (files != "run.json")
    assert same_student(tmp_path / "cut", student / "whole")


def test_work_that_nobody_owns_is_not_gone_on_with(student: Path, tmp_path: Path) -> None:
    """Without its record it was taken for the work of whatever run was started there."""
    shutil.copytree(student, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "cut" / ".work").glob("run*.json"):
        path.unlink()
    options = options_with(tmp_path / "cache")
    _, said = a_run(options, tmp_path / "cut", seed=1)
    a_run(options, tmp_path / "alone", seed=1)
    assert same_student(tmp_path / "cut", tmp_path / "alone")
    assert said == [f"What was remembered of the run in {tmp_path / 'cut'} was damaged: it begins anew."]


def test_best_weights_that_are_damaged_while_it_trains_are_not_used(options: RunOptions, tmp_path: Path) -> None:
    class Damaging(Ear):
        def finish(self, stage: str) -> None:
            super().finish(stage)
            if stage == "student":
                damage([*tmp_path.glob("out/.work/student/best-*")], "flipped")

    with pytest.raises(DiskError, match=r"best-\d.safetensors is not as it was written; the same command trains it"):
        a_run(options, tmp_path / "out", reporter=Damaging())
    assert RunResult.read(tmp_path / "out") is None, "a run that can go on is no failed one"
    a_run(options, tmp_path / "out")
    a_run(options, tmp_path / "whole")
    assert same_student(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize(
    "stage, step, file, said",
    [
        ("search for θ", 7, "search-0/checkpoint.pt", "search for θ: the checkpoint was damaged; it starts anew"),
        ("candidate 1", 3, "search-0/found.json", "search for θ: what it had found was damaged; it starts anew"),
        ("candidate 2", 3, "candidate-0/best-*", "candidate 1: the best weights were damaged; it starts anew"),
    ],
)
def test_a_search_whose_state_was_damaged_comes_to_the_same_end(
    stage: str, step: int, file: str, said: str, options: RunOptions, tmp_path: Path
) -> None:
    stopped(options, tmp_path / "run", stage, step, pipeline=TEAM)
    damage(sorted((tmp_path / "run" / ".work").glob(file)), "flipped")
    _, messages = a_run(options, tmp_path / "run", pipeline=TEAM)
    assert messages == [said]
    a_run(options_with(tmp_path / "other"), tmp_path / "whole", pipeline=TEAM)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("manner", ["a list", "nested", "cut", "empty"])
def test_a_damaged_result_is_named(manner: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "plain", tmp_path / "run")
    damage([tmp_path / "run" / "result.json"], manner)
    with pytest.raises(InputError, match="result.json: not the record of a run"):
        a_run(options_with(whole / "cache"), tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.safetensors", None, "no safetensors weights"),
        ("model.safetensors", b"cut", "model.safetensors is no safetensors file or not whole"),
        ("tokenizer.json", None, "tokenizer"),
        ("config.json", b"[]", "config.json"),
        ("README.md", None, ""),
    ],
)
def test_a_finished_run_says_where_its_student_cannot_be_used(
    file: str, content: bytes | None, words: str, whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "plain", out := tmp_path / "run")
    (out / file).unlink()
    if content is not None:
        (out / file).write_bytes(content)
    result, _ = a_run(options_with(whole / "cache"), out, student_alone=True, reporter=(ear := Ear()))
    assert result == RunResult.read(whole / "plain")
    said = ear.messages[-1]
    assert said.startswith(f"This run is finished: its result is in {out}.")
    assert ("--overwrite makes it anew" in said) == bool(words)
    assert words in said


# --- full disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage, number", [("teacher", 0), ("teacher", 3), ("signals", 0), ("student", 0), ("student", 5), ("end", 0)]
)
def test_a_disk_that_is_full_is_named_and_the_run_goes_on(
    stage: str, number: int, whole: Path, options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From some moment on nothing can be synced to disk any more, until there is room."""
    moments = {"teacher": "teacher: epoch 1", "signals": "teacher: accuracy", "student": "student: epoch 1"}
    sync, left = os.fsync, [-1]

    class Filling(Ear):
        def message(self, text: str) -> None:
            super().message(text)
            if text.startswith(moments.get(stage, "student: accuracy")) and left[0] < 0:
                left[0] = number

    def full(descriptor: int) -> None:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        sync(descriptor)

    own = options.model_copy(update={"checkpoint_seconds": 0})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match=r"the disk of \S+ is full: [\d,.]+ [kMG]B are free there\. With more room"):
            a_run(own, tmp_path / "out", reporter=Filling(), student_alone=True)
    assert left == [0]
    assert RunResult.read(tmp_path / "out") is None, "a run that can go on is no failed one"
    result, said = a_run(own, tmp_path / "out", student_alone=True)
    assert said == []
    assert same_student(tmp_path / "out", whole / "plain")
    assert result.scores == RunResult.read(whole / "plain").scores
