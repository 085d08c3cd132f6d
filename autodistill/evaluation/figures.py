"""Figures, drawn to files: of an evaluation and of importance, after the paper's, and of a search for θ.

Decided here: one small multiple per held-out dataset, the same colours everywhere, and nothing that needs a screen.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autodistill.evaluation.importance import Importance, MeanShare
from autodistill.evaluation.leave_one_out import TOP, HeldOut, by_configuration
from autodistill.evaluation.style import ACCENT, INK, NARROW, QUIET, plain
from autodistill.history.table import GROUP
from autodistill.ranking.past import target
from engine.run.result import RunResult, TeamResult

COLUMNS = 4
MOST_ROWS = 15
"""Components or pairs in a figure, the weightiest."""
DARK = 0.6
"""Share above which a cell is too dark for dark figures."""


def draw(held_out: Sequence[HeldOut], folder: Path) -> list[Path]:
    """Draws both figures; gives their files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"predicted.png": predicted_against_actual(held_out), "top_5.png": top_against_random(held_out)}
    return [_save(figure, folder / name) for name, figure in figures.items()]


def draw_team(result: RunResult, folder: Path) -> Path:
    """Draws `search_for_theta` of a run into its folder, which holds `theta.csv`."""
    assert result.team is not None
    history = pd.read_csv(folder / "theta.csv")
    return _save(search_for_theta(result.team, history, result.metric), folder / "theta.png")


def draw_front(results: Sequence[RunResult], folder: Path) -> Path:
    """Draws `front` into a folder."""
    return _save(front(results), folder / "front.png")


