"""A run under way and its folder: which run it holds, how far it came, and what it leaves.

    out/                the student (`save_pretrained` layout), result.json, pipeline.toml, README.md
    out/.work/          while the run is under way or pauses: its identity (twice), checkpoints, best weights

A folder belongs to one run, which goes on where it stopped, or, when it is finished, gives back its result;
another run in it is an error unless it may be overwritten. A run that pauses leaves `result.json` beside its work.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from engine.base.errors import InputError, RunError
from engine.base.files import RESULT_FILE, WORK, read_sealed, remove, write_sealed, write_text
from engine.base.text import expanded
from engine.run.result import RunResult

if TYPE_CHECKING:  # these load torch
    from engine.base.machine import Machine
    from engine.run.plan import RunPlan

RECORDS = ("run.json", "run-copy.json")  # the same twice: without it a run's work belongs to nobody
LOCK = "lock"


class RunFolder:
    """A run's folder, opened for one identity, a hash of everything that decides the result.

    Raises:
        InputError: The folder holds another run, or files that belong to no run.
        RunError: The run to be thrown away is under way in another process.
    """

    def __init__(self, path: str | Path, identity: str, overwrite: bool = False):
        self.path, self.identity = expanded(path), identity
        self.work, self._over = self.path / WORK, self.path / f"{WORK}.over"
        self._record: dict[str, Any] = {"identity": identity}
        self.damaged = False  # whether there was work of which nothing can be said
        if self.path.is_file():
            raise InputError.of("--out", "this is a file; a run needs a folder", repr(str(path)))
        held = self._held()
        if overwrite and held not in (None, identity):
            held = identity
            with self.locked():  # not while another process works in it
                self._throw_away()
        if held not in (None, identity):
            what = "this folder holds another run (other pipeline, dataset, models, seed or precision)"
            raise InputError.of("--out", what, repr(str(path)), (), "Name a new folder, or use --overwrite.")
        ours = {WORK, self._over.name}
        if held is None and self.path.is_dir() and {path.name for path in self.path.iterdir()} - ours:
            what = "this folder is not empty and holds no run"
            raise InputError.of("--out", what, repr(str(path)), (), "Name a new folder.")

    def _held(self) -> str | None:
        """Identity of the run in the folder."""
        if record := _remembered(self.work):
            self._record = record
            return record["identity"]
        self.damaged = any(path.name != LOCK and path.suffix != ".part" for path in self.work.glob("*"))
        result = RunResult.read(self.path)
        self._record |= {"identity": result.identity, "files": result.files} if result else {}
        return result.identity if result else None

    def _throw_away(self) -> None:
        """Removes what the run in the folder wrote, and nothing else; a kill on the way leaves it to be overwritten."""
        for name in self.files:
            path = self.path / name
            if path.resolve().is_relative_to(self.path.resolve()):  # a record may come from anywhere
                path.unlink(missing_ok=True)
        for folder in {(self.path / name).parent for name in self.files} - {self.path}:
            with suppress(OSError):  # something else lies in it
                folder.rmdir()
        (self.path / RESULT_FILE).unlink(missing_ok=True)
        self._clear()
        self._record = {"identity": self.identity}
        self.work.mkdir()
        self.remember()

    @property
    def files(self) -> list[str]:
        """What the run wrote, or is about to write, beside its record: paths within its folder."""
        return list(self.recall("files", []))

    def owns(self, *names: str) -> None:
        """The run is about to write these files."""
        self.remember(files=sorted({*self.files, *names}))

    def finished(self) -> RunResult | None:
        """The result, where this run was finished before."""
        result = RunResult.read(self.path)
        return result if result and result.status == "ok" else None

    def paused(self, epoch: int | None) -> RunResult | None:
        """The result so far, where this run pauses after `epoch` or a later one."""
        result = RunResult.read(self.path)
        there = result and result.status == "pruned" and epoch is not None and result.epochs >= epoch
        return result if there else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder, so that no two processes write the same run; a `RunError` where another one holds it."""
        self.work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.work / LOCK, timeout=0)
        try:
            with lock:
                if self.damaged and _remembered(self.work) is None:  # else another process has begun it anew
                    self._empty()
                self.damaged = False
                self.remember()
                yield
        except Timeout as error:
            raise RunError(f"another process is working in {self.path}") from error

    def remember(self, **facts: Any) -> None:
        """Keeps facts about the run for the process that may have to go on."""
        self._record |= facts
        for path in (self.work / name for name in RECORDS):
            if path.is_dir():  # which no file can be moved to
                remove(path)
            write_sealed(path, self._record)

    def recall(self, name: str, default: Any = None) -> Any:
        """A fact that this or an earlier process kept."""
        return self._record.get(name, default)

    def write(self, result: RunResult) -> None:
        """Writes the result; the work stays."""
        write_text(self.path / RESULT_FILE, result.to_json() + "\n")

    def close(self, result: RunResult) -> RunResult:
        """Writes the result, with the names of the run's files, and removes what only an unfinished run needs."""
        if (log := self.work / "student" / "tensorboard").is_dir():
            self.owns(*(str(file.relative_to(log.parent)) for file in log.rglob("*") if file.is_file()))
            shutil.copytree(log, self.path / "tensorboard", dirs_exist_ok=True)
        result = result.model_copy(update={"files": self.files})
        self.write(result)
        self._clear()
        return result

    def tidy(self) -> None:
        """Removes what is left where a process was killed just after it had written the result."""
        if self.work.exists():
            with suppress(RunError), self.locked():
                self._clear()
        shutil.rmtree(self._over, ignore_errors=True)

    def _empty(self) -> None:
        """Removes the work, but not the lock on it."""
        for path in set(self.work.iterdir()) - {self.work / LOCK}:
            remove(path)

    def _clear(self) -> None:
        shutil.rmtree(self._over, ignore_errors=True)
        self.work.replace(self._over)  # at once: half a folder of work must not be gone on with
        shutil.rmtree(self._over)


