"""`autodistill importance`: which components decide how good a student gets (Distiller, figures 2 and 6).

Decided here: what is a component of past runs, and which of them depends on which. Everything that differs between
comparable runs of a dataset is one: models, each kind that was chosen, each knob. Scores are explained, not ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from numbers import Real

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from autodistill.evaluation.fanova import ABSENT, Component, shares
from autodistill.evaluation.leave_one_out import interval_of_mean
from autodistill.history.table import GROUP, is_pipeline_column
from autodistill.ranking.past import MODELS, as_words
from engine.base.errors import InputError, counted, unknown_name
from engine.base.progress import Reporter

FEWEST_RUNS = 30
"""Of comparable runs; fewer are not worth a forest."""
MOST_VALUES = 64
"""Different numbers of a component; more are put together with their neighbours."""
PARENTS = {
    "mapping": "intermediate",
    "weights.intermediate": "intermediate",
    "weights.hard_label": "augmentation",
    "weights.augmented_prediction": "augmentation",
    "weights.augmented_hard_label": "augmentation",
    "training.learning_rate": "student",
}
"""What is chosen only with certain kinds of another component, or usually follows from it; a knob
(`intermediate.alpha`) depends on its own."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Record):
    """Share of the variance of scores, 0 to 1; mean over trees, and where 95 % of them are."""

    share: float
    low: float
    high: float


class MeanShare(_Record):
    """Mean of a share over datasets, and its 95 % interval over them; None: too few for one."""

    share: float
    low: float | None
    high: float | None
    datasets: int


class OfRuns(_Record):
    """What decides the scores of comparable runs of one dataset."""

    dataset: str
    runs: int
    explained: float
    """R² of runs that a tree has not seen, above 0; the nearer it is to 0, the less the shares mean."""
    single: dict[str, Share]
    """Component → what it explains alone."""
    pairs: dict[str, Share]
    """`one × other` → what the two explain together beyond what each does alone."""


class Importance(_Record):
    """What came out; shares are of the variance over all combinations of components that vary."""

    meta_data: str
    runs: int
    single: dict[str, MeanShare]
    """Component → mean over the datasets in which it varies; what explains most in all of them first."""
    pairs: dict[str, MeanShare]
    datasets: dict[str, OfRuns]
    """Comparable runs → theirs: a dataset, with metric and held-out set where it has several."""
    left_out: dict[str, str]
    """Comparable runs that have no shares → why."""
    notes: list[str]


def importance(
    runs: pd.DataFrame, name: str, reporter: Reporter, only: Sequence[str] = (), notes: Sequence[str] = ()
) -> Importance:
    """Divides the variance of scores among components, for each dataset and on average.

    Args:
        runs: In the columns of `history.table`.
        name: Of the meta-dataset, for people.
        only: Components that are asked about, the others averaged out; all where none is named.

    Raises:
        InputError: No run has such a component, or no dataset has shares.
    """
    known = [each for each in columns_of(runs) if runs[each].nunique(dropna=False) > 1]
    _check_known(only, known, "--component", "nothing that varies is called so")
    groups = dict(_groups(runs))
    found, left_out = {}, {}
    reporter.start("importance", len(groups), unit="datasets")
    for label, group in groups.items():
        result = _of_group(group, only)
        if isinstance(result, str):
            left_out[label] = result
        else:
            found[label] = result
        reporter.advance("importance")
    reporter.finish("importance")
    if not found:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in left_out.items())
        raise InputError.of("--meta-data", "no dataset whose runs tell what decides their scores", reasons)
    return Importance(
        meta_data=name,
        runs=sum(each.runs for each in found.values()),
        single=_means([(each.dataset, each.single) for each in found.values()]),
        pairs=_means([(each.dataset, each.pairs) for each in found.values()]),
        datasets=found,
        left_out=left_out,
        notes=[*notes],
    )


def of_models(runs: pd.DataFrame, teacher: str, students: Sequence[str]) -> pd.DataFrame:
    """Runs of a teacher and of some students; of all where none is named.

    Raises:
        InputError: No run has one of them.
    """
    named = {
        "teacher": ([teacher] if teacher else [], ""),
        "student": (students, f" with teacher {teacher}" * bool(teacher)),
    }
    for column, (names, among) in named.items():
        _check_known(names, runs[column].unique(), f"--{column}", f"no run has this {column}{among}")
        runs = runs[runs[column].isin(names)] if names else runs
    return runs


def _check_known(names: Sequence[str], known: Iterable[str], option: str, what: str) -> None:
    known = [str(name) for name in known]
    if unknown := [name for name in names if name not in known]:
        raise InputError([unknown_name(option, what, name, known) for name in unknown])


def columns_of(runs: pd.DataFrame) -> list[str]:
    """What may be a component: models, size of the data, and everything of the pipeline."""
    return [*MODELS, "n_train", *filter(is_pipeline_column, runs.columns)]


