"""How many examples per second the engine distils, beside other programs and beside what no loop can beat.

A BERT classifier of 12 layers and width 768 teaches one of 4 layers and width 312: batches of 16, 64 tokens,
cross-entropy of the logits at temperature 4, mean squared error of four hidden layers through projections, AdamW. The
ways are processes that take a few steps each in turn, over and over, so that their ratios hold where the machine's
speed does not. The `limit` is the student alone, its teacher's answers in memory; `plain` a loop that anybody would
write; `engine_int8` is `engine_online` with `--int8-teacher`. Bf16 is measured where the processor has it. All have
threads that wait as the engine's do (`engine.base.threads`), and every step of the engine is one of `distill`.

    python benchmarks/throughput.py [--json] [--peers PYTHON] [--torchdistill PYTHON] [--steps 20] [--threads 2]

TextBrewer and torchdistill (`pip install textbrewer transformers`, `pip install torchdistill torchvision transformers`)
want environments of their own, with the same torch; the two options name their interpreters.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import IO, Any

from machine import Others, features, in_words
from ways.workload import Workload

from engine.base.machine import cpu_has_bf16

SCRIPTS = Path(__file__).parent / "ways"
BOTH, ONLY_FULL = ("float32", "bf16"), ("float32",)
WAYS = {
    "engine_cached": ("ours.py", BOTH),
    "engine_online": ("ours.py", BOTH),
    "engine_int8": ("ours.py", BOTH),
    "plain": ("loops.py", ONLY_FULL),
    "limit": ("loops.py", BOTH),
    "textbrewer": ("with_textbrewer.py", ONLY_FULL),
    "torchdistill": ("with_torchdistill.py", ONLY_FULL),
}
"""Label → its script, and the precisions that it is measured in."""
BUSY = "seconds of the processor are not lost to others on a busy machine; with --threads 1, where none waits"
PEERS = ("textbrewer", "torchdistill")


class LeftOutError(Exception):
    """Why a way cannot be measured here."""


@dataclass
class Way:
    """A program in a process of its own, and how long its steps took, turn by turn."""

    label: str
    workload: Workload
    python: str
    turns: list[float] = field(default_factory=list)  # the median step of each, in seconds
    others: Others = field(default_factory=Others)  # the other ways are ours too, and wait

    def start(self, stack: ExitStack) -> None:
        """Starts the process, which ends with the `stack`."""
        self._errors: IO[str] = stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 - the stack closes it
        command = [self.python, str(SCRIPTS / WAYS[self.label][0]), self.label, json.dumps(asdict(self.workload))]
        threads = {"OMP_NUM_THREADS": str(self.workload.threads), "TOKENIZERS_PARALLELISM": "false"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        self._process = stack.enter_context(
            subprocess.Popen(command, text=True, env=os.environ | threads | {"HF_HUB_OFFLINE": "1"}, **pipes)
        )

    def ready(self) -> None:
        """Waits until the first step can be taken.

        Raises:
            LeftOutError: The process ended instead.
        """
        self._answer()

    def steps(self, count: int) -> list[float]:
        """Has it take so many steps; the seconds of each."""
        print(count, file=self._process.stdin, flush=True)
        return self._answer()

    def turn(self, count: int) -> None:
        """Steps that count."""
        with self.others:
            self.turns.append(median(self.steps(count)))

    def _answer(self) -> list[float]:
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise LeftOutError(said[-1] if said else f"it ended with {self._process.wait()}")
        return list(map(float, json.loads(line)))


def interpreters(given: argparse.Namespace) -> dict[str, str]:
    """Label → the interpreter that runs it."""
    named = {"textbrewer": given.peers, "torchdistill": given.torchdistill}
    return {label: named.get(label) or sys.executable for label in given.ways}


def started(given: argparse.Namespace, stack: ExitStack, say: Callable[[str], None]) -> list[Way]:
    """All ways that can be measured here, ready; says which cannot, and why.

    Raises:
        LeftOutError: One that needs nothing but this repository cannot.
    """
    shapes = {name: getattr(given, name) for name in ("teacher", "student", "batch", "tokens", "threads", "clock")}
    workload = Workload(**shapes, steps=given.warmup + given.steps)
    ways = []
    for label, python in interpreters(given).items():
        for precision in WAYS[label][1]:
            if precision == "bf16" and not cpu_has_bf16():
                say(f"{label} in bf16 is left out: this processor would have to emulate it")
                continue
            ways.append(Way(label, replace(workload, precision=precision), python))
    for way in ways:
        way.start(stack)
    for way in list(ways):
        try:
            way.ready()
        except LeftOutError as error:
            if way.label not in PEERS:
                raise
            say(f"{way.label} is left out: {error} (in {way.python}; see --help)")
            ways.remove(way)
    return ways


def measured(ways: list[Way], warmup: int, steps: int, rounds: int) -> None:
    """Has the ways take their steps in turns."""
    for way in ways:
        way.steps(warmup)
    for number in range(rounds):
        for way in ways:
            way.turn(steps * (number + 1) // rounds - steps * number // rounds)


def ratio(way: Way, base: Way | None) -> float | None:
    """How many times as fast as another one, in the median of the rounds; None without it."""
    if base is None:
        return None
    return round(median(theirs / own for own, theirs in zip(way.turns, base.turns, strict=True)), 3)


def table(ways: list[Way]) -> list[dict[str, Any]]:
    """A row for each way; the limit that it is compared with has its precision, TextBrewer has one alone."""
    found = {(way.label, way.workload.precision): way for way in ways}
    return [
        {
            "label": way.label,
            "precision": way.workload.precision,
            "examples_per_s": round(way.workload.batch / median(way.turns), 2),
            "ratio_to_textbrewer": ratio(way, found.get(("textbrewer", "float32"))),
            "ratio_to_limit": ratio(way, found.get(("limit", way.workload.precision))),
            "others_cores": round(way.others.cores, 2),
        }
        for way in ways
    ]


def shown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join('' if cell is None else str(cell) for cell in line)} |" for line in lines)


def size(text: str) -> tuple[int, int]:
    """Layers and width of a model, as in `12x768`."""
    layers, width = text.split("x")
    return int(layers), int(width)


def main() -> None:
    """Measures all ways and prints their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter of an environment with TextBrewer")
    parser.add_argument("--torchdistill", metavar="PYTHON", help="interpreter of an environment with torchdistill")
    parser.add_argument("--steps", type=int, default=20, help="that are measured, of each way")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them")
    parser.add_argument("--rounds", type=int, default=5, help="in which the steps are taken")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help=BUSY)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, help="default: all")
    parser.add_argument("--teacher", type=size, default=Workload.teacher, metavar="LAYERSxWIDTH")
    parser.add_argument("--student", type=size, default=Workload.student, metavar="LAYERSxWIDTH")
    parser.add_argument("--batch", type=int, default=Workload.batch)
    parser.add_argument("--tokens", type=int, default=Workload.tokens)
    given = parser.parse_args()
    if not 1 <= given.rounds <= given.steps:
        parser.error("--rounds: at least one, and at most as many as there are steps")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    say(f"{in_words(features())}; threads {given.threads}")
    with ExitStack() as stack:
        ways = started(given, stack, say)
        measured(ways, given.warmup, given.steps, given.rounds)
    rows = table(ways)
    print(json.dumps(rows, indent=2) if given.json else shown(rows))


if __name__ == "__main__":
    main()
