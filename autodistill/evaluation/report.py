"""`autodistill evaluate`: what the recommender is worth on datasets that it has not seen, and beside what.

Decided here: which figures are reported. Every predictor is fitted on the same folds and measured by the
same measures; where the recommender's does not beat the mean rank of configurations, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from pydantic import BaseModel, ConfigDict

from autodistill.evaluation import leave_one_out as validation
from autodistill.evaluation.leave_one_out import HeldOut
from autodistill.ranking import DEFAULT, PREDICTORS
from autodistill.ranking.calibration import calibrate, gaps, left_out_places
from autodistill.ranking.past import RunTable, configurations
from engine.base.errors import InputError
from engine.base.progress import Reporter

ORACLE = "oracle"
BASELINE = "mean_rank"
FEW_CONFIGURATIONS = 60
"""On a dataset; with fewer the order of pipelines is mostly unknown."""


class Evaluation(BaseModel):
    """What came out. Ratios are student / teacher; regrets and percentiles 0 to 1.

    `None` stands for what the runs cannot tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    meta_data: str
    runs: int
    predictor: str
    mean_spearman: float | None
    interval: tuple[float, float] | None
    """95 % interval of the mean, over datasets."""
    pair: str
    """The student ← teacher within which the order is measured too."""
    mean_within_pair_spearman: float | None
    datasets: dict[str, dict[str, float]]
    """Held-out dataset → what `validation.measures` gives."""
    predictors: dict[str, dict[str, float]]
    """Predictor → means of the measures over datasets; the recommender's own stands first."""
    noise_ceiling: float | None
    """Mean over datasets of the rank correlation that a perfect prediction would have with single runs."""
    noise_ceilings: dict[str, float]
    interval_coverage: float | None
    """Share of held-out runs inside their 80 % interval, mean over datasets."""
    interval_coverages: dict[str, float]
    features: dict[str, list[str]]
    """Held-out dataset → the feature sets of datasets that were chosen without it."""
    notes: list[str]


def evaluate(
    table: RunTable,
    name: str,
    reporter: Reporter,
    predictor: str = DEFAULT,
    compared: Sequence[str] = tuple(PREDICTORS),
    notes: Sequence[str] = (),
) -> tuple[Evaluation, list[HeldOut]]:
    """Leaves one dataset out at a time, for the recommender's predictor and everything it is compared with.

    Args:
        name: Of the meta-dataset, for people.
        predictor: The recommender's.
        compared: Names of `PREDICTORS`.
        notes: What was noticed while the runs were read.

    Returns:
        The figures, and the held-out runs with what the recommender's predictor said.

    Raises:
        InputError: There are too few datasets to leave one out.
    """
    if len(table.names) < 2:
        what = "leaving one dataset out needs runs on at least two"
        raise InputError.of("--meta-data", what, f"{len(table.names)} in {name}")
    pair = validation.commonest_pair(table.runs)
    held_out = {}
    for each in dict.fromkeys([predictor, *compared]):
        reporter.start(each, len(table.names), unit="datasets")
        told = partial(reporter.advance, each)
        held_out[each] = validation.leave_one_out(PREDICTORS[each], table, pair, told)
        reporter.finish(each)
    own = held_out[predictor]
    means = {each: _means(found) for each, found in held_out.items()}
    ceilings = validation.noise_ceiling(table.runs)
    coverages = {found.dataset: _coverage(found, table, predictor) for found in own}
    record = Evaluation(
        meta_data=name,
        runs=len(table.runs),
        predictor=predictor,
        mean_spearman=means[predictor].get("spearman"),
        interval=validation.interval_of(own, "spearman"),
        pair=f"{pair[1]} ← {pair[0]}",
        mean_within_pair_spearman=means[predictor].get("within_pair_spearman"),
        datasets={found.dataset: dict(found.measures) for found in own},
        predictors=means | {ORACLE: validation.oracle(table, pair)},
        noise_ceiling=float(np.mean(list(ceilings.values()))) if ceilings else None,
        noise_ceilings=ceilings,
        interval_coverage=_mean_known(coverages.values()),
        interval_coverages={name: value for name, value in coverages.items() if value is not None},
        features={found.dataset: list(getattr(found.rank, "features", ())) for found in own},
        notes=[*notes, *_verdicts(held_out, predictor, table)],
    )
    return record, own


def _means(held_out: Sequence[HeldOut]) -> dict[str, float]:
    names = dict.fromkeys(name for found in held_out for name in found.measures)
    means = {name: validation.mean_of(held_out, name) for name in names}
    return {name: value for name, value in means.items() if value is not None}


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _coverage(found: HeldOut, table: RunTable, predictor: str) -> float | None:
    """Share of a held-out dataset's runs inside the intervals that the other datasets give."""
    past = table.without(found.dataset)
    calibration = calibrate(past, left_out_places(PREDICTORS[predictor], found.rank, past))
    asked = replace(table, runs=found.runs)
    low, _, high = calibration(found.runs.predicted.to_numpy(), gaps(asked)).T
    known = found.runs.ratio.notna().to_numpy() & np.isfinite(low)
    ratios = found.runs.ratio.to_numpy()
    return float(((low <= ratios) & (ratios <= high))[known].mean()) if known.any() else None


def _verdicts(held_out: Mapping[str, list[HeldOut]], predictor: str, table: RunTable) -> list[str]:
    """What the figures say, in sentences."""
    found = []
    if BASELINE in held_out and predictor != BASELINE:
        gains = _paired(held_out[predictor], held_out[BASELINE])
        if len(gains):
            better = int((gains > 0).sum())
            verb = "beats" if gains.mean() > 0 else "does not beat"
            found.append(
                f"{predictor} {verb} the mean rank of configurations: {gains.mean():+.3f} in rank "
                f"correlation, better on {better} of {len(gains)} datasets"
            )
    used = [getattr(held_out_one.rank, "features", None) for held_out_one in held_out[predictor]]
    if used and not any(used) and None not in used:
        found.append("no features of datasets were chosen: nothing is known to depend on the dataset")
    runs = table.runs.assign(configuration=configurations(table.runs))
    each = runs.groupby("dataset").configuration.nunique()
    everywhere = (runs.groupby("configuration").dataset.nunique() == len(table.names)).sum()
    found.append(
        f"{each.min()} to {each.max()} configurations on a dataset, {everywhere} of them on every dataset"
    )
    if each.median() < FEW_CONFIGURATIONS:
        found.append(
            "so few configurations tell which models suit, and little about pipelines: most of them differ "
            "in teacher or student alone"
        )
    return found


def _paired(one: Sequence[HeldOut], other: Sequence[HeldOut]) -> np.ndarray:
    """Differences in rank correlation on the datasets that both have it for."""
    pairs = zip(one, other, strict=True)
    both = [(a.measures.get("spearman"), b.measures.get("spearman")) for a, b in pairs]
    return np.array([a - b for a, b in both if a is not None and b is not None])
