"""Stops runs, searches, races and recommendations at random until they end: nothing may be lost, nothing differ.

    python -m tests.soak [--stops 100] [--seed 0] [--disk MEGABYTES] [--memory MEGABYTES]

Each job is first carried out undisturbed. Then it is begun again elsewhere and stopped at random moments, by SIGKILL,
SIGTERM or SIGINT, because its disk is full or its memory little; the same command goes on, until it ends by itself.
What it leaves must be what the undisturbed one left, and no process of it may live on. A disk of its own is mounted
where this is allowed (as root, on Linux); elsewhere no disk gets full, and no memory is little.

Prints a line a stop, at the end a table; ends with 1 where anything was lost, differs or lives on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from engine.base.files import SEAL
from tests.records import lasting

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("--teacher", "scratch:layers=2,hidden=32", "--student", "layers:1")
USUAL = ("data.csv", *MODELS, "--teacher-epochs", "3", "--precision", "float32", "--set", "training.epochs=6")
TEAM = ("team.kind=autoskd", 'team.members=["layers:1","layers:2"]', "team.candidates=2", "team.search_epochs=1")
JOBS = {
    "a run": ("run", *USUAL, "--out", "out", "--student-alone"),
    "a run that augments": ("run", *USUAL, "--out", "out", "--augment", "random", "--workers", "1"),
    "a search": ("run", *USUAL, "--out", "out", "--pipeline", "vanilla_kd", *(f"--set={each}" for each in TEAM)),
    "trials": ("run", *USUAL, "--out", "out", "--trials", "4"),
    "a race": ("run", *USUAL, "--out", "out", "--top", "3"),
    "a recommendation": ("recommend", *USUAL, "--out", "out"),
}
STOPS = {each.name: each for each in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)}
FULL, LITTLE = "full disk", "little memory"
MARK = "AUTODISTILLER_SOAK"  # in the environment of every process that a job begins
GRACE = 60  # seconds in which what was stopped must be gone, and no process of it left
LONGEST = 900  # seconds; a job that takes longer hangs
STARVED = "little memory, killed"
"""Python before 3.14 may go in a circle for ever where no byte is left for the number of a line (gh-132508)."""
TIMED = {"costs", "picks", "pareto", "students", "seconds", "made_at", SEAL}
"""Keys of a recommendation that follow from measured times, which differ; the last is the checksum over all."""
PICKED = ("rank", "key", "student", "ratio")
"""Of a pick, what does not."""
PASSED = "teacher_examples"
"""Of a run: what a killed one had not kept of the teacher's answers, another one asks for again."""
STEP = ("candidate", "epochs", "score", "choice", "gain", "over", "closing")
"""Of a piece of training, what does not."""
GIVEN = {"trials": "cache/costs"}
"""Job → what it finds there from the undisturbed one: measured times by which it decides."""


@dataclass
class Outcome:
    """What became of a job that was stopped again and again."""

    stops: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    """Stops jobs until enough stops are counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disk", type=int, default=64, help="megabytes of the disk that gets full")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--memory", type=int, default=1000, help="megabytes of which a job may take 60 to 100 %%")
    given = parser.parse_args()
    dice, outcomes = random.Random(given.seed), {name: Outcome() for name in given.jobs}
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder) / "data.csv")
        whole = {name: undisturbed(Path(folder), name) for name in given.jobs}
        while sum(outcome.stops.total() for outcome in outcomes.values()) < given.stops:
            for name, outcome in outcomes.items():
                with disk(Path(folder) / "disturbed", given.disk) as (place, may_fill):
                    shutil.copy(Path(folder) / "data.csv", place)
                    if name in GIVEN:
                        shutil.copytree(place_of(Path(folder), name) / GIVEN[name], place / GIVEN[name])
                    stopped(place, name, *whole[name], dice, outcome, given.memory * may_fill)
    print(f"\nseed {given.seed}")
    for name, outcome in outcomes.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in outcome.stops.items())
        print(f"{name}: {outcome.stops.total()} stops ({kinds}), {len(outcome.wrong)} wrong")
        print(*(f"  {each}" for each in outcome.wrong), sep="\n", end="\n" if outcome.wrong else "")
    sys.exit(any(outcome.wrong for outcome in outcomes.values()))


def write_data(path: Path) -> None:
    """240 texts of two classes that a small model can learn."""
    dice = random.Random(0)
    words = {"good": ["fine", "great", "lovely", "warm"], "bad": ["poor", "dull", "cold", "weak"]}
    others = ["the", "film", "plot", "music", "was", "and", "of", "it"]
    lines = ["text,label"]
    for row in range(240):
        label = ("good", "bad")[row % 2]
        said = dice.choices(words[label], k=2) + dice.choices(others, k=5)
        dice.shuffle(said)
        lines.append(f"{' '.join(said)} {row},{label}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


def undisturbed(folder: Path, name: str) -> tuple[dict[str, Any], float]:
    """What a job leaves, and the seconds that it takes."""
    place = place_of(folder, name)
    place.mkdir()
    shutil.copy(folder / "data.csv", place)
    began = time.monotonic()
    process = begun(place, JOBS[name])
    _, said = process.communicate(timeout=LONGEST)
    if process.returncode:
        sys.exit(f"{name} fails by itself:\n{said}")
    return left_by(place), time.monotonic() - began


def place_of(folder: Path, name: str) -> Path:
    """Where a job is carried out undisturbed."""
    return folder / name.replace(" ", "_")


def begun(place: Path, arguments: tuple[str, ...], memory: int | None = None) -> subprocess.Popen[str]:
    """A command in a session of its own, with cache and store in its folder, and so many bytes of memory."""
    kept = {"AUTODISTILLER_CACHE": str(place / "cache"), "AUTODISTILLER_STORE": str(place / "store.db")}
    environment = os.environ | kept | {MARK: str(place), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(_prepare, memory),
    )


def _prepare(memory: int | None) -> None:
    """Limits the memory of this process, and has it hear SIGINT: what a shell began in the background does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def stopped(
    place: Path, name: str, whole: dict[str, Any], seconds: float, dice: random.Random, outcome: Outcome, memory: int
) -> None:
    """Carries out a job in a folder, stopping it at random; notes what is wrong. With no memory, no disk is full."""
    end = time.monotonic() + 20 * LONGEST
    while time.monotonic() < end:
        how = dice.choice([*STOPS, FULL, LITTLE] if memory else [*STOPS])
        process = begun(place, JOBS[name], round(dice.uniform(0.6, 1) * memory * 1e6) if how == LITTLE else None)
        try:
            _, said = process.communicate(timeout=(3 if how == LITTLE else dice.uniform(0.1, 1.0)) * seconds)
            disturbed = how == LITTLE and process.returncode != 0
        except subprocess.TimeoutExpired:
            if how == LITTLE and sys.version_info < (3, 14) and computes(process.pid):
                how = STARVED
            said = stop(process, place, how)
            disturbed = process.returncode != 0  # else it ended meanwhile
        if disturbed:
            outcome.stops[how] += 1
            print(f"{name}: {how}, ended with {process.returncode}", flush=True)
            if "Traceback" in said:
                outcome.wrong.append(f"a traceback after {how}: {said.strip().splitlines()[-1]}")
            if left := living(place):
                outcome.wrong.append(f"{len(left)} processes live on after {how}: {left}")
                for each in left:
                    os.kill(each, signal.SIGKILL)
            continue
        if process.returncode:
            outcome.wrong.append(f"lost: {said.strip()}")
        elif (now := left_by(place)) != whole:
            outcome.wrong.append(f"different: {'; '.join(differing(whole, now))}")
        return
    outcome.wrong.append("it never ends")


