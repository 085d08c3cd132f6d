"""A search that is killed (-9) at random moments, beside one that is not: same pieces, same scores, same winner.

Both go on from one beginning, since what trainings are predicted to cost is measured once, when a search begins, and
decides with what is tried.

    python benchmarks/killed_search.py [--data demo] [--teacher MODEL] [--student lstm:hidden=16] [--kills 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import Others, features, in_words

from autodistill.history.store import Store

CLI = Path(__file__).resolve().parents[1] / "cli.py"
OUT = "search"
STEP = ("candidate", "epochs", "score", "over", "closing", "failed", "choice", "gain")
"""What a piece of training is; the rest is how long it took."""
RESULT = ("identity", "scores", "history", "student_score", "student_alone_score", "best_epoch")


class Search:
    """The command, in a folder of its own."""

    def __init__(self, folder: Path, command: list[str]):
        self.folder, self.command = folder, command

    def begin(self) -> subprocess.Popen[bytes]:
        """The command, begun or gone on with."""
        known = os.environ | {"PYTHONPATH": str(CLI.parent)}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self.command, cwd=self.folder, env=known, start_new_session=True, stdout=log, stderr=log
            )

    def end(self) -> None:
        """Lets it end; an error where it fails."""
        if code := self.begin().wait():
            raise SystemExit(f"ended with {code}: {(self.folder / 'log').read_text('utf-8')[-2000:]}")

    def record(self) -> dict[str, Any] | None:
        """What it has done so far; None before it has begun."""
        path = next((self.folder / OUT).glob("search-*.json"), None)
        return None if path is None else json.loads(path.read_text("utf-8"))

    def pieces(self) -> int:
        """How many pieces of training it has made."""
        found = self.record()
        return 0 if found is None else len(found["steps"])

    def outcome(self) -> dict[str, Any]:
        """All that must not depend on when it was stopped."""
        record = self.record()
        assert record is not None
        runs = Store(str(self.folder / "store.db")).runs()
        return {
            "steps": [{key: step[key] for key in STEP} for step in record["steps"]],
            "winner": record["winner"],
            "ended": record["ended"],
            "runs": sorted(json.dumps([getattr(run, key) for key in RESULT], default=str) for run in runs),
        }


def kill(process: subprocess.Popen[bytes]) -> None:
    """It and all of its processes, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def begun(folder: Path, command: list[str]) -> Search:
    """A search whose record has been begun, killed before it has gone far."""
    folder.mkdir()
    search = Search(folder, command)
    process = search.begin()
    while not search.pieces():
        if process.poll() is not None:
            raise SystemExit(f"it ended early: {(folder / 'log').read_text('utf-8')[-2000:]}")
        time.sleep(0.05)
    kill(process)
    return search


def measured(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What both came to."""
    command = [sys.executable, str(CLI), "run", given.data, "--teacher", given.teacher, "--student", given.student]
    command += [
        "--trials",
        str(given.trials),
        "--max-train",
        str(given.rows),
        "--set",
        f"training.epochs={given.epochs}",
    ]
    command += ["--teacher-epochs", "2", "--precision", "float32", "--device", "cpu"]
    command += ["--out", OUT, "--store", "store.db", "--cache-dir", "cache"]
    beginning = begun(folder / "beginning", command)
    for name in ("undisturbed", "killed"):
        shutil.copytree(beginning.folder, folder / name)
    undisturbed, killed = (Search(folder / name, command) for name in ("undisturbed", "killed"))
    began = time.monotonic()
    undisturbed.end()
    seconds, dice, pieces = time.monotonic() - began, random.Random(given.seed), []
    for _ in range(given.kills):
        process, before = killed.begin(), killed.pieces()
        wait = time.monotonic() + given.latest * dice.random()
        while process.poll() is None and (killed.pieces() == before or time.monotonic() < wait):
            time.sleep(0.02)  # something is made each time
        if process.poll() is not None:
            raise SystemExit(f"it ended before it was killed {given.kills} times: more --trials, or fewer kills")
        time.sleep(given.latest / 4 * dice.random())
        kill(process)
        pieces.append(killed.pieces())
    killed.end()
    one, other = undisturbed.outcome(), killed.outcome()
    return {
        "pieces": len(one["steps"]),
        "tried": len({step["candidate"] for step in one["steps"]}),
        "seconds": seconds,
        "killed_after_pieces": pieces,
        "same_history": one["steps"] == other["steps"] and one["ended"] == other["ended"],
        "same_winner": one["winner"] == other["winner"] != "",
        "same_runs": one["runs"] == other["runs"],
        "runs": len(one["runs"]),
    }


def main() -> None:
    """Prints what both came to, or JSON; fails where they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--teacher", default="scratch:layers=2,hidden=32,heads=2")
    parser.add_argument("--student", default="lstm:hidden=16")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--latest", type=float, default=10.0, help="seconds after which it is killed, at most about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Others() as others:
        found = measured(Path(name), given)
    if given.json:
        print(json.dumps(found))
    else:
        print(f"{in_words(features())}; others kept {others.cores:.2f} cores busy\n")
        print("\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in found.items()))
    if not found["same_history"] or not found["same_winner"] or not found["same_runs"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
