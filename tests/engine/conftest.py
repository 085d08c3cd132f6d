"""What the tests of the engine share: options for this machine, a place for models, an ear."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import Pipeline, distill
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.data.task import Task
from tests.engine.runs import RUNS, TEACHER, TRAINING, TUNING, Finished
from tests.toys import save_tiny, toy_task


class Ear:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.stages: list[tuple[str, int, int, str]] = []
        self.most: list[bool] = []
        self.advanced: dict[str, int] = {}
        self.finished: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self.stages.append((stage, total, done, unit))
        self.most.append(most)

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.advanced[stage] = self.advanced.get(stage, 0) + count

    def finish(self, stage: str) -> None:
        self.finished.append(stage)

    @property
    def worked(self) -> dict[str, int]:
        """Stage → units, evaluations left out."""
        return {stage: count for stage, count in self.advanced.items() if stage != "evaluation"}


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C, which a process that was started in the background would not hear."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def options_with(cache: Path) -> RunOptions:
    return RunOptions(device="cpu", precision="float32", cache_dir=str(cache), checkpoint_seconds=3600)


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    """On the CPU in float32, with an empty cache of its own."""
    return options_with(tmp_path / "cache")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> RunOptions:
    """The same with one cache for all tests, so that each teacher is fine-tuned once."""
    return options_with(tmp_path_factory.mktemp("warm"))


@pytest.fixture
def machine(options: RunOptions, ear: Ear) -> Machine:
    return machine_for(options, ear)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the folder of a tiny model with a head for a toy task; written once for the same arguments."""
    folders: dict[str, Path] = {}

    def folder(task: Task | str = "single", architecture: str = "bert", **more: object) -> Path:
        task = toy_task(task) if isinstance(task, str) else task
        key = repr((task.name, architecture, sorted(more.items(), key=str)))
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(architecture)
            save_tiny(folders[key], task, architecture, **more)
        return folders[key]

    return folder


@pytest.fixture(scope="session")
def finished(warm: RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Gives a finished run on a toy task; each is made once."""
    done: dict[str, Finished] = {}

    def run(name: str) -> Finished:
        if name not in done:
            task, ear, out = toy_task(name), Ear(), tmp_path_factory.mktemp("run") / name
            student, components = RUNS[name]
            pipeline = Pipeline.model_validate(components | {"training": TRAINING})
            more = {"fine_tuning": TUNING, "options": warm, "reporter": ear}
            result = distill(task, teacher=TEACHER, student=student, pipeline=pipeline, out=out, **more)
            done[name] = Finished(task, result, out, ear.advanced)
        return done[name]

    return run
