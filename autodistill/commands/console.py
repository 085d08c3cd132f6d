"""Everything that a person sees: progress, tables, messages.

Decided here: results go to stdout, everything else to stderr, so that `--json` gives pure JSON and a pipe gets
the result alone. Printing lives here, and nowhere else, and so what comes from data, names and labels is escaped here:
no terminal obeys it. Of several processes only the first one speaks.
"""

import errno
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autodistill.commands.show import Shown
from autodistill.commands.stop import stopped
from autodistill.commands.tables import laid_out
from autodistill.commands.units import duration, rate
from engine.base.errors import AutoDistillerError, InputError
from engine.base.files import disk_errors
from engine.base.machine import LIBRARIES, STARVED, check_memory, free_memory, out_of_memory
from engine.base.progress import Reporter, SilentReporter
from engine.base.text import OBEYED, escaped

AT_MOST = "at most"
"""Before the time that is left of a training that may stop early."""
WRONG_NAMES = (
    *(errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP),
    *(errno.EACCES, errno.EPERM),
)
"""What is wrong with a name that was given: it is too long, leads nowhere, or may not be read or written."""
LAST_WORDS = b"Error: the memory does not suffice\n"
_speaks = int(os.environ.get("RANK", "0")) == 0


def _console(**about: Any) -> Console:
    return Console(quiet=not _speaks, highlight=False, **about)


def say(text: str) -> None:
    """A sentence for a person, on stderr."""
    console = _console(stderr=True)
    console.print(_wrapped(text, console), markup=False, emoji=False, soft_wrap=True)


def _wrapped(text: str, console: Console) -> str:
    """A sentence, escaped, on as many lines as a terminal needs, broken between words; elsewhere on one.

    Words that are longer than a line stay whole, so that a path can be copied.
    """
    text = escaped(text)
    if not console.is_terminal:
        return text
    return textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)


def confirmed(question: str) -> bool:
    """Whether a person says yes; what else they type is no."""
    return _console(stderr=True).input(Text(f"{escaped(question)} [y/N] ")).strip().lower() in ("y", "yes")


def show_text(text: str) -> None:
    """A text as it is, on stdout."""
    if _speaks:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()


def show_json(value: Any) -> None:
    """A result as JSON, on stdout."""
    text = json.dumps(value, indent=2, default=str, ensure_ascii=False)
    lines = (OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))
    show_text("\n".join(lines))


def show(shown: Shown, as_json: bool) -> None:
    """What a command gives, on stdout."""
    if shown.record is None:
        return
    if as_json:
        show_json(shown.record)
        return
    console = _console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 140  # of a table that goes into a file or a pipe
    for heads, rows, title in shown.tables:
        if title:
            console.print(Text(escaped(title), style="table.title"))
        cells = [[escaped(cell) for cell in row] for row in (heads, *rows)]
        for table in laid_out(cells[0], cells[1:], console.width):
            show_text(_drawn(table, console))
    if shown.lines:
        show_text("\n".join(_wrapped(line, console) for line in shown.lines))
    if shown.document:
        show_text("\n".join(map(escaped, shown.document.split("\n"))))


def _drawn(table: Table, console: Console) -> str:
    """A table as text without blanks at the ends of lines, also where it is wider than the console."""
    width, console.width = console.width, max(console.width, table.width or 0)
    with console.capture() as capture:
        console.print(table)
    console.width = width
    return re.sub(r" +(\x1b\[0m)?$", r"\1", capture.get(), flags=re.MULTILINE)


