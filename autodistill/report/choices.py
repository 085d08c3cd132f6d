"""What is chosen: which components decide, which are among the best, and what augmentation adds.

Decided here: the words, the digits and the tables of these sections. A function gives a section, or why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autodistill.evaluation.figures import mean_shares
from autodistill.evaluation.importance import Importance
from autodistill.evaluation.leave_one_out import TOP
from autodistill.report import figures, findings
from autodistill.report.findings import Mean, mean_over_datasets
from autodistill.report.page import Picture, Section, Table
from autodistill.report.words import MISSING, large, number, with_interval
from engine.base.errors import counted

if TYPE_CHECKING:
    from autodistill.report.material import Material


def importance(material: Material) -> Section | str:
    """Figures 2 and 6 of Distiller."""
    found = material.importance
    if isinstance(found, str):
        return found
    name, first = next(iter(found.single.items()))
    mean = Mean(first.share, first.low, first.high, first.datasets)
    text = [
        f"{name} decides most over all datasets: {with_interval(mean, '.2f')} of the variance of scores in the "
        f"{counted(first.datasets, 'dataset')} in which it varies.",
        "Shares are those of functional ANOVA: what a component explains alone, the others averaged out, and what a "
        "pair explains beyond that. R² says how well the forest behind them knows a run that it has not seen: near 0 "
        "they mean little.",
    ]
    pictures = [Picture("importance", mean_shares(found, "single"), "Bars: the share of each component, alone.")]
    tables = [_shares(found, "single", "Shares alone: mean over datasets, then each dataset")]
    if found.pairs:
        words = "Bars: the share of each pair of components, beyond what each explains alone."
        pictures.append(Picture("interactions", mean_shares(found, "pairs"), words))
        tables.append(_shares(found, "pairs", "Shares of pairs: mean over datasets, then each dataset"))
    if found.left_out:
        rows = [[among, why] for among, why in found.left_out.items()]
        tables.append(Table("Comparable runs that have no shares", ["comparable runs", "why"], rows, folded=True))
    return Section(text, pictures, tables)


def _shares(found: Importance, kind: str, title: str) -> Table:
    """A row a component or pair; a shaded column a dataset."""
    rows, shades = [], []
    own = [getattr(each, kind) for each in found.datasets.values()]
    for name, each in getattr(found, kind).items():
        values = [of[name].share if name in of else np.nan for of in own]
        mean = with_interval(Mean(each.share, each.low, each.high, each.datasets), ".2f")
        rows.append([name, mean, *(number(value, ".2f") for value in values)])
        shades.append([0.0, *np.nan_to_num(values)])
    if kind == "single":
        explained = [each.explained for each in found.datasets.values()]
        rows.append(["R² of unseen runs", MISSING, *(number(value, ".2f") for value in explained)])
    head = ["component" if kind == "single" else "pair", "mean (95 % over datasets)", *found.datasets]
    return Table(title, head, rows, shades, folded=kind == "pairs")


def objectives(material: Material) -> Section | str:
    """Figure 3 of Distiller."""
    found = findings.objectives_in_top(material.runs)
    if isinstance(found, str):
        return found
    first = found.counts.columns[0]
    oftener = [_called(name) for name, lead in found.leads.items() if lead.low is not None and lead.low > 0]
    more = "Clearly more often than it was tried"
    count = with_interval(found.means[first], ".2f")
    text = [
        f"{_called(first)} stands in {count} of the {TOP} best configurations of a dataset.",
        f"{more}: {', '.join(oftener)}." if oftener else "None is there clearly more often than it was tried.",
        "An objective that was tried often is often among the best. So its count is compared with that of five "
        "configurations drawn from all that were tried; a difference above 0 is more than chance gives. Repeats are "
        "averaged, and equally good ones share their places. Datasets with fewer than "
        f"{findings.FEWEST_CONFIGURATIONS} configurations, or one objective, are not counted.",
    ]
    look = figures.styles_of(findings.stated(material.runs, "intermediate"))
    pictures = [
        Picture("objectives", figures.top_objectives(found, look), "Bars: objectives of the five best, each dataset."),
        Picture("objectives-leads", figures.objective_leads(found), "Bars: count among the best, less that by chance."),
    ]
    return Section(text, pictures, [_counts(found)])


def _called(objective: str) -> str:
    """An objective in a sentence, where `none` would be read as a pronoun."""
    return "Vanilla distillation" if objective == "none" else objective


def _counts(found: findings.Objectives) -> Table:
    names = [str(name) for name in found.counts]
    cells = found.counts.map("{:.2g}".format) + " (" + found.expected.map("{:.1f}".format) + ")"
    rows = [[str(among), *own] for among, own in cells.iterrows()]
    rows.append(["mean", *(with_interval(found.means[name], ".2f") for name in names)])
    rows.append(["mean − by chance", *(with_interval(found.leads[name], "+.2f") for name in names)])
    shades = (found.counts / TOP).to_numpy(float).tolist()
    title = f"How many of the {TOP} best have an objective; in brackets how many of {TOP} drawn ones would"
    return Table(title, ["comparable runs", *names], rows, shades)


def augmentation(material: Material) -> Section | str:
    """Table 3 of Distiller."""
    gains = findings.augmentation_gains(material.runs)
    if isinstance(gains, str):
        return gains
    labels = {among: f"{among}, {large(rows)} rows" for among, rows in zip(gains["among"], gains.n_train, strict=True)}
    text = [
        f"Augmentation changes the score by {_mean_gain(gains)} points, mean over "
        f"{counted(gains.dataset.nunique(), 'dataset')}.",
        *_halves(gains, "n_train", "With up to {} training rows it is {}, with more {}."),
        *_halves(gains, "student_parameters", "For students of up to {} parameters it is {}, of more {}."),
        "Twins are compared: runs with and without augmentation that have the same models, data, kinds of all other "
        "components and weight of gold labels. Knobs, seeds and different augmentations are averaged over. A dash: no "
        "twins.",
    ]
    picture = Picture(
        "augmentation",
        figures.augmentation(gains, labels, figures.styles_of(gains.student)),
        "Dots: what augmentation adds for each student, a row a dataset, the smallest data first.",
    )
    return Section(text, [picture], [_gains(gains, labels)])


def _mean_gain(gains: pd.DataFrame, form: str = "+.2f") -> str:
    return with_interval(mean_over_datasets(gains.gain, gains.dataset), form)


def _halves(gains: pd.DataFrame, by: str, sentence: str) -> list[str]:
    """The gain below and above the middle of a size, where it has several."""
    sizes = gains[by].dropna().unique()
    if len(sizes) < 2:
        return []
    middle = float(np.median(sizes))
    parts = (gains[gains[by] <= middle], gains[gains[by] > middle])
    return [sentence.format(large(middle), *map(_mean_gain, parts))]


def _gains(gains: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Rows by size of the data, columns by size of the student, and means of both."""
    students = gains.sort_values(["student_parameters", "student"]).drop_duplicates("student")
    rows = []
    for among, own in gains.groupby("among", sort=False):
        words = [f"{number(gain, '+.1f')} ({pairs})" for gain, pairs in zip(own.gain, own.pairs, strict=True)]
        known = dict(zip(own.student, words, strict=True))
        cells = [known.get(name, MISSING) for name in students.student]
        rows.append([labels[str(among)], *cells, number(own.gain.mean(), "+.1f")])
    of = [gains[gains.student == name] for name in students.student]
    over = [_mean_gain(each, "+.1f") for each in of]
    rows.append(["mean over datasets", *over, _mean_gain(gains, "+.1f")])
    sizes = zip(students.student, students.student_parameters, strict=True)
    head = ["comparable runs", *(f"{name} ({large(size)})" for name, size in sizes), "mean over students"]
    return Table("Points that augmentation adds; in brackets the pairs of twins", head, rows)


def top_configurations(material: Material) -> Section | str:
    """Table 9 of Distiller."""
    rows = findings.by_configuration(material.runs)
    tables = []
    for among, own in rows.groupby("among").head(TOP).groupby("among"):
        varying = findings.varying_knobs(material.runs[material.runs["among"] == among])
        cells = [
            [f"{each['rank']}. {findings.pipeline_in_words(each, varying)}", f"{each.student} ← {each.teacher}",
             number(each.score), number(each.ratio), f"{each.repeats}"]
            for _, each in own.iterrows()
        ]  # fmt: skip
        among_all = counted(int((rows["among"] == among).sum()), "configuration")
        head = ["pipeline", "student ← teacher", "score", "ratio", "runs"]
        tables.append(Table(f"{among}: the best of {among_all}", head, cells, folded=True))
    text = [
        "The best configurations among comparable runs, repeats averaged; knobs are named where they differ there.",
        "The first of many is also the luckiest: expect it to be a little worse when it is run again.",
    ]
    return Section(text, (), tables)
