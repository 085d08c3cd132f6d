"""What comes of it: scores of models, the order of a dataset that was left out, costs, learning curves.

Decided here: the words, the digits and the tables of these sections. A function gives a section, or why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autodistill.evaluation.figures import predicted_against_actual, top_against_random
from autodistill.evaluation.leave_one_out import means
from autodistill.ranking.fitted import SIMPLE
from autodistill.report import figures, findings
from autodistill.report.findings import Mean, mean_over_datasets
from autodistill.report.page import Picture, Section, Table
from autodistill.report.words import MISSING, file_name, large, number, with_interval
from engine.base.errors import counted

if TYPE_CHECKING:
    from autodistill.report.material import Material


def which_runs(material: Material) -> Section | str:
    """What the runs are, and how good the students are."""
    head = ["comparable runs", "metric", "training rows", "runs", "configurations", "teachers", "students"]
    head += ["teacher", "Bi-LSTM", "linear", "median student", "best student", "median ratio"]
    rows = []
    for among, of in findings.overview(material.runs).iterrows():
        counts = [f"{of[name]:,.0f}" for name in ("n_train", "runs", "configurations", "teachers", "students")]
        scores = [
            number(of[name]) for name in ("teacher_score", "bilstm_score", "linear_score", "median_score", "best_score")
        ]
        rows.append([str(among), str(of.metric), *counts, *scores, number(of.median_ratio)])
    text = [
        "Runs are compared only with those of the same dataset, metric and held-out set. Of several teachers, "
        "Bi-LSTMs and linear models on TF-IDF the best one's score is shown."
    ]
    return Section(text, (), [Table("Comparable runs; scores are 0 to 1, correlations −1 to 1", head, rows)])


def teachers_and_students(material: Material) -> Section | str:
    """Table 8 of Distiller."""
    found = findings.models(material.runs)
    if isinstance(found, str):
        return found
    of = found.ratios.dropna(subset="ratio").groupby(["student", "teacher"])
    ratios = {pair: mean_over_datasets(own.ratio, own.dataset) for pair, own in of}
    ordered = {pair: ratios[pair] for pair in found.scores.index if pair in ratios}
    if not ordered:
        return "no run under the commonest pipeline has a teacher's score beside it"
    text = [
        f"Pairs of models are compared under the pipeline that most of them have: {found.pipeline}.",
        "A ratio is of the student's own teacher, and a better teacher is harder to reach; the tables have scores. "
        "Means are over the datasets that a pair has.",
    ]
    look = figures.styles_of(material.runs.teacher)
    words = "Marks: mean ratio of each student under each teacher; dots: each dataset's."
    picture = Picture("models", figures.teachers_and_students(found, ordered, look), words)
    tables = [
        _scores(found.scores, ordered, "Scores under that pipeline, mean over repeats"),
        _scores(found.best, ordered, "Scores of the best configuration, whichever it is", folded=True),
    ]
    return Section(text, [picture], tables)


def _scores(scores: pd.DataFrame, ratios: Mapping[tuple[str, str], Mean], title: str, folded: bool = False) -> Table:
    """A row a pair of models; the best score of a column is the darkest."""
    rows, shades = [], []
    best = scores.max()
    for pair, own in scores.iterrows():
        mean = ratios.get(pair)  # type: ignore[call-overload]
        ratio = [] if folded else [with_interval(mean, ".2f") if mean else MISSING]
        rows.append([" ← ".join(pair), *ratio, *(number(score) for score in own)])  # type: ignore[arg-type]
        shades.append([*[0.0] * len(ratio), *(0.5 * (own == best)).to_numpy(float)])
    head = ["student ← teacher", *([] if folded else ["mean ratio"]), *map(str, scores.columns)]
    return Table(f"{title}; the best of each column is shaded", head, rows, shades, folded)


def left_out(material: Material) -> Section | str:
    """Figures 4 and 5 of Distiller."""
    if isinstance(material.evaluation, str):
        return material.evaluation
    found, held_out = material.evaluation
    low, high = found.interval or (None, None)
    own = Mean(np.nan if found.mean_spearman is None else found.mean_spearman, low, high, len(held_out))
    simple = number(found.predictors[SIMPLE].get("spearman"), ".2f")
    text = [
        f"The order that {found.predictor} predicts for a dataset's runs has a rank correlation of "
        f"{with_interval(own, '.2f')} with the actual one, mean over datasets; that of {SIMPLE}, which looks at the "
        f"configurations' mean rank alone, has {simple}.",
        "Each dataset was left out, and its runs were put in order by those of the others alone. A standing is a rank "
        "among comparable runs, mapped to a Gaussian: 0 is the middle, 1 one standard deviation above it.",
        *(f"{note[0].upper()}{note[1:]}." for note in found.notes),
    ]
    told = [each for each in held_out if "spearman" in each.measures]
    words = "Dots: ratios of the first five; boxes: of all."
    pictures = [Picture("top-5", top_against_random(told), words)] if told else []
    for each in told:
        words = f"Dots: predicted and actual standing of each run of {each.dataset}."
        pictures.append(Picture(file_name("predicted", each.dataset), predicted_against_actual([each]), words))
    return Section(text, pictures, [_measures(found.datasets, means(held_out))])


MEASURES = {
    "spearman": "rank correlation",
    "within_pair_spearman": "rank correlation within the commonest pair of models",
    "regret_at_5": "regret of the best of 5",
    "regret_of_5_picks": "regret of 5 picks",
    "lost_of_5_picks": "lost by 5 picks to the best, share of its ratio",
    "top_5_ratio": "ratio of the first 5",
    "random_5_ratio": "ratio of 5 at random",
    "first_pick_percentile": "percentile of the first",
}


def _measures(datasets: Mapping[str, Mapping[str, float]], mean: Mapping[str, float]) -> Table:
    known = {name: words for name, words in MEASURES.items() if name in mean}
    rows = [[dataset, *(number(of.get(name)) for name in known)] for dataset, of in datasets.items()]
    rows.append(["mean", *(number(mean[name]) for name in known)])
    title = "Each dataset left out; regret is 0 where the best is found, 1 where it is no better than the middle"
    return Table(title, ["dataset", *known.values()], rows)


def costs(material: Material) -> Section | str:
    """What quality costs."""
    found = findings.costs(material.runs)
    if isinstance(found, str):
        return found
    look, rows = figures.styles_of(found.rows.student), found.rows
    cost = {"seconds": "seconds of the student's training", "student_parameters": "parameters of the student"}[
        found.cost
    ]
    text = [
        f"Each configuration by what it costs, in {cost}, and its ratio. The line joins those that nothing cheaper "
        "reaches.",
        "Seconds are those of the machine that each run was on, and compare only where it was one machine."
        if found.cost == "seconds"
        else "These runs do not say how long they took.",
    ]
    pictures = [
        Picture(
            file_name("costs", among),
            figures.cost_against_ratio(found, among, look),
            f"Dots: {cost} and ratio, {among}.",
        )
        for among in rows["among"].unique()
    ]
    return Section(text, pictures, [_students(rows), _front(found)])


def _students(rows: pd.DataFrame) -> Table:
    cells = []
    for student, own in rows.groupby("student"):
        best = own.loc[own.groupby("among").ratio.idxmax()]
        ratios = [with_interval(mean_over_datasets(of.ratio, of.dataset), ".2f") for of in (own, best)]
        size = large(findings.median(own.student_parameters))
        times = [number(findings.median(own[name]), ".3g") for name in ("seconds", "latency_ms")]
        cells.append([str(student), size, *times, f"{len(own):,}", *ratios])
    head = ["student", "parameters", "seconds of training", "latency, ms", "configurations", "mean ratio", "best ratio"]
    return Table("Students: what they cost (medians), and their ratio over datasets", head, cells)


def _front(found: findings.Costs) -> Table:
    """What the lines join."""
    rows = found.rows[found.rows.front].sort_values(["among", "cost"])
    varying = findings.varying_knobs(found.rows)
    cells = [
        [str(each["among"]), large(each.cost), number(each.ratio), str(each.student),
         findings.pipeline_in_words(each, varying)]
        for _, each in rows.iterrows()
    ]  # fmt: skip
    head = ["comparable runs", found.cost.removeprefix("student_"), "ratio", "student", "pipeline"]
    return Table("Configurations that nothing cheaper reaches", head, cells, folded=True)


def learning_curves(material: Material) -> Section | str:
    """How soon students are there."""
    curves = findings.learning_curves(material.curves)
    if isinstance(curves, str):
        return curves
    needed = findings.epochs_needed(material.curves)
    look = figures.styles_of(findings.stated(material.runs, "intermediate"))
    text = [
        "The best score so far on the set that selects, as a share of the teacher's: the median over runs, in the band "
        f"between the quartiles. {counted(material.curves.identity.nunique(), 'run')} tell of their epochs. A run that "
        "ended early keeps its last value."
    ]
    pictures = [
        Picture(
            file_name("learning", student), figures.learning(curves, student, look), f"Lines: medians of {student}."
        )
        for student in curves.student.unique()
    ]
    rows = [
        [f"{each['student']}: {each['objective']}", f"{each['runs']:,}"]
        + [number(each[name], ".3g") for name in ("epochs", "epoch", "seconds")]
        for each in needed.to_dict("records")
    ]
    head = ["student: objective", "runs", "epochs", "until 99 % of the last value: epochs", "seconds"]
    return Section(text, pictures, [Table("Medians over runs", head, rows), _epochs(curves)])


def _epochs(curves: pd.DataFrame) -> Table:
    """A row a student and objective, a column an epoch."""
    words = [
        f"{number(each['median'], '.2f')} ({number(each['low'], '.2f')} to {number(each['high'], '.2f')})"
        for each in curves.to_dict("records")
    ]
    wide = curves.assign(words=words, name=curves.student + ": " + curves.objective).pivot(
        index="name", columns="epoch", values="words"
    )
    rows = [[str(name), *own.fillna(MISSING)] for name, own in wide.iterrows()]
    head = ["student: objective", *(f"epoch {epoch}" for epoch in wide)]
    return Table(
        "The curves in numbers: median (quartiles) of the share of the teacher's score", head, rows, folded=True
    )