def differing(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two records differ, and what stands there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differing(one.get(key), other.get(key), f"{place} {key}".strip())
    elif one != other:
        yield f"{place}: {one!r:.100} and {other!r:.100}"


def stop(process: subprocess.Popen[str], place: Path, how: str) -> str:
    """Stops a process, and gives what it said; one that a full disk does not stop ends by itself or is killed."""
    ballast = place / "ballast"
    if how == STARVED:
        process.kill()
    elif how in STOPS:
        process.send_signal(STOPS[how])
    elif how == FULL:
        fill(ballast)
    try:
        _, said = process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
        said = "" if how == FULL else f"Traceback: {how} was not heard"
    ballast.unlink(missing_ok=True)
    return said


def computes(process: int) -> bool:
    """Whether it is busy, and waits for nothing."""

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))

    before = ticks()
    time.sleep(2)
    return ticks() - before > 0.2 * os.sysconf("SC_CLK_TCK")


def fill(ballast: Path) -> None:
    """Takes all that is left of a disk."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            return


def living(place: Path) -> list[int]:
    """Processes that a job began and that are still there after a while."""
    end = time.monotonic() + GRACE
    while (found := [each for each in processes() if begun_by(each, place)]) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def processes() -> Iterator[int]:
    """All of this machine; none where it does not list them."""
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def begun_by(process: int, place: Path) -> bool:
    """Whether it carries the mark of a job, and has not ended."""
    try:
        about = Path(f"/proc/{process}/environ").read_bytes()
        ended = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
    return f"{MARK}={place}".encode() in about.split(b"\0") and not ended


def left_by(place: Path) -> dict[str, Any]:
    """What must be the same: weights, records without times, a recommendation without costs; names of all files."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in (place / "out").rglob("*") if path.is_file()):
        name = str(file.relative_to(place))
        found[name] = True
        if file.suffix == ".safetensors":
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        elif file.name == "result.json":
            found[name] = lasting(json.loads(file.read_text("utf-8")))
            found[name].pop(PASSED)
        elif file.name == "recommendation.json":
            record = json.loads(file.read_text("utf-8"))
            found[name] = {key: value for key, value in record.items() if key not in TIMED}
            found[name]["picks"] = [[pick[key] for key in PICKED] for pick in record["picks"]]
        elif file.name.startswith("search-"):
            record = json.loads(file.read_text("utf-8"))
            steps = [[step[key] for key in STEP] for step in record["steps"]]
            found[name] = [*steps, record["winner"], record["ended"], sorted(record["candidates"])]
    return found


@contextmanager
def disk(place: Path, megabytes: int) -> Iterator[tuple[Path, bool]]:
    """An empty folder, and whether it is a disk of its own, of so many megabytes."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    mounted = sys.platform == "linux" and subprocess.run(["mount", *options], capture_output=True).returncode == 0
    try:
        yield place, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
