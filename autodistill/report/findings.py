"""What past runs say, as tables: everything that the sections show and draw.

Decided here: what is compared with what. Scores are compared among comparable runs alone; across them it is ratios,
differences and counts. A mean is over datasets, and so is its interval. Frames are those of `names.readable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from autodistill.evaluation.leave_one_out import TOP, interval_of_mean
from autodistill.history.table import STACKS, is_pipeline_column
from autodistill.ranking.past import MODELS, as_words, varying_columns
from autodistill.recommend.picks import pareto

FEWEST_CONFIGURATIONS = 10
"""Among comparable runs; of fewer nearly any is among the best five."""
KINDS = ["intermediate", "mapping", "prediction", "team"]
"""Components that twins share; augmentation is what they differ in."""
GOLD = "weights.hard_label"
"""Of the examples themselves; twins share it, too."""
NOT_STATED = "not stated"
NEAR = 0.99
"""Share of its last value at which a learning curve is called there."""
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}


class Mean(NamedTuple):
    """Over datasets, with its 95 % interval over them; None: too few for one."""

    value: float
    low: float | None
    high: float | None
    datasets: int


def mean_over_datasets(values: pd.Series, datasets: pd.Series) -> Mean:
    """The mean of the datasets' own means, of values that are known."""
    each = values.groupby(datasets).mean().dropna().to_numpy(float)
    low, high = interval_of_mean(each) or (None, None)
    return Mean(float(each.mean()) if len(each) else np.nan, low, high, len(each))


def median(values: pd.Series) -> float:
    """Of those that are known; NaN where none is."""
    known = values.dropna().to_numpy(float)
    return float(np.median(known)) if len(known) else np.nan


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each set of comparable runs: how many, of what, and how good."""
    of = runs.groupby("among")
    return pd.DataFrame(
        {
            "metric": of.metric.first(),
            "n_train": of.n_train.max(),
            "runs": of.size(),
            "configurations": of.configuration.nunique(),
            "teachers": of.teacher.nunique(),
            "students": of.student.nunique(),
            "teacher_score": of.teacher_score.max(),
            "bilstm_score": of.bilstm_score.max(),
            "linear_score": of.linear_score.max(),
            "median_score": of.score.median(),
            "best_score": of.score.max(),
            "median_ratio": of.ratio.median(),
        }
    )


def by_configuration(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each configuration among comparable runs: means over its repeats, how many, and what it is.

    Returns:
        The best score first, among comparable runs; `rank` from 1, of equals the same.
    """
    keys = ["among", "configuration"]
    of = runs.groupby(keys, sort=False)
    outcomes = ["score", "ratio", "seconds", "latency_ms", "teacher_score"]
    means = of[outcomes].mean().assign(repeats=of.size())
    rows = runs.drop_duplicates(keys).drop(columns=outcomes).join(means, on=keys)
    rows = rows.sort_values(["among", "score"], ascending=[True, False], kind="stable")
    return rows.assign(rank=rows.groupby("among").score.rank(method="min", ascending=False).astype(int))


def enough(configurations: pd.DataFrame) -> pd.DataFrame:
    """Those with enough others beside them."""
    sizes = configurations.groupby("among").configuration.transform("size")
    return configurations[sizes >= FEWEST_CONFIGURATIONS]


# --- objectives in the top five --------------------------------------------------------------------


class Objectives(NamedTuple):
    """How often each intermediate objective is among the best; columns are objectives, the commonest there first."""

    counts: pd.DataFrame
    """Comparable runs × objectives: how many of the best five have it; equally good ones share their places."""
    expected: pd.DataFrame
    """The same, were the five drawn from all configurations."""
    means: dict[str, Mean]
    """Objective → mean count."""
    leads: dict[str, Mean]
    """Objective → mean of count − expected."""


def objectives_in_top(runs: pd.DataFrame) -> Objectives | str:
    """Objectives of the five best configurations; or why there are none."""
    rows = enough(by_configuration(runs.assign(intermediate=stated(runs, "intermediate"))))
    rows = rows[rows.groupby("among").intermediate.transform("nunique") > 1]
    if rows.empty:
        return f"no dataset has {FEWEST_CONFIGURATIONS} configurations or more with two objectives or more"
    counts = rows.assign(place=_place_in_top(rows)).pivot_table(
        index="among", columns="intermediate", values="place", aggfunc="sum", fill_value=0.0
    )
    expected = TOP * pd.crosstab(rows["among"], rows.intermediate, normalize="index")
    counts = counts[counts.mean().sort_values(ascending=False, kind="stable").index]
    expected = expected[counts.columns]
    datasets = rows.groupby("among").dataset.first()
    means = {str(name): mean_over_datasets(counts[name], datasets) for name in counts}
    leads = {str(name): mean_over_datasets(counts[name] - expected[name], datasets) for name in counts}
    return Objectives(counts, expected, means, leads)


