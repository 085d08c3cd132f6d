"""A table of runs as rows of text, as a figure, and as a page.

Decided here: what is seen of a run, and how much of very many. Scores keep four digits, ratios three.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from autodistill.report import figures
from autodistill.report.findings import Mean, pipeline_in_words, varying_knobs
from autodistill.report.page import Page, Picture, Section, Table, bytes_of
from autodistill.report.words import MISSING, file_name, number, with_interval
from engine.base.errors import InputError, counted, digits
from engine.base.files import written_atomically

FORMS = (".png", ".svg", ".html")
MOST_PANELS = 60
"""Sets of comparable runs in a figure."""
MOST_ROWS = 500
"""In a page."""
HEAD = ["runs", "student", "pipeline", "metric", "score", "ratio", "latency", "size", "folder"]
PALETTE = "Students differ in colour (those of Okabe and Ito) and mark."
MACHINES = "Latencies are those of the machine that each run was on, and compare only where it was one machine."


def check_form(path: Path) -> None:
    """Raises InputError where a figure cannot be written in the form that its name asks for."""
    if path.suffix.lower() not in FORMS:
        raise InputError.of("--figure", "no form for a figure", repr(path.suffix), FORMS)


def rows_of(found: pd.DataFrame) -> list[list[str]]:
    """A row of text a run, in the columns of `HEAD`; a `*` marks those that nothing faster reaches."""
    varying = varying_knobs(found)
    return [_row(run, pipeline_in_words(run, varying)) for _, run in found.iterrows()]


def _row(run: pd.Series, pipeline: str) -> list[str]:
    low, high = (None if pd.isna(bound) else float(bound) for bound in (run.score_low, run.score_high))
    ended = "" if run.status == "ok" else f", {run.status}"
    latency = _with_unit(run.latency_ms, "ms") + (" *" if run.front else "")
    about = [
        run["among"] + ended,
        run.student,
        pipeline,
        run.metric,
        with_interval(Mean(run.score, low, high, 1), ".4f"),
        number(run.ratio),
    ]
    return [*about, latency, _with_unit(run.size_mb, "MB"), run.folder if isinstance(run.folder, str) else MISSING]


def _with_unit(value: float, unit: str) -> str:
    return MISSING if pd.isna(value) else f"{digits(value)} {unit}"


def figure_of(found: pd.DataFrame) -> Figure:
    """Scores against latencies, a panel for each set of comparable runs, as far as there is room.

    Raises:
        InputError: No run has both.
    """
    return figures.scores_against_latency([*_groups(found)][:MOST_PANELS], figures.styles_of(found.student))


def _groups(found: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Comparable runs with a score and a latency, in their order."""
    known = found[(found.status == "ok") & (found.latency_ms > 0) & found.score.notna()]
    if known.empty:
        raise InputError.of("--figure", "no run has both a score and a latency")
    for among, own in known.groupby("among", sort=False):
        yield str(among), own


def page_of(found: pd.DataFrame, name: str) -> Page:
    """The figure's panels and the runs, the first of very many; errors as `figure_of`."""
    look = figures.styles_of(found.student)
    groups = [*_groups(found)][:MOST_PANELS]
    pictures = [
        Picture(file_name("latency", among), figures.scores_against_latency([(among, own)], look),
                f"Marks: score and latency of each run, {among}.")
        for among, own in groups
    ]  # fmt: skip
    front = found[found.front].sort_values(["among", "latency_ms"])
    text = [f"Each run by its latency and its score, with the 95 % interval. The line joins those that nothing faster "
            f"reaches. {MACHINES} {PALETTE}"]  # fmt: skip
    tables = [
        Table("Runs that nothing faster reaches", HEAD, rows_of(front)),
        Table(_title(len(found)), HEAD, rows_of(found[:MOST_ROWS]), folded=True),
    ]
    lead = [f"{counted(len(found), 'run')} from {name}."]
    return Page(
        "Runs of distillation", lead, [], {"latency": ("Score against latency", Section(text, pictures, tables))}
    )


def _title(count: int) -> str:
    return "All runs" if count <= MOST_ROWS else f"The first {MOST_ROWS:,} of {counted(count, 'run')}"


def write_figure(found: pd.DataFrame, name: str, path: Path) -> None:
    """Writes the figure, or the page; errors as `figure_of`."""
    form = path.suffix.lower()
    made = page_of(found, name).html().encode() if form == ".html" else bytes_of(figure_of(found), form[1:])
    with written_atomically(path) as aside:
        aside.write_bytes(made)
