"""A search that is killed (-9) at random moments, beside one that is not: same pieces, same scores, same winner.

Both go on from one beginning, since what trainings are predicted to cost is measured once, when a search begins, and
decides with what is tried. Each time it is killed some seconds after it has made a piece of training, by chance, up to
`--latest`.

    python benchmarks/killed_search.py [--data demo] [--teacher MODEL] [--student lstm:hidden=16] [--kills 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import Others, features, in_words
from processes import begin, end, kill

from autodistill.history.store import Store

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
        return begin(self.folder, *self.command)

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


def killed_later(search: Search, seconds: float) -> None:
    """Goes on with a search, and kills it so long after it has made a piece; an error where it ends before."""
    process, before = search.begin(), search.pieces()
    while process.poll() is None and search.pieces() == before:
        time.sleep(0.02)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill(process)
    else:
        raise SystemExit(f"it ended before it was killed: {(search.folder / 'log').read_text('utf-8')[-2000:]}")


def measured(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What both came to."""
    command = ["run", given.data, "--teacher", given.teacher, "--student", given.student]
    command += ["--trials", str(given.trials), "--max-train", str(given.rows)]
    command += ["--set", f"training.epochs={given.epochs}"]
    command += ["--teacher-epochs", "2", "--precision", "float32", "--device", "cpu"]
    command += ["--out", OUT, "--store", "store.db", "--cache-dir", "cache"]
    beginning = Search(folder / "beginning", command)
    beginning.folder.mkdir()
    killed_later(beginning, 0.0)
    undisturbed, killed = (Search(folder / name, command) for name in ("undisturbed", "killed"))
    for search in (undisturbed, killed):
        shutil.copytree(beginning.folder, search.folder)
    began, dice, pieces = time.monotonic(), random.Random(given.seed), []
    end(undisturbed.folder, undisturbed.begin())
    seconds = time.monotonic() - began
    for _ in range(given.kills):
        killed_later(killed, given.latest * dice.random())
        pieces.append(killed.pieces())
    end(killed.folder, killed.begin())
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
    parser.add_argument("--latest", type=float, default=3.0, help="seconds after a piece, at most")
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
