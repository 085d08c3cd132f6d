"""Recommendations, races and evaluations as rows of text.

Decided here: units and digits. Ratios keep three digits; a place in the order keeps its sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodistill.commands.show import MISSING, Row, large, with_unit
from autodistill.evaluation.report import Evaluation
from autodistill.race import Outcome
from autodistill.recommend.record import Pick, Recommendation, in_words

PICK_COLUMNS = ["", "pipeline", "ratio", "80 % interval", "time", "what speaks for it"]
MEASURES = {
    "spearman": "Spearman",
    "within_pair_spearman": "in pair",
    "regret_at_1": "regret 1",
    "regret_at_5": "regret 5",
    "regret_at_10": "regret 10",
    "top_5_ratio": "top 5",
    "random_5_ratio": "random 5",
    "first_pick_percentile": "first pick",
}
FEWEST_CONTRIBUTION = 0.005


def pick_rows(found: Recommendation, picks: Sequence[Pick]) -> list[Row]:
    """A row a pick, under `PICK_COLUMNS`."""
    several = len(found.students) > 1
    return [
        [
            str(pick.rank),
            f"{pick.student}: {in_words(pick.pipeline)}" if several else in_words(pick.pipeline),
            f"{pick.ratio:.3f}",
            interval(pick),
            duration(pick.seconds),
            _reasons(pick),
        ]
        for pick in picks
    ]


def interval(pick: Pick) -> str:
    """The interval of a pick's ratio."""
    if pick.ratio_low is None or pick.ratio_high is None:
        return MISSING
    return f"{pick.ratio_low:.3f} to {pick.ratio_high:.3f}"


