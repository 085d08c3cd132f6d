"""A run that is killed again and again, and pauses in between, ends as if nothing had happened.

The kills are real (SIGKILL, nothing is cleaned up) and come at chosen moments: a process that has
loaded everything forks a child for each attempt, and the child kills itself at its moment. So the
slow imports happen once. `python -m tests.engine.test_resume FOLDER` is that process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.records import lasting

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = {
    "in the first epoch of the teacher": ("advance", "teacher", 10),
    "in a later epoch of the teacher": ("advance", "teacher", 45),
    "when the teacher is trained and not yet kept": ("message", "teacher: accuracy", 1),
    "in the student alone": ("advance", "student alone", 30),
    "in the pass over the data": ("advance", "teacher signals", 2),
    "in the first epoch of the student": ("advance", "student", 10),
    "when it pauses and the record does not say so yet": ("write", "result.json", 1),
    "not at all, so it pauses": None,
    "in a later epoch of the student": ("advance", "student", 45),
    "when the student is trained and not yet saved": ("message", "student: accuracy", 1),
    "when the student is saved and the record is not": ("write", "result.json", 1),
    "when the record is written and the work is not yet cleared away": ("clear", ".work.over", 1),
}
TEAM_MOMENTS = {
    "when a member is trained and not yet kept": ("message", "layers:1: accuracy", 1),
    "in a member's pass over the data": ("advance", "teacher signals", 3),
    "in phase 1 of the search": ("advance", "search for θ", 20),
    "in phase 2 of the search": ("advance", "search for θ", 30),
    "in the first candidate": ("advance", "candidate 1", 10),
    "not at all, so it pauses": None,
    "in the second candidate": ("advance", "candidate 2", 30),
    "when the student is trained and not yet saved": ("message", "student: accuracy", 1),
    "when the history of θ is written and the record is not": ("write", "result.json", 1),
}
"""What, of which stage or message or file, how often in this attempt."""
LONG = 1000.0
"""Seconds that the first step of the student takes in each attempt, by the clock of the run."""
PAUSES = "pauses"
"""Where a moment says so, an attempt stops of itself after the first epoch of the student."""
CRITIC = {"kind": "transformer", "width": 16, "layers": 1, "feed_forward": 32, "heads": 2}
CASES = {
    "one teacher": (
        MOMENTS,
        {
            "intermediate": {"kind": "mi_alpha", "critic": CRITIC},
            "mapping": {"kind": "emd"},
            "augmentation": "random+mixup",
        },
    ),
    "team": (
        TEAM_MOMENTS,
        {
            "team": {
                "kind": "autoskd",
                "members": ["layers:1", "scratch:layers=1,hidden=16,heads=1"],
                "dropped": 1,
                "candidates": 2,
            }
        },
    ),
}


@dataclass
class Killer:
    """A reporter that ends its process at a moment, and notes how each stage began."""

    moment: tuple[str, str, int] | None
    log: Path
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    later: float = 0.0  # seconds by which the clock of the run is ahead

    def happened(self, what: str, where: str) -> None:
        self.seen[what, where] = self.seen.get((what, where), 0) + 1
        kind, place, count = self.moment or ("", "", 0)
        if what == kind and where.startswith(place) and self.seen[what, where] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def message(self, text: str) -> None:
        self.happened("message", text.split(" 0.")[0])

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps([stage, total, done]) + "\n")

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.happened("advance", stage)
        if stage == "student" and self.seen["advance", stage] == 1:
            self.later += LONG
            self.start("a long step of the student", 1)

    def finish(self, stage: str) -> None:
        pass


def attempt(
    folder: Path, pipeline: dict[str, Any], moment: tuple[str, str, int] | None, until_epoch: int | None
) -> int:
    """One process of the run; gives its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        run(folder, pipeline, moment, until_epoch)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def run(folder: Path, pipeline: dict[str, Any], moment: tuple[str, str, int] | None, until_epoch: int | None) -> None:
    """The run itself, in the child."""
    import shutil
    import time
    from types import SimpleNamespace

    from engine import distill
    from engine.base import files
    from engine.base.options import FineTuning, RunOptions
    from engine.run import folder as run_folder
    from tests.toys import toy_task

    killer = Killer(moment, folder / "log")
    replace, rmtree = Path.replace, shutil.rmtree

    def watched_replace(path: Path, target: Path) -> Path:
        killer.happened("write", Path(target).name)
        return replace(path, target)

    def watched_rmtree(path: Path, ignore_errors: bool = False) -> None:
        killer.happened("clear", Path(path).name)
        rmtree(path, ignore_errors)

    files.Path.replace = watched_replace  # type: ignore[method-assign]
    run_folder.time = SimpleNamespace(monotonic=lambda: time.monotonic() + killer.later)  # type: ignore[assignment]
    run_folder.shutil.rmtree = watched_rmtree  # type: ignore[assignment]
    distill(
        toy_task("single"),
        teacher="scratch:layers=2,hidden=32,heads=2",
        student="scratch:layers=1,hidden=32,heads=2",
        pipeline=pipeline | {"training": {"epochs": 3, "early_stopping": 3, "batch_size": 8, "learning_rate": 1e-3}},
        out=folder / "out",
        student_alone=True,
        until_epoch=until_epoch,
        fine_tuning=FineTuning(epochs=3, early_stopping=3, batch_size=8, learning_rate=1e-3),
        options=RunOptions(device="cpu", precision="float32", cache_dir=str(folder / "cache"), checkpoint_seconds=0),
        reporter=killer,
    )


