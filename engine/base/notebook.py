"""Progress below the cell of a notebook that started the work.

Decided here: what is shown is one piece of HTML that is replaced as the work goes on, about twice a second; a stage
that is over leaves one line, and so does every message. It is shown where a kernel runs the cells, and nowhere else.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from html import escape
from typing import Any

from engine.base.progress import Reporter, SilentReporter

SECONDS = 0.5  # between two looks
SHOWN = 12  # latest lines that stay; those before are folded
LINE = "<div>{}</div>"


def usual_reporter() -> Reporter:
    """What tells a person how far the work is where nobody named a reporter: below a notebook's cell, else nothing."""
    shell = _shell()
    return SilentReporter() if shell is None else NotebookReporter(shell)


def _shell() -> Any:
    """IPython's shell where it is one of a kernel, which has cells; None elsewhere."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell if hasattr(shell, "kernel") else None


@dataclass
class _Stage:
    """How far a stage is."""

    total: int
    done: int
    unit: str
    most: bool
    began: float
    first: int
    note: str = ""

    def line(self, name: str, now: float) -> str:
        """A bar, with what is left; of a stage that is over what it took."""
        far = f"{self.done:,} of {self.total:,} {self.unit}"
        bar = f'<progress max="{self.total}" value="{self.done}"></progress>'
        speed = (self.done - self.first) / max(now - self.began, 1e-9)
        parts = [escape(name), far, escape(self.note)]
        if speed > 0 and self.done < self.total:
            parts.append(f"{'at most ' * self.most}{_duration((self.total - self.done) / speed)} left")
        return LINE.format(f"{bar} {', '.join(filter(None, parts))}")

    def past(self, name: str, now: float) -> str:
        """What is said of it when it is over."""
        return f"{name}: {self.done:,} {self.unit} in {_duration(now - self.began)}"


@dataclass
class NotebookReporter:
    """Shows stages as bars, and messages as lines, below the cell of an IPython `shell` that is being run."""

    shell: Any
    _stages: dict[str, _Stage] = field(default_factory=dict)
    _lines: list[str] = field(default_factory=list)
    _handle: Any = None
    _cell: Any = None
    _drawn: float = 0.0

    def message(self, text: str) -> None:
        self._begin_cell()
        self._lines.append(text)
        self._draw()

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self._begin_cell()
        self._stages[stage] = _Stage(total, done, unit, most, began=time.monotonic(), first=done)

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        at = self._stages[stage]
        at.done, at.note = at.done + count, note or at.note
        if time.monotonic() - self._drawn >= SECONDS:
            self._draw()

    def finish(self, stage: str) -> None:
        now = time.monotonic()
        at = self._stages.pop(stage)
        if now - at.began >= SECONDS:  # else nobody has seen it begin
            self._lines.append(at.past(stage, now))
        self._draw()

    def _begin_cell(self) -> None:
        """Another cell has an output of its own, and nothing is under way that an interrupted one had begun."""
        if self._cell != self.shell.execution_count or self._handle is None:
            from IPython.display import HTML, display

            self._cell, self._stages, self._lines = self.shell.execution_count, {}, []
            self._handle = display(HTML(""), display_id=True)

    def _draw(self) -> None:
        from IPython.display import HTML

        self._drawn = time.monotonic()
        said = [LINE.format(escape(line)) for line in self._lines]
        before, latest = "".join(said[:-SHOWN]), "".join(said[-SHOWN:])
        folded = f"<details><summary>{len(said) - SHOWN} lines before</summary>{before}</details>" if before else ""
        bars = "".join(stage.line(name, self._drawn) for name, stage in self._stages.items())
        self._handle.update(HTML(f"<div>{folded}{latest}{bars}</div>"))


def _duration(seconds: float) -> str:
    """A time as a clock shows it.

    Example:
        >>> _duration(75.4)
        '0:01:15'
    """
    return str(timedelta(seconds=round(seconds)))
