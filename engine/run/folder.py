"""A run under way and its folder: which run it holds, how far it came, and what it leaves.

    out/                the student (`save_pretrained` layout), result.json, pipeline.toml, README.md
    out/.work/          while the run is under way or pauses: its identity, checkpoints, best weights

A folder belongs to one run, which goes on where it stopped, or, when it is finished, gives back its result;
another run in it is an error unless it may be overwritten. A run that pauses leaves `result.json` beside its work.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from engine.base.errors import InputError, RunError
from engine.base.files import RESULT_FILE, WORK, write_text
from engine.base.text import expanded
from engine.run.result import RunResult

if TYPE_CHECKING:  # these load torch
    from engine.base.machine import Machine
    from engine.run.plan import RunPlan

RECORD = "run.json"


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
        if self.path.is_file():
            raise InputError.of("--out", "this is a file; a run needs a folder", repr(str(path)))
        held = self._held()
        if overwrite and held not in (None, identity):
            with self.locked():  # not while another process works in it
                shutil.rmtree(self.path)
            held, self._record = None, {"identity": identity}
        if held not in (None, identity):
            what = "this folder holds another run (other pipeline, dataset, models, seed or precision)"
            raise InputError.of("--out", what, repr(str(path)), (), "Name a new folder, or use --overwrite.")
        if held is None and self.path.is_dir() and {path.name for path in self.path.iterdir()} - {WORK}:
            what = "this folder is not empty and holds no run"
            raise InputError.of("--out", what, repr(str(path)), (), "Name a new folder.")

    def _held(self) -> str | None:
        """Identity of the run in the folder."""
        if (self.work / RECORD).is_file():
            self._record = json.loads((self.work / RECORD).read_text("utf-8"))
            return self._record["identity"]
        result = RunResult.read(self.path)
        return result.identity if result else None

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
        lock = FileLock(self.work / "lock", timeout=0)
        try:
            with lock:
                self.remember()
                yield
        except Timeout as error:
            raise RunError(f"another process is working in {self.path}") from error

    def remember(self, **facts: Any) -> None:
        """Keeps facts about the run for the process that may have to go on."""
        self._record |= facts
        write_text(self.work / RECORD, json.dumps(self._record, indent=2))

    def recall(self, name: str, default: Any = None) -> Any:
        """A fact that this or an earlier process kept."""
        return self._record.get(name, default)

    def write(self, result: RunResult) -> None:
        """Writes the result; the work stays."""
        write_text(self.path / RESULT_FILE, result.to_json() + "\n")

    def close(self, result: RunResult) -> None:
        """Writes the result and removes what only an unfinished run needs."""
        if (log := self.work / "student" / "tensorboard").is_dir():
            shutil.copytree(log, self.path / "tensorboard", dirs_exist_ok=True)
        self.write(result)
        self._clear()

    def tidy(self) -> None:
        """Removes what is left where a process was killed just after it had written the result."""
        if self.work.exists():
            with suppress(RunError), self.locked():
                self._clear()
        shutil.rmtree(self._over, ignore_errors=True)

    def _clear(self) -> None:
        shutil.rmtree(self._over, ignore_errors=True)
        self.work.replace(self._over)  # at once: half a folder of work must not be gone on with
        shutil.rmtree(self._over)


def unfinished(path: Path) -> dict[str, Any] | None:
    """How far the run in a folder is: `done`, stages that are over, `epochs` of the student, and `under_way`,
    training → the state in its checkpoint.

    None where no run was begun. What is kept in the cache (teachers, the student alone) is not seen before it is done.
    """
    work = path / WORK
    if not (work / RECORD).is_file():
        return None

    from engine.training.state import read_state  # loads torch

    record = json.loads((work / RECORD).read_text("utf-8"))
    states = {file.parent.name: read_state(file) for file in sorted(work.glob("*/checkpoint.pt"))}
    known = {"done": record.get("done", []), "epochs": record.get("epochs")}
    return {"status": "unfinished", **known, "under_way": states}


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
