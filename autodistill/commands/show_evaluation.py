"""What a person sees of an evaluation of predictors, as rows of text and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from autodistill.commands.show import Shown, TextTable
from autodistill.commands.units import MISSING, figure
from engine.base.errors import counted

if TYPE_CHECKING:
    from autodistill.evaluation.report import Evaluation

MEASURES = {
    "rank correlation; more is better": {"spearman": "of all runs", "within_pair_spearman": "within the pair"},
    "regret; less is better": {
        "regret_at_1": "first pick",
        "regret_at_5": "best of 5",
        "regret_at_10": "best of 10",
        "regret_of_5_picks": "of 5 picks",
        "within_pair_regret_at_1": "first pick within the pair",
        "within_pair_regret_of_5_picks": "of 5 picks within the pair",
    },
    "lost to the best configuration, share of its ratio; less is better": {
        "lost_at_1": "first pick",
        "lost_of_5_picks": "best of 5 picks",
        "within_pair_lost_at_1": "first pick within the pair",
        "within_pair_lost_of_5_picks": "best of 5 picks within the pair",
    },
    "what the first ones reach; more is better": {
        "top_5_ratio": "ratio of 5",
        "random_5_ratio": "ratio of 5 at random",
        "first_pick_percentile": "percentile of the first",
    },
}
"""Subject → measure of an evaluation → what its column is called."""


def evaluation(found: Evaluation, *more: str) -> Shown:
    """The predictors, then the held-out datasets, a table a subject, and what the tables say."""
    tables = [
        *_by_subject("predictor", found.predictors, "Mean over held-out datasets"),
        *_differences(found),
        *_by_subject("dataset", found.datasets, f"{found.predictor}, each dataset held out"),
        _of_the_folds(found),
    ]
    return Shown(found.model_dump(mode="json"), tables, [*_evaluation_lines(found), *more])


def _by_subject(of: str, measures: Mapping[str, Mapping[str, float]], title: str) -> Iterator[TextTable]:
    """What has been measured of each predictor, or on each dataset."""
    for subject, named in MEASURES.items():
        rows = [[name, *(figure(values.get(each), ".3f") for each in named)] for name, values in measures.items()]
        yield [of, *named.values()], rows, f"{title}: {subject}"


def _of_the_folds(found: Evaluation) -> TextTable:
    """What else is known of each held-out dataset."""
    rows = []
    for name in found.datasets:
        ceiling = figure(found.noise_ceilings.get(name), ".2f")
        covered = figure(found.interval_coverages.get(name), ".0%")
        rows.append([name, ceiling, covered, ", ".join(found.features.get(name, [])) or "none"])
    head = ["dataset", "noise ceiling of the rank correlation", "runs in their 80 % interval", "features chosen"]
    return head, rows, f"{found.predictor}, each dataset held out: what else is known"


def _differences(found: Evaluation) -> Iterator[TextTable]:
    """What the predictor has more than each other one; nothing where datasets are too few for an interval."""
    for subject, measures in MEASURES.items():
        named = [name for name in measures if any(name in by for by in found.differences.values())]
        rows = [[other, *(_difference(by.get(name)) for name in named)] for other, by in found.differences.items()]
        if named:
            title = f"{found.predictor} minus each other one, mean over datasets (95 % interval): {subject}"
            yield ["predictor", *(measures[name] for name in named)], rows, title


def _difference(values: Sequence[float] | None) -> str:
    return f"{values[0]:+.3f} ({values[1]:+.3f} to {values[2]:+.3f})" if values else MISSING


def _near(found: Evaluation) -> Iterator[str]:
    """On how many datasets the picks are near the best configuration; nothing where none can tell."""
    from autodistill.evaluation.leave_one_out import LOST, LOST_OF_PICKS, NEAR  # loads scipy

    subjects = {LOST_OF_PICKS: "the best of five picks", LOST: "the first pick"}
    for where, prefix in (("", ""), (f" within {found.pair}", "within_pair_")):
        parts = []
        for name, most in NEAR.items():
            values = [each[prefix + name] for each in found.datasets.values() if prefix + name in each]
            if values:
                near = sum(value <= most for value in values)
                parts.append(
                    f"{subjects[name]} loses {100 * most:g}% at most on {near} of {counted(len(values), 'dataset')}"
                )
        if parts:
            yield f"beside the best configuration{where}, {', '.join(parts)}"


def _evaluation_lines(found: Evaluation) -> Iterator[str]:
    low, high = found.interval or (None, None)
    between = "" if low is None else f" (95 % over datasets: {low:.3f} to {high:.3f})"
    runs = f"{counted(found.runs, 'run')} of {counted(len(found.datasets), 'dataset')} ({found.meta_data})"
    within = f"within {found.pair} {figure(found.mean_within_pair_spearman, '.3f')}"
    yield f"{found.predictor} on {runs}: mean Spearman {figure(found.mean_spearman, '.3f')}{between}; {within}"
    yield from _near(found)
    if found.noise_ceiling is not None:
        what = "what a perfect prediction would reach against single runs, by the repeats on"
        yield f"noise ceiling {found.noise_ceiling:.3f}: {what} {', '.join(found.noise_ceilings)}"
    if found.interval_coverage is not None:
        yield f"80 % intervals hold {found.interval_coverage:.0%} of the held-out runs"
    yield from found.notes