def _remembered(work: Path) -> dict[str, Any] | None:
    """What is remembered of a run; None where nothing was, or that was damaged."""
    there = (work / name for name in RECORDS if (work / name).exists())
    return next(filter(None, map(read_sealed, there)), None)


def unfinished(path: Path) -> dict[str, Any] | None:
    """How far the run in a folder is: `done`, stages that are over, `epochs` of the student, and `under_way`,
    training → the state in its checkpoint.

    None where no run was begun. What is kept in the cache (teachers, the student alone) is not seen before it is done.

    Raises:
        InputError: What was remembered of the run was damaged.
    """
    work = path / WORK
    if not any((work / name).exists() for name in RECORDS):
        return None
    if (record := _remembered(work)) is None:
        what = "what was remembered of this run was damaged; the same command begins it anew"
        raise InputError.of(str(work / RECORDS[0]), what)

    from engine.training.state import read_state  # loads torch

    states = {file.parent.name: read_state(file) for file in sorted(work.glob("*/checkpoint.pt"))}
    known = {"done": record.get("done", []), "epochs": record.get("epochs")}
    return {"status": "unfinished", **known, "under_way": {name: state for name, state in states.items() if state}}


@dataclass
class Run:
    """A run under way. Times and counts are kept in its folder, so that a resumed run adds to them."""

    plan: RunPlan
    folder: RunFolder
    machine: Machine
    _stage: str = field(default="", init=False)  # the one under way, and up to when its seconds are counted
    _counted: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.machine = replace(self.machine, saved=self._count_seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the seconds of a stage, also of one that fails or is stopped; of a kill those up to the checkpoint."""
        self._stage, self._counted = name, time.monotonic()
        try:
            yield
        finally:
            self._count_seconds()
        if self.machine.main:
            self.folder.remember(done=list(dict.fromkeys([*self.folder.recall("done", []), name])))

    def _count_seconds(self) -> None:
        now, seconds = time.monotonic(), self.stage_seconds
        seconds[self._stage] = seconds.get(self._stage, 0.0) + now - self._counted
        self._counted = now
        if self.machine.main:
            self.folder.remember(stage_seconds=seconds)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Stage → seconds, over all processes that worked on the run."""
        return dict(self.folder.recall("stage_seconds", {}))

    def count_passed(self, teacher: str, examples: int, anew: bool = False) -> None:
        """So many examples will pass through a teacher; the first count stays, unless it is made anew."""
        known = self.folder.recall("teacher_examples", {})
        if self.machine.main and (anew or teacher not in known):
            self.folder.remember(teacher_examples={**known, teacher: examples})

    @property
    def passed(self) -> int:
        """Training examples that pass through teachers, all of them together."""
        return sum(self.folder.recall("teacher_examples", {}).values())
