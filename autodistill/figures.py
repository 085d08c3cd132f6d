"""Figures of an evaluation, after the paper's figures 4 and 5, drawn to files.

Decided here: one small multiple per held-out dataset, the same colours everywhere, and nothing that needs a
screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from autodistill.metadataset.frame import GROUP
from autodistill.predictors.runs import target
from autodistill.validation import TOP, HeldOut

INK, ACCENT, QUIET = "#1f2937", "#0f766e", "#9ca3af"
COLUMNS = 4


def draw(held_out: Sequence[HeldOut], folder: Path) -> list[Path]:
    """Draws both figures; gives their files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"predicted.png": predicted_against_actual(held_out), "top_5.png": top_against_random(held_out)}
    paths = []
    for name, figure in figures.items():
        path = folder / name
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=150, facecolor="white")
        paths.append(path)
    return paths


def predicted_against_actual(held_out: Sequence[HeldOut]) -> Figure:
    """Per held-out dataset: the predicted place of each run against the place it took, with Spearman's ρ."""
    rows = math.ceil(len(held_out) / COLUMNS)
    figure = Figure(figsize=(3 * min(COLUMNS, len(held_out)), 3 * rows), layout="constrained")
    grid = figure.subplots(rows, min(COLUMNS, len(held_out)), squeeze=False)
    for axes, found in zip(grid.flat, held_out, strict=False):
        _scatter(axes, found)
    for axes in grid.flat[len(held_out) :]:
        axes.remove()
    figure.supxlabel("predicted place in the order (standard deviations)", color=INK, fontsize=10)
    figure.supylabel("actual place in the order", color=INK, fontsize=10)
    return figure


def _scatter(axes: Axes, found: HeldOut) -> None:
    actual = target(found.runs)
    axes.scatter(found.runs.predicted, actual, s=9, color=ACCENT, alpha=0.45, linewidths=0)
    rho = found.measures.get("spearman")
    _plain(axes, found.dataset if rho is None else f"{found.dataset}   ρ = {rho:.2f}")


def top_against_random(held_out: Sequence[HeldOut]) -> Figure:
    """Per held-out dataset: ratios of the five picks beside those of all configurations."""
    figure = Figure(figsize=(1.1 * len(held_out) + 2, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, found in enumerate(held_out):
        ratios = _by_configuration(found.runs)
        axes.boxplot(
            ratios.ratio.clip(lower=0),
            positions=[place + 0.2],
            widths=0.25,
            showfliers=False,
            medianprops={"color": QUIET},
            boxprops={"color": QUIET},
            whiskerprops={"color": QUIET},
            capprops={"color": QUIET},
        )
        top = ratios.nlargest(TOP, "predicted").ratio
        axes.scatter([place - 0.15] * len(top), top, s=16, color=ACCENT, linewidths=0, zorder=3)
    axes.axhline(1.0, color=QUIET, linewidth=0.6, linestyle=":")
    axes.set_xticks(range(len(held_out)), [found.dataset for found in held_out])
    axes.set_ylabel("distillation ratio", color=INK)
    _plain(axes, f"The {TOP} picks (dots) and any configuration (boxes)")
    return figure


def _by_configuration(runs: pd.DataFrame) -> pd.DataFrame:
    """Repeats as one, in the largest comparable group of a dataset."""
    _, group = max(runs.groupby(GROUP), key=lambda pair: len(pair[1]))
    return group.groupby("configuration")[["predicted", "ratio"]].mean()


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, color=INK, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=8)