def main(folder: Path, case: str) -> None:
    """The undisturbed run, then the killed one; prints the exit status of every attempt."""
    import engine.distillation  # noqa: F401 - loaded before the forks

    kills, pipeline = CASES[case]
    codes = {}
    for name, moments in (("whole", {}), ("killed", kills)):
        (folder / name).mkdir()
        stops = [(moment, 1 if PAUSES in when else None) for when, moment in moments.items()]
        codes[name] = [attempt(folder / name, pipeline, *stop) for stop in (*stops, (None, None))]
    print(json.dumps(codes))


@dataclass(frozen=True)
class Ended:
    """Folders `whole` and `killed` of the same run."""

    case: str
    folder: Path

    def record(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / name / "out" / "result.json").read_text("utf-8"))


@pytest.fixture(scope="module", params=CASES)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    case, folder = request.param, tmp_path_factory.mktemp("resume")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.test_resume", str(folder), case],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout)
    kills = [-signal.SIGKILL if moment else 0 for moment in CASES[case][0].values()]
    assert codes == {"whole": [0], "killed": [*kills, 0]}, done.stderr
    return Ended(case, folder)


def stages(folder: Path, stage: str) -> list[int]:
    """Units that were done already each time a stage began."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [done for name, _, done in lines if name == stage]


def test_the_record_is_that_of_an_undisturbed_run(ended: Ended) -> None:
    whole, killed = map(ended.record, ("whole", "killed"))
    assert lasting(killed) == lasting(whole)
    assert whole["train_examples"] == 192
    # Once for the cache, and augmented ones in every epoch; or once for each of three members.
    assert whole["teacher_examples"] == {"one teacher": 192 + 3 * 192, "team": 3 * 192}[ended.case]
    assert whole["status"] == "ok"


def test_the_time_of_killed_processes_counts(ended: Ended) -> None:
    """As far as a checkpoint knows it."""
    for name in ("whole", "killed") if ended.case == "one teacher" else ():
        attempts = stages(ended.folder / name, "a long step of the student")
        assert len(attempts) >= {"whole": 1, "killed": 4}[name]
        assert ended.record(name)["stage_seconds"]["student"] // LONG == len(attempts)


def test_what_is_written_is_the_same_bit_for_bit(ended: Ended) -> None:
    files = ["model.safetensors", "config.json", "tokenizer.json", "pipeline.toml"]
    files += ["theta.csv"] if ended.case == "team" else []
    for file in files:
        one, other = ((ended.folder / name / "out" / file).read_bytes() for name in ("killed", "whole"))
        assert one == other


def test_the_signals_are_the_same_bit_for_bit(ended: Ended) -> None:
    def arrays(name: str) -> dict[str, bytes]:
        found = (ended.folder / name / "cache" / "signals").glob("*/*")
        return {
            f"{path.parent.name}/{path.name}": _content(path) if path.name == "steps" else path.read_bytes()
            for path in found
        }

    assert arrays("killed") == arrays("whole") != {}


def _content(steps: Path) -> bytes:
    """Every step that is kept, whoever made it."""
    from engine.base.progress import SilentReporter
    from engine.signals.augmented import AugmentedSteps

    kept = AugmentedSteps(steps.parent, 0, SilentReporter())
    assert kept.count == 3 * 24
    batches = [batch for step in range(kept.count) for batch in kept.read(step)]
    tensors = [each for batch in batches for each in (*batch.inputs.values(), batch.labels, batch.fetched.logits)]
    return b"".join(tensor.numpy().tobytes() for tensor in tensors)


STAGES = {
    "one teacher": {"teacher": 3, "student alone": 1, "teacher signals": 1, "student": 6},
    "team": {"layers:1": 1, "search for θ": 2, "candidate 1": 2, "candidate 2": 2},
}
"""Stage → how often it is taken up again."""


def test_every_stage_goes_on_where_it_was(ended: Ended) -> None:
    for stage, stops in STAGES[ended.case].items():
        assert stages(ended.folder / "whole", stage) == [0]
        done = stages(ended.folder / "killed", stage)
        assert len(done) == 1 + stops, stage
        assert done[0] == 0
        assert all(later > 0 for later in done[1:])
        assert done == sorted(done)


def test_nothing_is_left_of_the_kills(ended: Ended) -> None:
    def files(name: str) -> set[str]:
        return {path.relative_to(ended.folder / name).as_posix() for path in (ended.folder / name).rglob("*")}

    assert files("killed") == files("whole")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