def _place_in_top(rows: pd.DataFrame) -> pd.Series:
    """How sure a configuration is among the best five where equals are put in order by chance (n,)."""
    scores = rows.groupby("among").score
    first, last = (scores.rank(method=method, ascending=False) for method in ("min", "max"))
    return ((TOP - first + 1) / (last - first + 1)).clip(0, 1)


def stated(runs: pd.DataFrame, name: str) -> pd.Series:
    """A component's kind, in words."""
    if name not in runs:
        return pd.Series(NOT_STATED, index=runs.index)
    return runs[name].astype(object).where(runs[name].notna(), NOT_STATED).astype(str)


# --- augmentation ----------------------------------------------------------------------------------


def augmentation_gains(runs: pd.DataFrame) -> pd.DataFrame | str:
    """What augmentation adds to the score, from twins: runs that share everything here but augmentation.

    Twins are comparable, and have one teacher, student, size of data, one kind of every other component and one weight
    of gold labels; knobs and seeds are averaged over.

    Returns:
        A row for each set of comparable runs, size of data and student: `gain` in points (score × 100), mean over
        pairs of twins; `pairs`; `dataset`, `student_parameters`. Or why there is none.
    """
    augmented = stated(runs, "augmentation")
    runs = runs.assign(augmented=augmented != "none", **{kind: stated(runs, kind) for kind in (*KINDS, GOLD)})
    runs = runs[augmented != NOT_STATED]
    if runs.augmented.nunique() < 2:
        return "the runs are all with augmentation" if runs.augmented.any() else "no run has augmentation"
    shared = ["among", "dataset", "n_train", *MODELS, *KINDS, GOLD]
    scores = runs.groupby([*shared, "augmented"]).score.mean().unstack("augmented")
    pairs = (100 * (scores[True] - scores[False])).dropna().rename("gain").reset_index()
    if pairs.empty:
        return "no run with augmentation has a twin without, alike in models, other components and gold labels"
    sizes = runs.groupby("student").student_parameters.first()
    of = pairs.groupby(["among", "dataset", "n_train", "student"]).gain
    rows = of.agg(gain="mean", pairs="size").reset_index()
    return rows.assign(student_parameters=rows.student.map(sizes)).sort_values(["n_train", "among", "student"])


# --- teachers and students -------------------------------------------------------------------------


class Models(NamedTuple):
    """Students of teachers under one pipeline, and at their best."""

    pipeline: str
    """The one that the most pairs of models have on the most datasets, in words."""
    scores: pd.DataFrame
    """(student, teacher) × comparable runs: mean score under that pipeline."""
    best: pd.DataFrame
    """The same of the best configuration, whichever it is."""
    ratios: pd.DataFrame
    """A row for each cell of `scores`: `student`, `teacher`, `among`, `dataset`, `ratio`, `student_parameters`."""


def models(runs: pd.DataFrame) -> Models | str:
    """Scores of all pairs of models, the largest students first; or why there is nothing to compare."""
    if runs.drop_duplicates(MODELS).shape[0] < 2:
        return "all runs have one teacher and one student"
    columns = [name for name in map(str, runs) if is_pipeline_column(name) and not name.startswith("training.")]
    words = as_words(runs[columns])
    runs = runs.assign(pipeline=words.agg("\x1f".join, axis=1) if columns else "")
    cells = runs.drop_duplicates(["pipeline", "among", *MODELS])
    commonest = cells.pipeline.value_counts(sort=True).index[0]
    own = runs[runs.pipeline == commonest]
    about = own.groupby([*MODELS, "among", "dataset"]).agg(
        ratio=("ratio", "mean"), student_parameters=("student_parameters", "first")
    )
    sizes = runs.groupby("student").student_parameters.first()
    order = sorted(set(zip(runs.student, runs.teacher, strict=True)), key=lambda each: _by_size(each, sizes))

    def table(scores: pd.Series) -> pd.DataFrame:
        return scores.unstack("among").reindex(order).dropna(axis=1, how="all")

    keys = ["student", "teacher", "among"]
    return Models(
        pipeline_in_words(own.iloc[0], varying_knobs(runs)),
        table(own.groupby(keys).score.mean()),
        table(by_configuration(runs).groupby(keys).score.max()),
        about.reset_index(),
    )


def _by_size(pair: tuple[str, str], sizes: pd.Series) -> tuple[float, str, str]:
    """The largest first; those of unknown size last."""
    size = sizes.get(pair[0], np.nan)
    return (np.inf if np.isnan(size) else -size, *pair)


# --- top configurations ----------------------------------------------------------------------------


def varying_knobs(runs: pd.DataFrame) -> list[str]:
    """Columns of the configuration that have several values, and do not follow from the augmentation."""
    names = varying_columns(runs)
    if "augmentation" not in runs:
        return names
    several = runs[names].groupby(stated(runs, "augmentation")).nunique(dropna=False).max() > 1
    return [name for name in names if several[name] or name == "augmentation" or "." not in name]


