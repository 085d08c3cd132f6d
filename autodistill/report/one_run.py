"""A page about one run: what its models reach, where the student errs, how it learned, what it costs, what it was.

Decided here: the sections, their order and their tables. What a record does not tell is left out, and the section says
why. The rows on which teacher and student differ are those of `answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autodistill.evaluation.style import as_text
from autodistill.report import figures
from autodistill.report.answers import Answers, disagreements
from autodistill.report.findings import Mean
from autodistill.report.names import printable
from autodistill.report.page import Page, Picture, Section, Table
from autodistill.report.words import MISSING, large, number, with_interval
from engine.base.errors import counted, digits
from engine.data.metrics import ROLES
from engine.models.names import without_path
from engine.run.result import RunResult

WIDE = 12
"""Classes of a confusion matrix that is folded."""
CONFUSIONS = 15
"""The commonest ones that are listed."""
PALETTE = "Shaded cells are blue, the darker the larger. The numbers of every figure stand in the tables below it."


@dataclass(frozen=True)
class OneRun:
    """What a page tells of: a record, and its answers, or why there are none."""

    result: RunResult
    answers: Answers | str


def scores(run: OneRun) -> Section | str:
    """Teacher, student, and everything simpler."""
    result = run.result
    roles = {role: name for role, name in ROLES.items() if result.on_split(role)}
    if not roles:
        return "this run has no scores"
    metrics = list(result.on_split(next(iter(roles))))
    rows = [[name, *(_score(result, role, metric) for metric in metrics)] for role, name in roles.items()]
    if result.trivial_score is not None:
        others = [MISSING] * (len(metrics) - 1)
        rows.append(["one answer to all", number(result.trivial_score, ".4f"), *others])
    text = [*result.verdict, *_ratio(result), *_agreement(result)]
    means = {name: _mean(result, role, result.metric) for role, name in roles.items()}
    title = printable(f"{result.named(result.metric)} on {result.split_in_words}")
    picture = Picture("scores", figures.scores_of_models(means, title, result.trivial_score), f"Marks: {title}.")
    table = Table(f"Scores on {result.split_in_words}, with 95 % intervals over its rows",
                  ["model", *map(result.named, metrics)], rows)  # fmt: skip
    return Section(text, [picture], [table, *_others(result, roles)])


def _mean(result: RunResult, role: str, metric: str, split: str | None = None) -> Mean:
    value = result.scores[role][split or result.split or ""][metric]
    low, high = result.interval(role, metric, split) or (None, None)
    return Mean(value, low, high, 1)


def _score(result: RunResult, role: str, metric: str, split: str | None = None) -> str:
    known = metric in result.scores[role].get(split or result.split or "", {})
    return with_interval(_mean(result, role, metric, split), ".4f") if known else MISSING


def _others(result: RunResult, roles: Mapping[str, str]) -> Iterator[Table]:
    """Scores on the other held-out sets, folded."""
    splits = [split for split in result.scores.get("student", {}) if split != result.split]
    if splits:
        rows = [
            [name, *(_score(result, role, result.metric, split) for split in splits)] for role, name in roles.items()
        ]
        yield Table(f"{result.named(result.metric)} on the other held-out sets", ["model", *splits], rows, folded=True)


def _ratio(result: RunResult) -> Iterator[str]:
    if result.distillation_ratio is not None:
        low, high = result.ratio_interval or (None, None)
        words = with_interval(Mean(result.distillation_ratio, low, high, 1))
        yield f"Distillation ratio (student / teacher, {result.named(result.metric)}): {words}."


def _agreement(result: RunResult) -> Iterator[str]:
    if result.agreement is not None:
        yield f"Student and teacher agree in {100 * result.agreement:.1f} % of their answers."
    known = {ROLES[role]: error for role, error in result.calibration_error.items() if role in ROLES}
    if known:
        errors = ", ".join(f"{role} {error:.3f}" for role, error in known.items())
        yield f"Expected calibration error, how far probabilities lie from how often they are right: {errors}."
    yield from (f"{sentence[:1].upper()}{sentence[1:]}." for sentence in result.calibration_in_words)


def classes(run: OneRun) -> Section | str:
    """Precision, recall and F1 of each class; the weakest first."""
    if not run.result.classes:
        return "the record has no scores of classes, as of other tasks than classification"
    found = sorted(run.result.classes, key=lambda each: each.f1)
    rows = [
        [printable(each.label), *(number(value) for value in (each.precision, each.recall, each.f1)), f"{each.rows:,}"]
        for each in found
    ]
    shades = [[each.precision, each.recall, each.f1] for each in found]
    several = run.result.task_kind == "multi_label"
    rows_of = "with each label" if several else "of each class"
    text = [f"What the student reaches on the rows {rows_of} of {run.result.split_in_words}, the weakest first."]
    title, head = ("Labels", "label") if several else ("Classes", "class")
    table = Table(title, [head, "precision", "recall", "F1", "rows"], rows, shades, folded=len(rows) > 2 * WIDE)
    return Section(text, (), [table])


def confusion(run: OneRun) -> Section | str:
    """What is taken for what."""
    result, matrix = run.result, run.result.confusion
    if not matrix:
        return "the record has no confusion matrix: that is of one class a row, and of 200 classes at most"
    labels = [printable(each.label) for each in result.classes]
    pairs = [(count, row, column) for row, counts in enumerate(matrix) for column, count in enumerate(counts)]
    wrong = sorted((each for each in pairs if each[0] and each[1] != each[2]), key=lambda each: -each[0])
    listed = [
        [labels[row], labels[column], f"{count:,}", number(count / sum(matrix[row]), ".2f")]
        for count, row, column in wrong[:CONFUSIONS]
    ]
    cells = [[label, *(f"{count:,}" for count in counts)] for label, counts in zip(labels, matrix, strict=True)]
    shades = [[count / max(sum(counts), 1) for count in counts] for counts in matrix]
    title = "Rows of a class (down) that the student gave to another (across); shades are shares of the row"
    tables = [
        Table("The commonest mistakes", ["class", "taken for", "rows", "share of the class"], listed),
        Table(title, ["class", *labels], cells, shades, folded=len(labels) > WIDE),
    ]
    count = sum(each[0] for each in wrong)
    text = [f"The student takes {counted(count, 'row')} of {sum(map(sum, matrix)):,} for another class."]
    return Section(text, (), tables if listed else tables[1:])


def learning(run: OneRun) -> Section | str:
    """Scores and losses over the epochs."""
    result = run.result
    if not result.history:
        return "the record knows nothing of epochs"
    epochs = [entry["epoch"] for entry in result.history]
    reached = [entry["scores"][result.metric] for entry in result.history]
    losses: dict[str, list[float]] = {}
    for entry in result.history:
        for term, value in entry["loss"].items():
            losses.setdefault(term.replace("_", " "), []).append(value)
    teacher = result.scores.get("teacher", {}).get(result.selected_on or "", {}).get(result.metric)
    named = printable(result.named(result.metric))
    curve = figures.one_curve(epochs, reached, named, result.best_epoch, teacher)
    pictures = [Picture("learning", curve, f"Line: {named} after each epoch; dotted: the teacher's.")]
    terms = {term: values for term, values in losses.items() if len(values) == len(epochs)}
    if terms:
        words = "Lines: the weighted terms of the loss, mean of each epoch."
        pictures.append(Picture("losses", figures.losses(epochs, terms), words))
    seconds = [*result.epoch_seconds, *[None] * (len(epochs) - len(result.epoch_seconds))]
    rows = []
    for row, (epoch, score) in enumerate(zip(epochs, reached, strict=True)):
        name = f"{epoch} (best)" if epoch == result.best_epoch else str(epoch)
        values = [number(term[row], ".4g") for term in terms.values()]
        rows.append([name, number(score, ".4f"), *values, number(seconds[row], ",.0f")])
    text = [f"Scores are of {result.selected_on or 'validation'}, which selects. Best epoch: {result.best_epoch}."]
    head = ["epoch", named, *terms, "seconds so far"]
    return Section(text, pictures, [Table("Each epoch", head, rows, folded=len(rows) > WIDE)])


def differing(run: OneRun) -> Section | str:
    """Rows to which teacher and student give different answers."""
    if isinstance(run.answers, str):
        return run.answers
    text, rows = disagreements(run.answers)
    if not rows:
        return Section(text)
    return Section(text, (), [Table("Some of these rows", ["text", "label", "teacher", "student"], rows)])


SIZES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("parameters", "parameters", large),
    ("size on disk, MB", "size_mb", digits),
    ("latency of one example, ms", "latency_ms", digits),
    ("examples per second at batch 32", "throughput", large),
    ("layers", "layers", lambda value: f"{value:.0f}"),
    ("width", "hidden_size", lambda value: f"{value:.0f}"),
)


def sizes(run: OneRun) -> Section | str:
    """What student and teacher cost where they are used, and what the run took."""
    result, rows = run.result, []
    for name, field, shown in SIZES:
        pair = getattr(result, f"teacher_{field}", None), getattr(result, field)
        if any(value is not None for value in pair):
            known = None not in pair and pair[0]
            share = number(pair[1] / pair[0], ".2f") if known else MISSING
            rows.append([name, *(MISSING if value is None else shown(value) for value in pair), share])
    stages = [[stage.replace("_", " "), number(value, ",.1f")] for stage, value in result.stage_seconds.items()]
    tables = [Table("Sizes and speeds", ["", "teacher", "student", "student / teacher"], rows)] if rows else []
    if stages:
        tables.append(Table("Seconds of the run, stage by stage", ["stage", "seconds"], stages))
    text = [f"Latency and throughput are in float32 on {result.device or 'an unknown device'}, tokenising not counted."]
    return Section(text, (), tables) if tables else "the record knows neither sizes nor times"


def pipeline(run: OneRun) -> Section | str:
    """Every setting, and everything else that the result depends on."""
    result = run.result
    made = {
        "task": result.task,
        "kind": result.task_kind.replace("_", " "),
        "training rows": f"{result.train_examples:,}",
        **{name: without_path(getattr(result, name)) for name in ("teacher", "student")},
        **{name: getattr(result, name) for name in ("seed", "precision", "device", "identity")},
        **{f"version of {name}": version for name, version in result.versions.items()},
    }
    teachers = result.team.teachers if result.team else []
    team = [[printable(without_path(each.name)), large(each.parameters)] for each in teachers]
    settings = [[name, printable(value)] for name, value in _settings(result.pipeline)]
    facts = [[name, printable(str(value))] for name, value in made.items() if value not in ("", None)]
    tables = [Table("Pipeline", ["setting", "value"], settings), Table("Made of, and with", ["", ""], facts)]
    if team:
        tables.append(Table("Who taught", ["teacher", "parameters"], team))
    return Section([], (), tables)


def _settings(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and their values; of a list of tables the place of each."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            yield from _settings({str(place): each for place, each in enumerate(value, start=1)}, f"{prefix}{key}.")
        elif value is not None:
            values = value if isinstance(value, list) else [value]
            yield f"{prefix}{key}", ", ".join(without_path(str(each)) for each in values)


SECTIONS: dict[str, tuple[str, Callable[[OneRun], Section | str]]] = {
    "scores": ("What teacher and student reach, beside simpler models", scores),
    "classes": ("Each class", classes),
    "confusion": ("What is taken for what", confusion),
    "learning": ("How the student learned", learning),
    "differing": ("Where teacher and student differ", differing),
    "sizes": ("Sizes, speeds and times", sizes),
    "pipeline": ("Pipeline", pipeline),
}
"""Key → title and what makes it, in their order."""


def page_of_run(result: RunResult, answers: Answers | str) -> Page:
    """The page.

    Args:
        answers: Those of teacher and student, with the rows; or why there are none, in words.
    """
    run = OneRun(result, answers)
    ends = {"pruned": f" It was stopped after epoch {result.epochs}.", "failed": f" It failed: {result.reason}."}
    learned = f"{without_path(result.student)} learned {result.task} from {without_path(result.teacher)}, with "
    rows = counted(result.train_examples, "training row")
    lead = [printable(f"{learned}{rows}.{ends.get(result.status, '')}"), PALETTE]
    with as_text():
        sections = {key: (title, make(run)) for key, (title, make) in SECTIONS.items()}
    return Page(printable(f"A student for {result.task}"), lead, [*map(printable, result.warnings)], sections)
