"""`autodistill evaluate`: what the recommender is worth on datasets that it has not seen, and beside what.

Decided here: which figures are reported. Every predictor is fitted on the same folds and measured by the same
measures; a note says whether the recommender's clearly beats the mean rank of configurations.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from autodistill.evaluation import leave_one_out
from autodistill.evaluation.leave_one_out import HeldOut
from autodistill.ranking.calibration import calibrate, left_out_standings
from autodistill.ranking.fitted import PREDICTORS, SIMPLE, kept_fit
from autodistill.ranking.past import FEWEST, Fit, RunTable, commonest_pair, configurations
from engine.base.errors import InputError, counted
from engine.base.progress import Reporter

FEW_CONFIGURATIONS = 60
"""On a dataset; with fewer the order of pipelines is mostly unknown."""


class Evaluation(BaseModel):
    """What came out. Ratios are student / teacher; regrets, losses, percentiles 0 to 1; None: the runs cannot tell."""

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
    """Held-out dataset → what `leave_one_out.measures` gives."""
    predictors: dict[str, dict[str, float]]
    """Predictor → means of the measures over datasets; the recommender's own stands first."""
    differences: dict[str, dict[str, tuple[float, float, float]]]
    """Predictor → measure → what the recommender's own has more, and the 95 % interval of that over datasets."""
    noise_ceiling: float | None
    """Mean over datasets of the rank correlation that a perfect prediction would have with single runs."""
    noise_ceilings: dict[str, float]
    """Of the datasets whose repeats tell."""
    interval_coverage: float | None
    """Share of held-out runs inside their 80 % interval, mean over datasets."""
    interval_coverages: dict[str, float]
    features: dict[str, list[str]]
    """Held-out dataset → the feature sets of datasets that were chosen without it; empty where none can be chosen."""
    notes: list[str]


def evaluate(
    table: RunTable,
    name: str,
    reporter: Reporter,
    predictor: str,
    cache: Path,
    compared: Sequence[str] = tuple(PREDICTORS),
    notes: Sequence[str] = (),
) -> tuple[Evaluation, list[HeldOut]]:
    """Leaves one dataset out at a time, for the recommender's predictor and everything it is compared with.

    Each fitted fold is kept, so what was stopped goes on; each predictor's figures are said as soon as they are there.

    Args:
        name: Of the meta-dataset, for people.
        cache: Where fitted folds are kept.

    Returns:
        The figures, and the held-out runs with what the recommender's predictor gave them.

    Raises:
        InputError: There are too few datasets to leave one out.
    """
    if (count := len(table.names)) < 2:
        raise InputError.of("--meta-data", "leaving one dataset out needs runs on at least two", f"{count} in {name}")
    pair = commonest_pair(table.runs)
    fits = {each: kept_fit(each, cache, reporter) for each in dict.fromkeys([predictor, *compared])}
    held_out = {each: _left_out(each, fit, table, pair, reporter) for each, fit in fits.items()}
    means = {each: leave_one_out.means(found) for each, found in held_out.items()}
    own = held_out[predictor]
    ceilings = leave_one_out.noise_ceiling(table.runs)
    coverages = {each.dataset: share for each in own if np.isfinite(share := _coverage(each, table, fits[predictor]))}
    record = Evaluation(
        meta_data=name,
        runs=len(table.runs),
        predictor=predictor,
        mean_spearman=means[predictor].get("spearman"),
        interval=leave_one_out.interval_of(own, "spearman"),
        pair=f"{pair[1]} ← {pair[0]}",
        mean_within_pair_spearman=means[predictor].get("within_pair_spearman"),
        datasets={each.dataset: dict(each.measures) for each in own},
        predictors=means | {"oracle": leave_one_out.oracle(table, pair)},
        differences={
            each: leave_one_out.differences(own, found) for each, found in held_out.items() if each != predictor
        },
        noise_ceiling=_mean(ceilings),
        noise_ceilings=ceilings,
        interval_coverage=_mean(coverages),
        interval_coverages=coverages,
        features={each.dataset: list(chosen) for each in own if (chosen := _features(each)) is not None},
        notes=[*notes, *_sentences(held_out, predictor, table)],
    )
    return record, own


def _left_out(name: str, fit: Fit, table: RunTable, pair: tuple[str, str], reporter: Reporter) -> list[HeldOut]:
    """Leaves each dataset out, and says what came out."""
    reporter.start(name, len(table.names), unit="datasets")
    held_out = leave_one_out.leave_one_out(fit, table, pair, partial(reporter.advance, name))
    reporter.finish(name)
    found = leave_one_out.means(held_out)
    figures = {"Spearman": "spearman", f"within {pair[1]} ← {pair[0]}": "within_pair_spearman"}
    figures["regret of five picks"] = leave_one_out.OF_PICKS
    parts = [f"{words} {found[measure]:.3f}" for words, measure in figures.items() if measure in found]
    reporter.message(f"{name}: {', '.join(parts) or 'the runs cannot tell'}")
    return held_out


def _mean(values: Mapping[str, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def _coverage(held_out: HeldOut, table: RunTable, fit: Fit) -> float:
    """Share of a held-out dataset's runs inside the intervals that the other datasets give; NaN: no such, or too few
    runs to tell."""
    past, runs = table.without(held_out.dataset), held_out.runs
    calibration = calibrate(past, left_out_standings(fit, held_out.rank, past))
    low, _, high = calibration(runs.predicted.to_numpy(), replace(table, runs=runs)).T
    known = runs.ratio.notna() & np.isfinite(low)
    return float(runs.ratio.between(low, high)[known].mean()) if known.sum() >= FEWEST else np.nan


def _features(held_out: HeldOut) -> Sequence[str] | None:
    """Feature sets of datasets that were chosen; None where the predictor does not choose any."""
    return getattr(held_out.rank, "features", None)


def _sentences(held_out: Mapping[str, list[HeldOut]], predictor: str, table: RunTable) -> Iterator[str]:
    if SIMPLE in held_out and predictor != SIMPLE:
        own, simple = (leave_one_out.by_dataset(held_out[name]).spearman for name in (predictor, SIMPLE))
        gains = (own - simple).dropna()
        if len(gains):
            _, low, _ = leave_one_out.differences(held_out[predictor], held_out[SIMPLE]).get("spearman", (0.0,) * 3)
            verb = "beats" if low > 0 else "is not clearly better than" if gains.mean() > 0 else "does not beat"
            yield (
                f"{predictor} {verb} the mean rank of configurations: {gains.mean():+.3f} in rank correlation, "
                f"better on {(gains > 0).sum()} of {counted(len(gains), 'dataset')}"
            )
    if not any(chosen is None or chosen for chosen in map(_features, held_out[predictor])):
        yield "no features of datasets were chosen: nothing is known to depend on the dataset"
    runs = table.runs.assign(configuration=configurations(table.runs))
    runs = runs[runs.groupby("dataset").configuration.transform("size") >= FEWEST]
    counts = runs.groupby("dataset").configuration.nunique()
    everywhere = (runs.groupby("configuration").dataset.nunique() == len(counts)).sum()
    if len(counts):
        many = " to ".join(map(str, sorted({counts.min(), counts.max()})))
        yield f"{many} configurations on a dataset, {everywhere} of them on every dataset"
    if counts.median() < FEW_CONFIGURATIONS:
        yield (
            "so few configurations tell which models suit, and little about pipelines: most of them differ in teacher "
            "or student alone"
        )