def pipeline_in_words(row: pd.Series, varying: Sequence[str]) -> str:
    """A configuration without its models: kinds, each with the knobs in which configurations differ.

    Example:
        >>> row = pd.Series({"intermediate": "mi_alpha", "intermediate.alpha": 0.9, "mapping": "skip"})
        >>> pipeline_in_words(row, ["intermediate", "intermediate.alpha"])
        'mi_alpha (alpha 0.9), skip'
    """
    kinds = [name for name in ("intermediate", "mapping", "prediction", "augmentation") if name in row]
    kinds += ["team"] if "team" in varying else []
    parts = []
    for kind in kinds:
        knobs = [_knob(row, name) for name in varying if _is_knob_of(name, kind) and pd.notna(row[name])]
        value = row[kind] if pd.notna(row[kind]) else f"{kind} {NOT_STATED}"
        value = f"no {kind}" if value == "none" else value
        parts.append(f"{value} ({', '.join(knobs)})" if knobs else str(value))
    others = [name for name in varying if name.split(".")[0] not in (*kinds, *MODELS) and pd.notna(row[name])]
    return ", ".join([*parts, *(f"{name} {_figure(row[name])}" for name in others)])


def _is_knob_of(name: str, kind: str) -> bool:
    """Whether a column is a knob of a component; the place of an operator is in the stack's name."""
    component, _, knob = name.partition(".")
    return component == kind and bool(knob) and not (kind in STACKS and knob in ("random", "contextual", "mixup"))


def _knob(row: pd.Series, name: str) -> str:
    return f"{name.partition('.')[2]} {_figure(row[name])}"


def _figure(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- cost against quality --------------------------------------------------------------------------


class Costs(NamedTuple):
    """What configurations cost, and what they give."""

    cost: str
    """`seconds` of the student's training, or `student_parameters` where most runs do not say how long they took."""
    rows: pd.DataFrame
    """Configurations with `cost`, `ratio`, and `front`: none that costs no more is better."""


def costs(runs: pd.DataFrame) -> Costs | str:
    """Configurations by cost and ratio; or why there are none."""
    rows = by_configuration(runs)
    name = "seconds" if rows.seconds.notna().mean() > 0.5 else "student_parameters"
    rows = rows.assign(cost=rows[name]).dropna(subset=["cost", "ratio"])
    if rows.cost.nunique() < 2:
        return "the runs tell neither their seconds nor different sizes of their students, beside a ratio"
    return Costs(name, rows.assign(front=on_front(rows, "ratio", "cost")))


def on_front(rows: pd.DataFrame, quality: str, cost: str) -> pd.Series:
    """Whether a row is better than all comparable ones that cost no more; of equal ones the first."""
    groups = (group for _, group in rows.groupby("among"))
    fronts = [group.index[pareto(group[quality].to_numpy(), group[cost].to_numpy())] for group in groups]
    return pd.Series(rows.index.isin([row for front in fronts for row in front]), index=rows.index)


# --- learning curves -------------------------------------------------------------------------------


def learning_curves(curves: pd.DataFrame) -> pd.DataFrame | str:
    """Quartiles over runs of the best score so far as a share of the teacher's.

    A run that ended keeps its last value, so that every epoch is of the same runs.

    Returns:
        A row for each student, objective and epoch: `low`, `median`, `high`, `runs`. Or why there is none.
    """
    so_far = _best_so_far(curves)
    if so_far.empty:
        return "no learning curves lie beside the tables of runs (a study's curves.parquet), and none are in the store"
    parts = []
    for keys, runs in _by_objective(so_far):
        filled = runs.pivot(index="identity", columns="epoch", values="share").ffill(axis=1)
        quartiles = filled.quantile([*QUARTILES.values()]).T.set_axis([*QUARTILES], axis=1)
        parts.append(quartiles.reset_index().assign(student=keys[0], objective=keys[1], runs=len(filled)))
    return pd.concat(parts, ignore_index=True)


def epochs_needed(curves: pd.DataFrame) -> pd.DataFrame:
    """A row for each student and objective: the median epoch, and second, at which a run has 99 % of its last value,
    beside the epochs that it had."""
    rows = []
    for (student, objective), runs in _by_objective(_best_so_far(curves)):
        of = runs.groupby("identity")
        last = of.share.transform("last")
        there = runs[runs.share >= last - (1 - NEAR) * last.abs()].groupby("identity").first()
        about = {"epochs": median(of.size()), "epoch": median(there.epoch), "seconds": median(there.seconds)}
        rows.append({"student": student, "objective": objective, "runs": len(there), **about})
    return pd.DataFrame(rows)


def _by_objective(so_far: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    return iter(so_far.groupby(["student", "objective"]))  # type: ignore[arg-type]


def _best_so_far(curves: pd.DataFrame) -> pd.DataFrame:
    """Epochs in their order with `share`, the best score so far / the teacher's; of runs whose teacher's is known."""
    if curves.empty:
        return curves
    known = curves[(curves.teacher_score > 0) & curves.score.notna()].sort_values(["identity", "epoch"])
    best = known.groupby("identity").score.cummax()
    return known.assign(share=best / known.teacher_score, objective=stated(known, "intermediate"))
