"""The folder of a run belongs to one run, and a kill at any moment leaves it usable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.base.errors import InputError, RunError
from engine.base.files import read_sealed
from engine.run.folder import RECORDS, RunFolder, unfinished
from engine.run.result import RunResult

HOLD = """
import sys
from engine.run.folder import RunFolder
with RunFolder(sys.argv[1], "a").locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def result(identity: str = "a", status: str = "ok") -> RunResult:
    return RunResult(
        status=status,
        identity=identity,
        task="toy",
        task_kind="regression",
        dataset_fingerprint="f",
        labels=[],
        train_examples=1,
        teacher="t",
        student="s",
        pipeline={},
        seed=0,
        metric="pearson",
    )


def finish(path: Path, identity: str = "a", status: str = "ok") -> RunFolder:
    folder = RunFolder(path, identity)
    with folder.locked():
        folder.close(result(identity, status))
    return folder


def begin(path: Path, identity: str = "a") -> RunFolder:
    folder = RunFolder(path, identity)
    with folder.locked():
        folder.remember(teacher_examples=7)
    return folder


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run", "a")
    assert folder.finished() is None
    assert not folder.path.exists()
    with folder.locked():
        assert (folder.work / "run.json").is_file()
        folder.remember(teacher_examples=7)
        assert folder.recall("teacher_examples") == 7
        assert folder.finished() is None
        folder.close(result())
    assert [path.name for path in folder.path.iterdir()] == ["result.json"]
    assert RunFolder(folder.path, "a").finished() == result()


def test_a_search_with_many_candidates_is_gone_on_with(tmp_path: Path) -> None:
    """Their numbers are keys, which are texts once they are read; there are 25 of them by default."""
    folder = begin(tmp_path)
    with folder.locked():
        folder.remember(ended_candidates={number: {"epoch": 1} for number in range(25)})
    again = RunFolder(tmp_path, "a")
    assert not again.damaged
    assert len(again.recall("ended_candidates")) == 25


def test_another_process_goes_on_with_what_is_known(tmp_path: Path) -> None:
    begin(tmp_path)
    again = RunFolder(tmp_path, "a")
    assert again.finished() is None
    assert again.recall("teacher_examples") == 7
    assert again.recall("nothing", "default") == "default"
    with again.locked():
        assert again.recall("teacher_examples") == 7
        for name in RECORDS:
            assert read_sealed(again.work / name) == {"identity": "a", "teacher_examples": 7}


@pytest.mark.parametrize("make", [begin, finish])
def test_another_run_in_it(make, tmp_path: Path) -> None:
    make(tmp_path / "run")
    with pytest.raises(InputError, match=r"--out: this folder holds another run .*use --overwrite"):
        RunFolder(tmp_path / "run", "b")
    assert RunFolder(tmp_path / "run", "a").identity == "a"
    other = RunFolder(tmp_path / "run", "b", overwrite=True)
    assert other.finished() is None
    assert other.recall("teacher_examples") is None
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".work"]


def written(path: Path, *names: str) -> RunFolder:
    """A finished run that wrote these files."""
    folder = RunFolder(path, "a")
    with folder.locked():
        folder.owns(*names)
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text("the run's")
        assert folder.close(result()).files == folder.files == sorted(names)
    return folder


