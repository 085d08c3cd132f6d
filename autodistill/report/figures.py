"""The figures of a report. Those of importance and of one dataset left out are in `evaluation.figures`.

Decided here: every figure is as wide as a phone's screen, and has a row or a panel of its own for each dataset, so it
is read on any screen without turning or zooming. Colours are those of Okabe and Ito, which colour-blind people tell
apart; where colours mean something, so does the shape of a mark, the dash of a line, or a figure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from autodistill.evaluation.style import ACCENT, INK, NARROW, QUIET, plain
from autodistill.report.findings import Costs, Mean, Models, Objectives
from engine.base.errors import digits

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
MARKS = "os^DvPX*"
DASHES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (1, 1)), (0, (8, 2, 1, 2, 1, 2)), (0, (3, 3)))
LABEL, TITLE = 26, 52
"""Letters of a line."""
PANELS = 3
"""Beside each other."""
READABLE = 0.3
"""Configurations that a part of a bar needs for its figure."""
DARK = 0.4
"""Brightness of a bar below which its figures are white."""


class Style(NamedTuple):
    """How one of several things is drawn in all figures."""

    colour: str
    mark: str
    dash: Any


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style each; of more than eight names some share a colour, not the mark."""
    chosen = dict.fromkeys(names)
    marks = [MARKS[(place + place // len(MARKS)) % len(MARKS)] for place in range(len(chosen))]
    colours, dashes = islice(cycle(OKABE_ITO), len(chosen)), islice(cycle(DASHES), len(chosen))
    return dict(zip(chosen, map(Style, colours, marks, dashes), strict=True))


def styles_of(names: pd.Series) -> dict[str, Style]:
    """A style for each different name, whatever their order."""
    return styles(sorted(names.dropna().astype(str).unique()))


def label(name: str) -> str:
    """A name in lines that leave room for the figure beside it."""
    return "\n".join(line for part in name.split(", ") for line in textwrap.wrap(part, LABEL) or [part])


def _rows(names: Sequence[str], row: float, xlabel: str, title: str) -> tuple[Figure, Axes]:
    """An empty figure with a row of so many inches for each name, the first one uppermost."""
    labels = [label(name) for name in names]
    lines = max(text.count("\n") + 1 for text in labels)
    figure = Figure(figsize=(NARROW, 1.1 + max(row, 0.17 * lines) * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(xlabel, color=INK, fontsize=9)
    plain(axes, "")
    _title(figure, title)
    return figure, axes


def _panel(xlabel: str, ylabel: str, title: str) -> tuple[Figure, Axes]:
    """An empty figure with two axes."""
    figure = Figure(figsize=(NARROW, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(xlabel, color=INK, fontsize=9)
    axes.set_ylabel(ylabel, color=INK, fontsize=9)
    plain(axes, "")
    _title(figure, title)
    return figure, axes


def _title(figure: Figure, words: str) -> None:
    """At the left edge of the whole figure, in lines that fit."""
    figure.suptitle(textwrap.fill(words, TITLE), x=0.01, ha="left", color=INK, fontsize=10)


def _legend(figure: Figure, *panels: Axes) -> None:
    known = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    columns = min(3, max(1, TITLE // (max(map(len, known)) + 6)))
    figure.legend(
        known.values(), known, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, labelcolor=INK
    )


def _interval(axes: Axes, mean: Mean, row: float, **style: Any) -> None:
    """A line where a mean has an interval."""
    if mean.low is not None and mean.high is not None:
        axes.plot([mean.low, mean.high], [row, row], solid_capstyle="butt", **style)


def top_objectives(found: Objectives, look: Mapping[str, Style]) -> Figure:
    """A bar for each set of comparable runs, divided among the objectives of its best five."""
    figure, axes = _rows([*found.counts.index], 0.34, "configurations", "Objectives of the five best")
    left = np.zeros(len(found.counts))
    for name in map(str, found.counts):
        counts, colour = found.counts[name].to_numpy(), look[name].colour
        axes.barh(range(len(left)), counts, left=left, height=0.7, color=colour, edgecolor="white", label=name)
        ink = "white" if np.dot(to_rgb(colour), (0.3, 0.6, 0.1)) < DARK else INK
        for row in map(int, np.flatnonzero(counts)):
            where = left[row] + counts[row] / 2
            if counts[row] >= READABLE:
                axes.text(where, row, f"{counts[row]:.3g}", ha="center", va="center", fontsize=8, color=ink)
        left += counts
    _legend(figure, axes)
    return figure


def objective_leads(found: Objectives) -> Figure:
    """How much oftener each objective is among the best five than were they drawn."""
    names = sorted(found.leads, key=lambda name: -found.leads[name].value)
    figure, axes = _rows(names, 0.3, "configurations more than by chance", "More often among the best than tried")
    for row, name in enumerate(names):
        mean = found.leads[name]
        axes.barh(row, mean.value, height=0.6, color=ACCENT, alpha=0.55, linewidth=0)
        _interval(axes, mean, row, color=INK, linewidth=1.4)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    return figure


def augmentation(gains: pd.DataFrame, labels: Mapping[str, str], look: Mapping[str, Style]) -> Figure:
    """A row for each set of comparable runs, the smallest data first: the gain of each student."""
    among = [*dict.fromkeys(gains["among"])]
    title = "What augmentation adds"
    figure, axes = _rows([labels[name] for name in among], 0.34, "points of the score", title)
    places = {name: row for row, name in enumerate(among)}
    for student, rows in gains.sort_values("student_parameters", kind="stable").groupby("student", sort=False):
        style = look[str(student)]
        axes.scatter(
            rows.gain, rows["among"].map(places), s=30, color=style.colour, marker=style.mark, linewidths=0,
            label=str(student), alpha=0.85,
        )  # fmt: skip
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.grid(axis="y", color=QUIET, linewidth=0.3)
    _legend(figure, axes)
    return figure


def teachers_and_students(found: Models, means: Mapping[tuple[str, str], Mean], look: Mapping[str, Style]) -> Figure:
    """A row for each student, the largest first: its mean ratio under each teacher, and in small each dataset's."""
    students = [*dict.fromkeys(student for student, _ in means)]
    teachers = [*dict.fromkeys(teacher for _, teacher in means)]
    title = "Distillation ratio under one pipeline"
    figure, axes = _rows(students, max(0.34, 0.14 * len(teachers)), "student's score / teacher's", title)
    for (student, teacher), mean in means.items():
        style, apart = look[teacher], teachers.index(teacher) - (len(teachers) - 1) / 2
        row = students.index(student) + 0.7 * apart / len(teachers)
        own = found.ratios[(found.ratios.student == student) & (found.ratios.teacher == teacher)].ratio
        axes.scatter(own, [row] * len(own), s=7, color=style.colour, alpha=0.35, linewidths=0)
        axes.scatter([mean.value], [row], s=34, color=style.colour, marker=style.mark, linewidths=0, label=teacher)
        _interval(axes, mean, row, color=style.colour, linewidth=1.6)
    axes.axvline(1, color=QUIET, linewidth=0.8, linestyle=":")
    _legend(figure, axes)
    return figure


def cost_against_ratio(found: Costs, among: str, look: Mapping[str, Style]) -> Figure:
    """Configurations of comparable runs by what they cost; a line joins those that nothing cheaper reaches."""
    in_words = {"seconds": "seconds of the student's training", "student_parameters": "parameters of the student"}
    figure, axes = _panel(in_words[found.cost], "distillation ratio", among)
    _quality_over_cost(axes, found.rows[found.rows["among"] == among], ("ratio", "cost"), look)
    _legend(figure, axes)
    return figure


def scores_against_latency(groups: Sequence[tuple[str, pd.DataFrame]], look: Mapping[str, Style]) -> Figure:
    """A panel for each set of comparable runs: scores with their 95 % intervals over latencies, as above."""
    columns = min(PANELS, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(NARROW * columns, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (among, own) in zip(panels, groups, strict=False):
        axes.vlines(own.latency_ms, own.score_low, own.score_high, color=QUIET, linewidth=0.8, alpha=0.7, zorder=0)
        _quality_over_cost(axes, own, ("score", "latency_ms"), look)
        axes.set_xlabel("latency of one example, ms", color=INK, fontsize=9)
        plain(axes, textwrap.fill(f"{among}: {own.metric.iloc[0]}", TITLE))
    for axes in panels[len(groups) :]:
        axes.remove()
    _legend(figure, *figure.axes)
    return figure


def _quality_over_cost(axes: Axes, rows: pd.DataFrame, of: tuple[str, str], look: Mapping[str, Style]) -> None:
    """Marks by student, and a line that joins those on the front; `of` names the columns of quality and cost."""
    quality, cost = of
    front = rows[rows.front].sort_values(cost)
    axes.step(front[cost], front[quality], where="post", color=INK, linewidth=1, zorder=1)
    for student, own in rows.groupby("student"):
        style = look[str(student)]
        axes.scatter(own[cost], own[quality], s=18, color=style.colour, marker=style.mark, alpha=0.7, linewidths=0,
                     label=str(student))  # fmt: skip
    axes.set_xscale("log")
    is_wide = rows[cost].max() >= 10 * rows[cost].min()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_wide else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    """A tick.

    Example:
        >>> _short(0.5), _short(200), _short(14e6)
        ('0.5', '200', '14 M')
    """
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{digits(value / factor)}{unit}"
    return digits(value)


def scores_of_models(means: Mapping[str, Mean], title: str, trivial: float | None) -> Figure:
    """A row a model, with its interval; dotted: one answer to all."""
    figure, axes = _rows([*means], 0.34, "score", title)
    for row, mean in enumerate(means.values()):
        _interval(axes, mean, row, color=ACCENT, linewidth=1.6)
        axes.scatter([mean.value], [row], s=34, color=ACCENT, linewidths=0, zorder=3)
    if trivial is not None:
        axes.axvline(trivial, color=INK, linewidth=1.2, linestyle=":", label="one answer to all")
        _legend(figure, axes)
    return figure


def one_curve(
    epochs: Sequence[int], scores: Sequence[float], metric: str, best: int | None, teacher: float | None
) -> Figure:
    """A student's score after each epoch, the best one marked; dotted: its teacher's."""
    figure, axes = _panel("epoch", metric, "The student's score")
    axes.plot(epochs, scores, color=ACCENT, linewidth=1.4, marker="o", markersize=3, label="student")
    if best is not None and best in epochs:
        at = scores[list(epochs).index(best)]
        axes.scatter([best], [at], s=60, facecolors="none", edgecolors=INK, zorder=3, label="best epoch")
    if teacher is not None:
        axes.axhline(teacher, color=INK, linewidth=1.2, linestyle=":", label="teacher")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes)
    return figure


def losses(epochs: Sequence[int], terms: Mapping[str, Sequence[float]]) -> Figure:
    """A line for each term of the loss."""
    figure, axes = _panel("epoch", "weighted term", "The terms of the loss")
    for name, style in styles(terms).items():
        axes.plot(epochs, terms[name], color=style.colour, linestyle=style.dash, marker=style.mark, markersize=3,
                  linewidth=1.2, label=name)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes)
    return figure


def learning(curves: pd.DataFrame, student: str, look: Mapping[str, Style]) -> Figure:
    """The median of each objective's runs of a student over the epochs, and the band between the quartiles."""
    figure, axes = _panel("epoch", "best score so far / teacher's", student)
    for objective, own in curves[curves.student == student].groupby("objective"):
        style = look[str(objective)]
        axes.fill_between(own.epoch, own.low, own.high, color=style.colour, alpha=0.08, linewidth=0)
        axes.plot(own.epoch, own["median"], color=style.colour, linestyle=style.dash, marker=style.mark, markersize=3.5,
                  linewidth=1.4, label=str(objective))  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes)
    return figure
