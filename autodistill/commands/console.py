"""Everything that a person sees: progress, tables, messages.

Decided here: results go to stdout, everything else to stderr, so that `--json` gives pure JSON and
a pipe gets the result alone. Printing and rich live here and in cli.py, nowhere else. Of several
processes only the first one speaks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from engine.base.errors import AutoDistillerError, InputError
from engine.base.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from autodistill.commands.show import Shown

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells expect."""
PIPE_WIDTH = 140
"""Columns of a table that goes into a file or a pipe."""
PLAIN_SECONDS = 10.0
"""Least time between two plain lines of one stage."""

_speaks = int(os.environ.get("RANK", "0")) == 0


def _stdout() -> Console:
    console = Console(quiet=not _speaks, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def _stderr() -> Console:
    return Console(stderr=True, quiet=not _speaks, highlight=False)


def say(text: str) -> None:
    """One line for a person, on stderr."""
    _stderr().print(text, markup=False, soft_wrap=True)


def show_text(text: str) -> None:
    """A text as it is, on stdout."""
    if _speaks:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()


def show_json(value: Any) -> None:
    """A result as JSON, on stdout."""
    show_text(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def show(shown: Shown, as_json: bool) -> None:
    """What a command gives, on stdout."""
    if shown.record is None:
        return
    if as_json:
        show_json(shown.record)
        return
    for columns, rows, title in shown.tables:
        show_table(columns, rows, title)
    if shown.lines:
        show_text("\n".join(shown.lines))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """A table; the first column is the heading of each row."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _stdout().print(table)


# --- what went wrong -------------------------------------------------------------------------------


@contextmanager
def handled(as_json: bool = False, resume: str = "") -> Iterator[None]:
    """Turns what the user did wrong, and what failed, into a message and an exit code.

    2 for wrong input, 1 for a failure, 130 for Ctrl-C. Anything unforeseen keeps its traceback.

    Args:
        as_json: Whether the reasons go to stdout as JSON as well.
        resume: What to say after Ctrl-C.
    """
    try:
        yield
    except InputError as error:
        problems = [asdict(problem) for problem in error.problems]
        _fail(str(error), 2, as_json, {"status": "invalid", "problems": problems})
    except AutoDistillerError as error:
        _fail(str(error), 1, as_json, {"status": "failed", "reason": str(error)})
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None:
            raise
        reason = f"{error.filename}: {error.strerror}"
        _fail(reason, 1, as_json, {"status": "failed", "reason": reason})
    except KeyboardInterrupt:
        say(f"\nStopped. {resume}".rstrip())
        raise SystemExit(INTERRUPTED) from None


def _fail(message: str, code: int, as_json: bool, record: dict[str, Any]) -> None:
    if as_json:
        show_json(record)
    error = _stderr()
    for line in message.splitlines():
        error.print(Text("Error: ", style="bold red") + Text(line), soft_wrap=True)
    raise SystemExit(code)


# --- progress --------------------------------------------------------------------------------------


@contextmanager
def reporting() -> Iterator[Reporter]:
    """A reporter for the work inside: bars on a terminal, plain lines elsewhere."""
    if not _speaks:
        yield SilentReporter()
        return
    console = _stderr()
    if not console.is_terminal:
        yield LineReporter()
        return
    progress = progress_bars(console)
    try:
        yield BarReporter(progress)
    finally:
        progress.stop()


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


def progress_bars(console: Console) -> Progress:
    """A bar per stage: how far, how fast, how long, and a note."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
        console=console,
        redirect_stdout=False,
    )


@dataclass
class BarReporter:
    """Shows each stage as a bar with rate and time left."""

    progress: Progress
    _bars: dict[str, TaskID] = field(default_factory=dict)

    def message(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps") -> None:
        self.progress.start()  # with the first stage: a command without any draws nothing
        if stage in self._bars:  # the same stage again, of a second run: its bar again
            self.progress.reset(self._bars[stage], total=total, completed=done, unit=unit, note="")
        else:
            self._bars[stage] = self.progress.add_task(stage, total=total, completed=done, unit=unit, note="")

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.progress.update(self._bars[stage], advance=count)
        if note:
            self.progress.update(self._bars[stage], note=note)

    def finish(self, stage: str) -> None:
        self.progress.stop_task(self._bars[stage])


@dataclass
class _Line:
    """How far a stage is, and when that was last printed."""

    total: int
    done: int
    unit: str
    began: float
    printed: float
    first: int
    note: str = ""

    def text(self, stage: str, now: float) -> str:
        rate = (self.done - self.first) / max(now - self.began, 1e-9)
        left = f", {_duration((self.total - self.done) / rate)} left" if rate > 0 and self.done < self.total else ""
        note = f", {self.note}" if self.note else ""
        return f"{stage}: {self.done} of {self.total} {self.unit}, {rate:.1f} {self.unit}/s{left}{note}"


@dataclass
class LineReporter:
    """Prints now and then how far a stage is, for logs."""

    _lines: dict[str, _Line] = field(default_factory=dict)

    def message(self, text: str) -> None:
        say(text)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps") -> None:
        now = time.monotonic()
        self._lines[stage] = _Line(total, done, unit, began=now, printed=now, first=done)

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        line, now = self._lines[stage], time.monotonic()
        line.done += count
        line.note = note or line.note
        if now - line.printed >= PLAIN_SECONDS:
            line.printed = now
            say(line.text(stage, now))

    def finish(self, stage: str) -> None:
        line, now = self._lines.pop(stage), time.monotonic()
        if line.began < line.printed < now:  # long enough to be mentioned, and not printed just now
            say(line.text(stage, now))


def _duration(seconds: float) -> str:
    """Seconds for people.

    Example:
        >>> _duration(42.2), _duration(150), _duration(7300)
        ('42 s', '2 min 30 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
