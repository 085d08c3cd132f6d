"""`autodistill importance`: what decides how good a student gets, by past runs.

Decided here: what a person sees of it. All components, the first pairs, and of each dataset the first few; the record
has everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from autodistill.api import importance_of
from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of
from autodistill.commands.show import Shown, TextTable
from autodistill.commands.units import MISSING
from autodistill.evaluation.importance import Importance, MeanShare, Share
from engine.base.checks import check_place
from engine.base.errors import counted
from engine.base.progress import Reporter

TOP_PAIRS = 10
TOP_COMPONENTS = 3
"""Of each dataset."""


def importance(typed: Typed, reporter: Reporter) -> Shown:
    """Divides the variance of past scores among what was chosen; draws it where a folder is named."""
    if typed["figures"] is not None:
        check_place("--figures", typed["figures"], is_folder=True)
    found = importance_of(fields_of(typed), reporter, typed["components"] or ())
    if typed["figures"] is None:
        return shown(found)

    from autodistill.evaluation.figures import draw_importance  # loads matplotlib

    return shown(found, *(f"figure: {path}" for path in draw_importance(found, typed["figures"])))


def shown(found: Importance, *more: str) -> Shown:
    """Components and the weightiest pairs, means over datasets; then each dataset."""
    tables = [("component", found.single, "alone")]
    if found.pairs:
        first = dict(list(found.pairs.items())[:TOP_PAIRS])
        tables.append(("pair", first, "in pairs, beyond what each explains alone"))
    runs = f"{counted(found.runs, 'run')} of {counted(len(found.datasets), 'dataset')} ({found.meta_data})"
    left_out = [f"left out: {name}: {why}" for name, why in found.left_out.items()]
    return Shown(
        found.model_dump(mode="json"),
        [*(_means(*table) for table in tables), _of_each_dataset(found)],
        [runs, *left_out, *found.notes, *more],
    )


def _means(of: str, shares: Mapping[str, MeanShare], what: str) -> TextTable:
    rows = []
    for name, each in shares.items():
        interval = MISSING if each.low is None else f"{each.low:.3f} to {each.high:.3f}"
        rows.append([name, f"{each.share:.3f}", interval, str(each.datasets)])
    title = f"Share of the variance of scores, mean over the datasets in which it varies: {what}"
    return [of, "share", "95 % interval over datasets", "datasets"], rows, title


def _of_each_dataset(found: Importance) -> TextTable:
    """How much the forest knows of each dataset, and what is weightiest there."""
    rows = []
    for name, each in found.datasets.items():
        alone, pairs = (f"{sum(share.share for share in of.values()):.2f}" for of in (each.single, each.pairs))
        rows.append([name, str(each.runs), f"{each.explained:.2f}", alone, pairs, _first(each.single)])
    head = ["dataset", "runs", "R²", "all alone", "all pairs", "the first alone (95 % of trees)"]
    return head, rows, "Each dataset; R² is of runs that a tree has not seen"


def _first(shares: Mapping[str, Share]) -> str:
    first = sorted(shares.items(), key=lambda pair: -pair[1].share)[:TOP_COMPONENTS]
    return ", ".join(f"{name} {each.share:.2f} ({each.low:.2f} to {each.high:.2f})" for name, each in first)