def _groups(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Comparable runs under the dataset's name, and what else tells them from others of the dataset."""
    several = runs.groupby("dataset")[GROUP].nunique() > 1
    for key, group in runs.groupby(GROUP):
        dataset, *others = map(str, key)
        parts = [part for part, name in zip(others, GROUP[1:], strict=True) if several.loc[dataset, name]]
        yield ", ".join([dataset, *parts]), group


def _of_group(group: pd.DataFrame, only: Sequence[str]) -> OfRuns | str:
    """The shares in comparable runs, or why there are none."""
    if len(group) < FEWEST_RUNS:
        return f"{counted(len(group), 'run')}, and {FEWEST_RUNS} are needed"
    if group.score.nunique() < 2:
        return "all scores are equal"
    components, codes = components_of(group)
    kept = [place for place, each in enumerate(components) if not only or each.name in only]
    if not kept:
        return "nothing varies" if not only else f"none of {', '.join(only)} varies"
    found = shares(components, codes, group.score.to_numpy(float), kept)
    if found.explained <= 0:
        return f"its components predict no score of a run that was not seen (R² {found.explained:.2f})"
    if not len(found.single):
        return f"no score depends on {', '.join(only)}"
    names = [components[place].name for place in kept]
    single = dict(zip(names, map(_over_trees, found.single.T), strict=True))
    pairs = {
        f"{names[one]} × {names[other]}": _over_trees(found.pairs[:, one, other])
        for one, other in combinations(range(len(names)), 2)
    }
    dataset = str(group.dataset.iloc[0])
    return OfRuns(dataset=dataset, runs=len(group), explained=found.explained, single=single, pairs=pairs)


def _over_trees(values: np.ndarray) -> Share:
    low, high = np.quantile(values, [0.025, 0.975])
    return Share(share=float(values.mean()), low=float(low), high=float(high))


def _means(found: Sequence[tuple[str, Mapping[str, Share]]]) -> dict[str, MeanShare]:
    """Means over datasets, of each that over its comparable runs; what explains most in all of them first."""
    rows = [(name, dataset, each.share) for dataset, of_runs in found for name, each in of_runs.items()]
    frame = pd.DataFrame(rows, columns=["name", "dataset", "share"])
    values = frame.groupby(["name", "dataset"], sort=False).share.mean()
    means = {}
    for name, each in values.groupby(level="name", sort=False):
        low, high = interval_of_mean(each.to_numpy()) or (None, None)
        means[str(name)] = MeanShare(share=float(each.mean()), low=low, high=high, datasets=len(each))
    return dict(sorted(means.items(), key=lambda pair: -pair[1].share * pair[1].datasets))


# --- what varies in comparable runs ----------------------------------------------------------------


def components_of(runs: pd.DataFrame) -> tuple[list[Component], np.ndarray]:
    """The components of runs, those that others depend on first, and the codes of their values (n, components).

    A component exists with those values of its parent with which it was chosen: with which runs have several of its
    values. With the others it follows from the parent (no α without mi_alpha), and where it does so everywhere (the
    place of an operator in a stack) it is none.
    """
    words = as_words(runs[columns_of(runs)])
    names = [str(name) for name in words if words[name].nunique() > 1]
    components: list[Component] = []
    codes: list[np.ndarray] = []
    for name in sorted(names, key=lambda each: _depth(each, names)):
        places = {each.name: place for place, each in enumerate(components)}
        parent = places.get(_parent(name, list(places)) or "")
        exists = () if parent is None else _exists(words[name].to_numpy(), codes[parent])
        there = np.ones(len(runs), bool) if parent is None else np.isin(codes[parent], exists)
        if there.any():
            values, ordered, own = _coded(runs[name], words[name], there)
            components.append(Component(name, values, ordered, parent, exists))
            codes.append(own)
    return components, np.stack(codes, axis=1) if codes else np.empty((len(runs), 0), int)


def _parent(name: str, names: Sequence[str]) -> str | None:
    """The nearest of some components that one depends on."""
    if name in PARENTS:
        return PARENTS[name] if PARENTS[name] in names else None
    *above, _ = name.split(".")
    prefixes = (".".join(above[:length]) for length in range(len(above), 0, -1))
    return next((prefix for prefix in prefixes if prefix in names), None)


def _depth(name: str, names: Sequence[str]) -> int:
    parent = _parent(name, names)
    return 0 if parent is None else 1 + _depth(parent, names)


def _exists(words: np.ndarray, parent: np.ndarray) -> tuple[int, ...]:
    """Codes of a parent's values (n,) with which several words (n,) were chosen."""
    there = parent != ABSENT
    several = pd.Series(words[there]).groupby(parent[there]).nunique() > 1
    return tuple(map(int, several.index[several]))


def _coded(cells: pd.Series, words: pd.Series, there: np.ndarray) -> tuple[list[str | float], bool, np.ndarray]:
    """The different values, whether they are ordered, and each run's place among them (n,).

    Numbers are ordered; where one is missing, which is a value of its own, all of them are words.
    """
    known, codes = cells[there], np.full(len(cells), ABSENT)
    ordered = known.notna().all() and all(isinstance(cell, Real) for cell in known)
    if not ordered:
        values, codes[there] = np.unique(words[there].to_numpy(str), return_inverse=True)
        return values.tolist(), False, codes
    numbers = known.astype(float)
    if numbers.nunique() > MOST_VALUES:
        numbers = numbers.groupby(pd.qcut(numbers, MOST_VALUES, duplicates="drop"), observed=True).transform("median")
    values, codes[there] = np.unique(numbers, return_inverse=True)
    return values.tolist(), True, codes
