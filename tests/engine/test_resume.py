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

import pytest

from tests.records import lasting

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = {
    "in the first epoch of the teacher": ("advance", "teacher", 10),
    "in a later epoch of the teacher": ("advance", "teacher", 45),
    "when the teacher is trained and not yet kept": ("message", "teacher: accuracy", 1),
    "in the baseline": ("advance", "baseline", 30),
    "in the pass over the data": ("advance", "teacher signals", 2),
    "in the first epoch of the student": ("advance", "student", 10),
    "when it pauses and the record does not say so yet": ("write", "result.json", 1),
    "not at all, so it pauses": None,
    "in a later epoch of the student": ("advance", "student", 45),
    "when the student is trained and not yet saved": ("message", "student: accuracy", 1),
    "when the student is saved and the record is not": ("write", "result.json", 1),
    "when the record is written and the work is not yet cleared away": ("clear", ".work.over", 1),
}
"""What, of which stage or message or file, how often in this attempt."""
PAUSES = {moment: 1 for moment in MOMENTS if "pauses" in moment}
"""After which epoch of the student an attempt stops of itself."""


@dataclass
class Killer:
    """A reporter that ends its process at a moment, and notes how each stage began."""

    moment: tuple[str, str, int] | None
    log: Path
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def happened(self, what: str, where: str) -> None:
        self.seen[what, where] = self.seen.get((what, where), 0) + 1
        kind, place, count = self.moment or ("", "", 0)
        if what == kind and where.startswith(place) and self.seen[what, where] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def message(self, text: str) -> None:
        self.happened("message", text.split(" 0.")[0])

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps") -> None:
        with self.log.open("a") as file:
            file.write(json.dumps([stage, total, done]) + "\n")

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.happened("advance", stage)

    def finish(self, stage: str) -> None:
        pass


def attempt(folder: Path, moment: tuple[str, str, int] | None, until_epoch: int | None) -> int:
    """One process of the run; gives its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        run(folder, moment, until_epoch)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def run(folder: Path, moment: tuple[str, str, int] | None, until_epoch: int | None) -> None:
    """The run itself, in the child."""
    import shutil

    from engine import distill, files, run_folder
    from engine.options import FineTuning, RunOptions
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
    run_folder.shutil.rmtree = watched_rmtree  # type: ignore[assignment]
    critic = {"kind": "transformer", "width": 16, "layers": 1, "feed_forward": 32, "heads": 2}
    distill(
        toy_task("single"),
        teacher="scratch:layers=2,hidden=32,heads=2",
        student="scratch:layers=1,hidden=32,heads=2",
        pipeline={
            "intermediate": {"kind": "mi_alpha", "critic": critic},
            "mapping": {"kind": "emd"},
            "augmentation": "random+mixup",
            "training": {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3},
        },
        out=folder / "out",
        with_baseline=True,
        until_epoch=until_epoch,
        fine_tuning=FineTuning(epochs=3, batch_size=8, learning_rate=1e-3),
        options=RunOptions(
            device="cpu", precision="float32", cache_dir=str(folder / "cache"), checkpoint_seconds=0
        ),
        reporter=killer,
    )


def main(folder: Path) -> None:
    """The undisturbed run, then the killed one; prints the exit status of every attempt."""
    import engine.run  # noqa: F401 - loaded before the forks

    codes = {}
    for name, moments in (("whole", {}), ("killed", MOMENTS)):
        (folder / name).mkdir()
        stops = [(moment, PAUSES.get(when)) for when, moment in moments.items()]
        codes[name] = [attempt(folder / name, *stop) for stop in (*stops, (None, None))]
    print(json.dumps(codes))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.test_resume", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout)
    kills = [-signal.SIGKILL if moment else 0 for moment in MOMENTS.values()]
    assert codes == {"whole": [0], "killed": [*kills, 0]}, done.stderr
    return folder


def stages(folder: Path, stage: str) -> list[int]:
    """Units that were done already each time a stage began."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [done for name, _, done in lines if name == stage]


def test_the_record_is_that_of_an_undisturbed_run(ended: Path) -> None:
    whole, killed = (
        json.loads((ended / name / "out" / "result.json").read_text()) for name in ("whole", "killed")
    )
    assert lasting(killed) == lasting(whole)
    assert whole["train_examples"] == 192
    assert whole["teacher_examples"] == 192 + 3 * 192  # once for the cache, and augmented in every epoch
    assert whole["status"] == "ok"


def test_the_student_is_the_same_bit_for_bit(ended: Path) -> None:
    for file in ("model.safetensors", "config.json", "tokenizer.json", "pipeline.toml"):
        assert (ended / "killed" / "out" / file).read_bytes() == (ended / "whole" / "out" / file).read_bytes()


def test_the_signals_are_the_same_bit_for_bit(ended: Path) -> None:
    def arrays(name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (ended / name / "cache" / "signals").glob("*/*")}

    assert arrays("killed") == arrays("whole") != {}


@pytest.mark.parametrize(
    "stage, stops", [("teacher", 3), ("baseline", 1), ("teacher signals", 1), ("student", 6)]
)
def test_every_stage_goes_on_where_it_was(stage: str, stops: int, ended: Path) -> None:
    assert stages(ended / "whole", stage) == [0]
    done = stages(ended / "killed", stage)
    assert len(done) == 1 + stops
    assert done[0] == 0
    assert all(later > 0 for later in done[1:])
    assert done == sorted(done)


def test_nothing_is_left_of_the_kills(ended: Path) -> None:
    def files(name: str) -> set[str]:
        return {path.relative_to(ended / name).as_posix() for path in (ended / name).rglob("*")}

    assert files("killed") == files("whole")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