def _reasons(pick: Pick) -> str:
    """The components that speak for a pick or against it, the weightiest first.

    A later pick may have nothing for it but that it shares no risk with those above.
    """
    said = {name: value for name, value in pick.contributions.items() if abs(value) >= FEWEST_CONTRIBUTION}
    parts = [f"{name} {value:+.2f}" for name, value in sorted(said.items(), key=lambda pair: -abs(pair[1]))]
    if pick.rank > 1 and all(value <= 0 for value in said.values()):
        parts.insert(0, "unlike those above")
    if pick.unseen:
        parts.append(f"never run before: {', '.join(pick.unseen)}")
    return ", ".join(parts) or "nothing sets it apart"


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Example:
        >>> duration(42.4), duration(1250), duration(9000)
        ('42 s', '21 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def lines_about(found: Recommendation) -> list[str]:
    """What the recommendation rests on, and what to doubt, one sentence each."""
    near = ", ".join(f"{name} {value:.2f}" for name, value in found.nearest.items())
    baseline = MISSING if found.bilstm_score is None else f"{found.bilstm_score:.3f}"
    lines = [
        f"{found.task}: {found.task_kind.replace('_', ' ')}, {found.train_examples:,} training examples; "
        f"{found.metric}: teacher {found.teacher_score:.3f}, a small Bi-LSTM {baseline}",
    ]
    lines += [
        f"student {student.name}: {large(student.parameters)} parameters "
        f"(teacher {large(found.teacher_parameters)}), {with_unit(student.size_mb, 'MB')}, "
        f"{with_unit(student.latency_ms, 'ms')} an example"
        for student in found.students
    ]
    lines += [
        f"member {member.name}: {large(member.parameters)} parameters, {member.score(found.metric):.3f}"
        for member in found.members
    ]
    lines.append(
        f"{found.candidates:,} pipelines compared by {found.predictor} with {found.past_runs:,} past runs on "
        f"{len(found.past_datasets)} datasets; left out one at a time, it orders theirs with a rank "
        f"correlation of {found.agreement:.2f} (mean rank of configurations: {found.mean_rank_agreement:.2f})"
    )
    used = " and ".join(found.features) or "none: what holds on every dataset predicts new ones best"
    lines.append(f"features of the dataset that the order depends on: {used}")
    if near:
        lines.append(f"nearest past datasets by their words: {near}")
    return [*lines, *(f"warning: {warning}" for warning in found.warnings)]


def race_rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Predicted beside reached, the best first, under `RACE_COLUMNS`."""
    return [
        [
            f"pick {outcome.pick.rank}",
            in_words(outcome.pick.pipeline),
            f"{outcome.pick.ratio:.3f}",
            interval(outcome.pick),
            _figure(outcome.result.distillation_ratio, ".3f"),
            _figure(outcome.result.student_score, ".4f"),
            _end(outcome),
            duration(outcome.pick.seconds),
            duration(outcome.seconds),
        ]
        for outcome in outcomes
    ]


RACE_COLUMNS = [
    "",
    "pipeline",
    "predicted",
    "80 % interval",
    "reached",
    "score",
    "end",
    "time predicted",
    "taken",
]


def _figure(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


def _end(outcome: Outcome) -> str:
    result = outcome.result
    epochs = len(result.history)
    return {"ok": f"{epochs} epochs", "pruned": f"stopped after {epochs}", "failed": "failed"}[result.status]


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """A pick with what became of it, for JSON."""
    result = outcome.result.model_dump(exclude={"history"})
    return {"pick": outcome.pick.model_dump(), "folder": str(outcome.folder), "result": result}


def race_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The best run, and where it lies."""
    best = outcomes[0]
    if best.result.status != "ok":
        return [f"failed: {best.result.reason}"]
    reached = _figure(best.result.distillation_ratio, ".3f")
    return [
        f"best: pick {best.pick.rank}, {in_words(best.pick.pipeline)}; distillation ratio predicted "
        f"{best.pick.ratio:.3f} ({interval(best.pick)}), reached {reached}",
        *(f"warning: {warning}" for warning in best.result.warnings),
        f"student and result: {best.folder}",
    ]


def evaluation_tables(found: Evaluation) -> list[tuple[str, Row, list[Row]]]:
    """Title, columns and rows: the predictors, then the held-out datasets."""
    predictors = _measure_rows(found.predictors)
    datasets = _measure_rows(found.datasets)
    for row, name in zip(datasets, found.datasets, strict=True):
        row.append(_figure(found.noise_ceilings.get(name), ".2f"))
        row.append(_figure(found.interval_coverages.get(name), ".0%"))
        row.append("\n".join(found.features.get(name, [])) or "none")
    columns = list(MEASURES.values())
    return [
        ("Mean over held-out datasets", ["predictor", *columns], predictors),
        (
            f"{found.predictor}, each dataset held out",
            ["dataset", *columns, "ceiling", "interval", "features"],
            datasets,
        ),
    ]


def _measure_rows(measures: dict[str, dict[str, float]]) -> list[Row]:
    return [
        [name, *(_figure(values.get(measure), ".3f") for measure in MEASURES)]
        for name, values in measures.items()
    ]


def evaluation_lines(found: Evaluation) -> list[str]:
    """What the tables say, one sentence each."""
    low, high = found.interval or (None, None)
    between = "" if low is None else f" (95 % over datasets: {low:.3f} to {high:.3f})"
    lines = [
        f"{found.predictor} on {found.runs:,} runs of {len(found.datasets)} datasets ({found.meta_data}): "
        f"mean Spearman {_figure(found.mean_spearman, '.3f')}{between}; within {found.pair} "
        f"{_figure(found.mean_within_pair_spearman, '.3f')}"
    ]
    if found.noise_ceiling is not None:
        lines.append(
            f"noise ceiling {found.noise_ceiling:.3f}: what a perfect prediction would reach against single "
            f"runs, by the repeats on {', '.join(found.noise_ceilings)}"
        )
    if found.interval_coverage is not None:
        lines.append(f"80 % intervals hold {found.interval_coverage:.0%} of the held-out runs")
    return [*lines, *found.notes]