def draw_importance(found: Importance, folder: Path) -> list[Path]:
    """Draws single components and pairs (the paper's figures 2 and 6), each as PNG and SVG; gives their files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"importance": shares(found, "single")}
    if found.pairs:
        figures["interactions"] = shares(found, "pairs")
    return [_save(figure, folder / f"{name}.{form}") for name, figure in figures.items() for form in ("png", "svg")]


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=150, facecolor="white")
    return path


def predicted_against_actual(held_out: Sequence[HeldOut]) -> Figure:
    """Per held-out dataset: the predicted standing of each run against the actual one, with Spearman's ρ."""
    columns, rows = min(COLUMNS, len(held_out)), math.ceil(len(held_out) / COLUMNS)
    figure = Figure(figsize=(3 * columns, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, each in zip(panels, held_out, strict=False):
        axes.scatter(each.runs.predicted, target(each.runs), s=9, color=ACCENT, alpha=0.45, linewidths=0)
        rho = each.measures.get("spearman")
        plain(axes, each.dataset if rho is None else f"{each.dataset}   ρ = {rho:.2f}")
    for axes in panels[len(held_out) :]:
        axes.remove()
    figure.supxlabel("predicted standing (standard deviations)", color=INK, fontsize=10)
    figure.supylabel("actual standing", color=INK, fontsize=10)
    return figure


def top_against_random(held_out: Sequence[HeldOut]) -> Figure:
    """A row for each held-out dataset: ratios of the first five in the order above those of all configurations."""
    figure = Figure(figsize=(NARROW, 1.1 + 0.42 * len(held_out)), layout="constrained")
    axes = figure.subplots()
    quiet: dict[str, Any] = {f"{part}props": {"color": QUIET} for part in ("median", "box", "whisker", "cap")}
    for row, each in enumerate(held_out):
        _, group = max(each.runs.groupby(GROUP), key=lambda pair: len(pair[1]))
        ratios = by_configuration(group).ratio
        axes.boxplot(
            ratios.clip(lower=0), positions=[row + 0.2], widths=0.3, showfliers=False, orientation="horizontal", **quiet
        )
        top = ratios[:TOP]
        axes.scatter(top, [row - 0.18] * len(top), s=16, color=ACCENT, linewidths=0, zorder=3)
    axes.axvline(1.0, color=QUIET, linewidth=0.6, linestyle=":")
    axes.set_yticks(range(len(held_out)), [each.dataset for each in held_out])
    axes.set_ylim(len(held_out) - 0.5, -0.6)
    axes.set_xlabel("distillation ratio", color=INK, fontsize=9)
    plain(axes, f"The first {TOP} in the order (dots)\nand any configuration (boxes)")
    return figure


def search_for_theta(team: TeamResult, history: pd.DataFrame, metric: str) -> Figure:
    """θ over the steps of the search that found the best distribution; beside it the candidates' scores."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    shares = history.iloc[:, 2:].to_numpy()
    chosen = history.search.to_numpy()[np.abs(shares - team.distribution).max(1).argmin()]
    search = history[history.search == chosen]
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(team.teachers)))
    for column, (member, shade) in enumerate(zip(team.teachers, shades, strict=True), start=2):
        left.plot(search.step, search.iloc[:, column], color=shade, linewidth=1.4, label=member.name)
    left.axvline(len(search) // 2 + 0.5, color=QUIET, linewidth=0.8, linestyle=":")
    left.set_xlabel("step of the search; the dotted line is where members are dropped", color=INK, fontsize=9)
    left.set_ylim(bottom=0)
    left.legend(fontsize=7, frameon=False, loc="upper left")
    which = f" (search {chosen} of {searches})" if (searches := history.search.nunique()) > 1 else ""
    plain(left, f"θ, how often each member teaches{which}")
    scores = [candidate.score for candidate in team.candidates]
    colours = [ACCENT if score == max(scores) else QUIET for score in scores]
    right.scatter(range(1, len(scores) + 1), scores, s=22, color=colours, linewidths=0)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_xlabel("candidate", color=INK, fontsize=9)
    plain(right, f"{metric} of the candidates' students")
    return figure


def front(results: Sequence[RunResult]) -> Figure:
    """Scores of students, with their 95 % intervals, over their latencies; beside them their teacher."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes, first = figure.subplots(), results[0]
    points = [(each.student, "student", each.latency_ms, ACCENT) for each in results]
    for name, role, latency, colour in [*points, ("teacher", "teacher", first.teacher_latency_ms, QUIET)]:
        result = next((each for each in results if each.student == name), first)
        score, bounds = result.on_split(role).get(result.metric), result.interval(role, result.metric)
        if score is None or latency is None:
            continue
        if bounds:
            axes.plot([latency] * 2, bounds, color=colour, linewidth=1.2, alpha=0.6)
        axes.scatter([latency], [score], s=30, color=colour, linewidths=0, zorder=3)
        axes.annotate(name, (latency, score), xytext=(6, 4), textcoords="offset points", fontsize=8, color=INK)
    axes.set_xscale("log")
    axes.set_xlabel("latency of one example, ms", color=INK, fontsize=9)
    axes.margins(x=0.2)
    plain(axes, f"{first.named(first.metric)} on {first.split_in_words}")
    return figure


def shares(found: Importance, kind: Literal["single", "pairs"]) -> Figure:
    """A row a component, or pair: its mean share with the interval over datasets, then its share in each dataset."""
    means: Mapping[str, MeanShare] = getattr(found, kind)
    names = list(means)[:MOST_ROWS]
    width = 0.45 * len(found.datasets) + 0.5
    figure = Figure(figsize=(6 + width, 1.4 + 0.32 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[4, width], sharey=True)
    _bars(left, [means[name] for name in names])
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    beyond = "" if kind == "single" else ", beyond each alone"
    left.set_xlabel(f"share of the variance of scores{beyond}", color=INK, fontsize=9)
    plain(left, "Mean, 95 % over datasets")
    own = [getattr(each, kind) for each in found.datasets.values()]
    _cells(right, np.array([[each[name].share if name in each else np.nan for each in own] for name in names]))
    right.set_xticks(range(len(own)), list(found.datasets), rotation=45, ha="right")
    plain(right, "In each dataset where it varies")
    right.tick_params(left=False, labelleft=False)
    return figure


def mean_shares(found: Importance, kind: Literal["single", "pairs"]) -> Figure:
    """The left part of `shares`, as wide as a phone's screen: names stand above their bars."""
    means: Mapping[str, MeanShare] = getattr(found, kind)
    names = list(means)[:MOST_ROWS]
    figure = Figure(figsize=(NARROW, 1 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    _bars(axes, [means[name] for name in names])
    for row, name in enumerate(names):
        axes.text(0, row - 0.36, name, ha="left", va="bottom", fontsize=8, color=INK)
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.5, -0.9)
    axes.set_xlabel("share of the variance of scores", color=INK, fontsize=9)
    plain(axes, "What each explains alone" if kind == "single" else "What pairs explain beyond that")
    return figure


def _bars(axes: Axes, means: Sequence[MeanShare]) -> None:
    """Shares with their intervals, where they have one."""
    axes.barh(range(len(means)), [each.share for each in means], height=0.6, color=ACCENT, alpha=0.55, linewidth=0)
    for row, each in enumerate(means):
        if each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [row, row], color=INK, linewidth=1.4, solid_capstyle="butt")
    axes.set_xlim(left=0)


def _cells(axes: Axes, shares: np.ndarray) -> None:
    """A shade and a figure a share (rows, datasets); nothing where there is none."""
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(np.isfinite(shares)):
        share = shares[row, column]
        ink = "white" if share > DARK else INK
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=7, color=ink)