@pytest.mark.parametrize("linked", [False, True])
def test_overwriting_removes_what_the_run_wrote_and_nothing_else(linked: bool, tmp_path: Path) -> None:
    path = tmp_path / "run"
    written(path, "model.safetensors", "tensorboard/log", "figures/one.png")
    own = [path / "notes.txt", path / "figures" / "mine.png"]
    for file in own:
        file.write_text("the user's")
    if linked:
        path = tmp_path / "link"
        path.symlink_to("run")
    other = RunFolder(path, "b", overwrite=True)
    left = {str(file.relative_to(tmp_path / "run")) for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert {each for each in left if not each.startswith(".work")} == {"notes.txt", "figures/mine.png"}
    assert other.finished() is None
    assert other.files == []
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert RunFolder(path, "b").identity == "b"
    assert path.is_symlink() == linked


def test_a_record_names_no_files_elsewhere(tmp_path: Path) -> None:
    """A planted one could."""
    written(tmp_path / "run", "config.json")
    (tmp_path / "thesis.tex").write_text("years of work")
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    named = ["../thesis.tex", str(tmp_path / "thesis.tex")]
    (tmp_path / "run" / "result.json").write_text(json.dumps(record | {"files": named}))
    RunFolder(tmp_path / "run", "b", overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("where", ["unlink", "replace"])
def test_overwriting_that_is_killed_is_begun_again(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never does the new run go on from the other one's work, nor is the other one's result taken for its own."""
    begin(tmp_path / "run")
    written(tmp_path / "done", "config.json")
    for folder in ("run", "done"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Path, where, raising)
            RunFolder(tmp_path / folder, "b", overwrite=True)
        with pytest.raises(InputError, match="another run"):
            RunFolder(tmp_path / folder, "b")
        assert RunFolder(tmp_path / folder, "b", overwrite=True).recall("teacher_examples") is None


def raising(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("make", [begin, finish])
def test_overwriting_is_for_other_runs(make, tmp_path: Path) -> None:
    """The same command, --overwrite and all, goes on where it stopped."""
    make(tmp_path / "run")
    again = RunFolder(tmp_path / "run", "a", overwrite=True)
    if make is begin:
        assert again.recall("teacher_examples") == 7
    else:
        assert again.finished() == result()


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_files_are_safe(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="this folder is not empty and holds no run"):
        RunFolder(tmp_path, "a", overwrite)
    with pytest.raises(InputError, match="this is a file; a run needs a folder"):
        RunFolder(tmp_path / "thesis.tex", "a", overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "a").finished() is None


def test_a_failed_run_may_be_tried_again(tmp_path: Path) -> None:
    folder = finish(tmp_path / "run", status="failed")
    assert folder.finished() is None
    assert not folder.work.exists()
    assert finish(tmp_path / "run").finished() == result()


def test_a_run_that_pauses(tmp_path: Path) -> None:
    folder, so_far = begin(tmp_path), result(status="pruned").model_copy(update={"history": [{}, {}]})
    with folder.locked():
        folder.write(so_far)
    again = RunFolder(tmp_path, "a")
    assert again.finished() is None
    assert again.recall("teacher_examples") == 7
    assert [again.paused(epoch) for epoch in (1, 2, 3, None)] == [so_far, so_far, None, None]
    assert RunFolder(tmp_path, "a", overwrite=True).paused(2) == so_far
    with folder.locked():
        folder.write(further := so_far.model_copy(update={"paused_after": 3}))  # its best candidate stopped after 2
    assert [again.paused(epoch) for epoch in (3, 4)] == [further, None]
    with pytest.raises(InputError, match="this folder holds another run"):
        RunFolder(tmp_path, "b")
    assert finish(tmp_path).finished() == result()
    assert again.paused(1) is None


def test_two_processes_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        folder = RunFolder(tmp_path / "run", "a")
        with pytest.raises(RunError, match="another process is working in"), folder.locked():
            pytest.fail("two processes in one folder")
        folder.tidy()
        assert folder.work.exists()
        with pytest.raises(RunError, match="another process is working in"):
            RunFolder(tmp_path / "run", "b", overwrite=True)
        assert RunFolder(tmp_path / "run", "a").finished() is None
        other.kill()
    with folder.locked():
        assert (folder.work / "run.json").is_file()


# --- killed at the worst moments ---------------------------------------------------------------------


def test_killed_before_it_wrote_whose_folder_this_is(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    for name in RECORDS:
        (tmp_path / "run" / ".work" / name).unlink()
    folder = RunFolder(tmp_path / "run", "b")
    assert folder.finished() is None
    assert not folder.damaged


DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a flipped bit": lambda content: content[: len(content) // 2] + b"\x00" + content[len(content) // 2 + 1 :],
    "another number": lambda content: content.replace(b"7", b"8"),
    "a list": lambda content: b"[1]",
    "nested": lambda content: b"[" * 100_000,
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_record_is_no_loss(damage: str, name: str, tmp_path: Path) -> None:
    record = begin(tmp_path).work / name
    record.write_bytes(DAMAGE[damage](record.read_bytes()))
    folder = RunFolder(tmp_path, "a")
    assert not folder.damaged
    assert folder.recall("teacher_examples") == 7
    with pytest.raises(InputError, match="this folder holds another run"):
        RunFolder(tmp_path, "b")


@pytest.mark.parametrize("damage", [*DAMAGE, "gone"])
def test_work_of_which_nothing_is_remembered_is_not_gone_on_with(damage: str, tmp_path: Path) -> None:
    """It may be another run's; before it is used by nobody else, it is removed."""
    work = begin(tmp_path).work
    (work / "student").mkdir()
    (work / "student" / "checkpoint.pt").write_bytes(b"of a")
    for name in RECORDS:
        if damage == "gone":
            (work / name).unlink()
        else:
            (work / name).write_bytes(DAMAGE[damage]((work / name).read_bytes()))
    folder = RunFolder(tmp_path, "b")
    assert folder.damaged
    assert folder.recall("teacher_examples") is None
    if damage != "gone":
        with pytest.raises(InputError, match="run.json: what was remembered of this run was damaged"):
            unfinished(tmp_path)
    with folder.locked():
        assert {path.name for path in work.iterdir()} == {"lock", *RECORDS}
    assert RunFolder(tmp_path, "b").identity == "b"


def test_killed_while_it_wrote_the_result(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    (tmp_path / "run" / ".result.json.part").write_text("{")
    again = RunFolder(tmp_path / "run", "a")
    assert again.finished() is None
    assert again.recall("teacher_examples") == 7


@pytest.mark.parametrize("removed", ["run.json", "lock", ""])
def test_killed_while_it_cleaned_up(removed: str, tmp_path: Path) -> None:
    """The result is whole, so the run is over, whatever is left beside it."""
    folder = begin(tmp_path / "run")
    left = {path: path.read_bytes() for path in folder.work.iterdir()}
    finish(tmp_path / "run")
    folder.work.mkdir()
    for path, content in left.items():
        path.write_bytes(content)
    (folder.work / removed).unlink() if removed else None
    again = RunFolder(tmp_path / "run", "a")
    assert again.finished() == result()
    again.tidy()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result.json"]
    with pytest.raises(InputError):
        RunFolder(tmp_path / "run", "b")


def test_the_log_comes_along(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run")
    (folder.work / "student" / "tensorboard").mkdir(parents=True)
    (folder.work / "student" / "tensorboard" / "events").write_text("log")
    with folder.locked():
        folder.close(result())
    assert (tmp_path / "run" / "tensorboard" / "events").read_text() == "log"
    shutil.rmtree(tmp_path / "run")