@contextmanager
def handled(as_json: bool = False, resume: str = "") -> Iterator[None]:
    """Turns what the user did wrong, and what failed, into a message (and JSON) and an exit code.

    2 for wrong input, 1 for a failure, 130 (128 + SIGINT) for Ctrl-C, after which `resume` is said. Anything
    unforeseen keeps its traceback.
    """
    try:
        with disk_errors():
            yield
    except InputError as error:
        problems = [asdict(problem) for problem in error.problems]
        _fail(map(str, error.problems), 2, as_json, status="invalid", problems=problems)
    except AutoDistillerError as error:
        _failed(str(error), 1, as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
        raise SystemExit(1) from None
    except Exception as error:
        with _little_memory_said():
            if reason := out_of_memory(error):
                _failed(reason, 1, as_json)
        if not isinstance(error, OSError) or error.filename is None:
            raise
        _failed(f"{error.filename}: {error.strerror}", 2 if error.errno in WRONG_NAMES else 1, as_json)
    except KeyboardInterrupt:
        stopped(resume)


def check_room() -> None:
    """Raises an `InputError` where not even the libraries that load models have room."""
    check_memory("PyTorch and the libraries beside it", LIBRARIES)


@contextmanager
def _little_memory_said() -> Iterator[None]:
    """Ends the process at once where hardly any memory is left, also where it does not suffice to say so as usual."""
    try:
        try:
            yield
        finally:
            if free_memory() < STARVED:
                sys.stderr.flush()
                os._exit(1)  # whatever would be done in the end fails, too
    except (MemoryError, SystemError, ImportError):  # how Python fails then
        os.write(2, LAST_WORDS)
        os._exit(1)


def _failed(reason: str, code: int, as_json: bool) -> None:
    _fail([reason], code, as_json, status="failed", reason=reason)


def _fail(messages: Iterable[str], code: int, as_json: bool, **record: Any) -> None:
    if as_json:
        show_json(record)
    error = _console(stderr=True)
    for message in messages:
        head, _, rest = _wrapped(f"Error: {message}", error).partition(" ")
        error.print(Text(head, style="bold red"), Text(rest), soft_wrap=True)
    raise SystemExit(code)


@contextmanager
def reporting() -> Iterator[Reporter]:
    """A reporter for the work inside: bars on a terminal, plain lines elsewhere."""
    console = _console(stderr=True)
    if not _speaks:
        yield SilentReporter()
    elif not console.is_terminal:
        yield LineReporter()
    else:
        bars = progress_bars(console)
        try:
            yield BarReporter(bars)
        finally:
            bars.stop()


class _Rate(progress.ProgressColumn):
    """How fast it goes."""

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(rate(speed, task.fields["unit"]) if speed else "", style="progress.data.speed")


def progress_bars(console: Console) -> progress.Progress:
    """A bar per stage: how far, how fast, how long, and a note."""
    stage = progress.TextColumn("{task.description}", markup=False)
    how_far = stage, progress.BarColumn(), progress.MofNCompleteColumn()
    most = progress.TextColumn("{task.fields[most]}")
    how_long = progress.TimeRemainingColumn(elapsed_when_finished=True)
    note = progress.TextColumn("{task.fields[note]}", markup=False)
    return progress.Progress(*how_far, _Rate(), most, how_long, note, console=console, redirect_stdout=False)


@dataclass
class BarReporter:
    """Shows each stage as a bar with rate and time left."""

    bars: progress.Progress
    _stages: dict[str, progress.TaskID] = field(default_factory=dict)

    def message(self, text: str) -> None:
        console = self.bars.console
        console.print(_wrapped(text, console), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self.bars.start()  # with the first stage: a command without any draws nothing
        if stage in self._stages:  # the same stage again, of a second run: a new bar, for rich restarts no clock
            self.bars.remove_task(self._stages[stage])
        about: dict[str, Any] = {"unit": unit, "most": AT_MOST if most else "", "note": ""}
        self._stages[stage] = self.bars.add_task(escaped(stage), total=total, completed=done, **about)

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        noted: dict[str, Any] = {"note": note} if note else {}
        self.bars.update(self._stages[stage], advance=count, **noted)

    def finish(self, stage: str) -> None:
        self.bars.update(self._stages[stage], most="")  # what is shown now is what it took
        self.bars.stop_task(self._stages[stage])


@dataclass
class _Line:
    """How far a stage is, and when that was last printed."""

    total: int
    done: int
    unit: str
    began: float
    printed: float
    first: int
    most: bool
    note: str = ""

    def say(self, stage: str, now: float) -> None:
        speed = (self.done - self.first) / max(now - self.began, 1e-9)
        most = f"{AT_MOST} " * self.most
        more = speed > 0 and self.done < self.total
        left = f", {most}{duration((self.total - self.done) / speed)} left" if more else ""
        note = f", {self.note}" if self.note else ""
        say(f"{stage}: {self.done} of {self.total} {self.unit}, {rate(speed, self.unit)}{left}{note}")


@dataclass
class LineReporter:
    """Prints now and then how far a stage is, for logs."""

    _lines: dict[str, _Line] = field(default_factory=dict)

    def message(self, text: str) -> None:
        say(text)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        now = time.monotonic()
        self._lines[stage] = _Line(total, done, unit, began=now, printed=now, first=done, most=most)

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        line, now = self._lines[stage], time.monotonic()
        line.done += count
        line.note = note or line.note
        if now - line.printed >= 10.0:  # seconds
            line.printed = now
            line.say(stage, now)

    def finish(self, stage: str) -> None:
        line, now = self._lines.pop(stage), time.monotonic()
        if line.began < line.printed < now:  # long enough to be mentioned, and not printed just now
            line.say(stage, now)
