"""What a person sees of results, recommendations and evaluations, as rows of text and sentences.

Decided here: digits. Scores keep four, ratios three; what a component adds keeps its sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autodistill.commands.units import MISSING, duration, figure, large

if TYPE_CHECKING:
    from autodistill.evaluation.report import Evaluation
    from autodistill.race import Outcome
    from autodistill.recommend.record import Pick, Recommendation
    from engine.run.result import RunResult

ROLES = {"teacher": "teacher", "student": "student", "student_alone": "student alone"}
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

Row = list[str]


@dataclass(frozen=True)
class Shown:
    """What a command gives.

    Args:
        record: For `--json`; None: nothing is printed.
        tables: Headings, rows, and a title or none.
        lines: Below the tables.
    """

    record: Any
    tables: Sequence[tuple[Row, list[Row], str]] = ()
    lines: Sequence[str] = ()


# --- a run -----------------------------------------------------------------------------------------


def run(result: RunResult, *more: str) -> Shown:
    """Teacher beside student; where several taught, the team; and what to know about it."""
    roles = [role for role in ROLES if role != "student_alone" or result.student_alone_score is not None]
    rows = [*_score_rows(result, roles), *_size_rows(result, len(roles))]
    tables = [(["", *(ROLES[role] for role in roles)], rows, "")]
    if result.team:
        tables.append((["member", "parameters", "score", "share"], team_rows(result), ""))
    return Shown(result.model_dump(), tables, [*closing_lines(result), *more])


def _score_rows(result: RunResult, roles: Sequence[str]) -> Iterator[Row]:
    """A row a score on each held-out set."""
    sets = result.scores.get("student", {})
    for held_out, scores in sets.items():
        for metric in scores:
            values = [result.scores.get(role, {}).get(held_out, {}).get(metric) for role in roles]
            name = f"{held_out} {metric}" if len(sets) > 1 else metric
            yield [name, *(figure(value, ".4f") for value in values)]


def _size_rows(result: RunResult, width: int) -> Iterator[Row]:
    """Sizes and times of teacher and student."""
    for name, field, shown in (
        ("parameters", "parameters", large),
        ("size on disk", "size_mb", lambda value: figure(value, ".3g", " MB")),
        ("latency, one example", "latency_ms", lambda value: figure(value, ".3g", " ms")),
        ("examples per second", "throughput", large),
    ):
        values = (getattr(result, f"teacher_{field}"), getattr(result, field))
        yield [name, *map(shown, values), *[""] * (width - 2)]


def team_rows(result: RunResult) -> list[Row]:
    """Who taught, how good they are themselves, and how often each was drawn; empty with one teacher."""
    if result.team is None:
        return []
    teachers = result.team.teachers
    shares: Sequence[float | None] = result.team.distribution or [None] * len(teachers)
    return [
        [each.name, large(each.parameters), f"{each.score(result.metric):.4f}", figure(share, ".3f")]
        for each, share in zip(teachers, shares, strict=True)
    ]


def closing_lines(result: RunResult) -> list[str]:
    """How far a stopped run came, the ratio, what to know about it, and the cost, one sentence each."""
    if result.status == "failed":
        return [f"failed: {result.reason}"]
    ratio = result.distillation_ratio
    known = "undefined" if ratio is None else f"{ratio:.4f}"
    through = "the teacher" if result.team is None else "the team"
    return [
        *_stopped(result),
        f"distillation ratio ({result.metric}, student / teacher): {known}",
        *_search_lines(result),
        *_warnings(result.warnings),
        f"{result.train_examples:,} training examples; {result.teacher_examples:,} passed through {through}; "
        f"{result.seconds:.0f} s; {result.device}; {result.precision}",
    ]


def _stopped(result: RunResult) -> Iterator[str]:
    """How far a run came that was stopped before its end."""
    if result.status == "pruned":
        best = f"scores are of the best one so far (epoch {result.best_epoch})"
        yield f"stopped after epoch {len(result.history)} of {result.pipeline['training']['epochs']}; {best}"


def _search_lines(result: RunResult) -> Iterator[str]:
    """What the search for a distribution took beside one training, and how its candidates differ."""
    scores = [candidate.score for candidate in result.team.candidates] if result.team else []
    if scores:
        search, trained = (result.stage_seconds.get(stage, 0.0) for stage in ("search", "student"))
        yield f"{len(scores)} candidates: {result.metric} {min(scores):.4f} to {max(scores):.4f}"
        each = f"{trained / len(scores):.0f} s each"
        yield f"search for θ {search:.0f} s, {len(scores)} trainings {trained:.0f} s, {each}"


def _warnings(warnings: Sequence[str]) -> list[str]:
    return [f"warning: {warning}" for warning in warnings]


# --- recommendations and races ---------------------------------------------------------------------


def recommendation(found: Recommendation, picks: Sequence[Pick], *more: str) -> Shown:
    """Picks, what they rest on, and what to doubt."""
    several = len(found.students) > 1
    rows = [
        [
            str(pick.rank),
            f"{pick.student}: {pick.words}" if several else pick.words,
            f"{pick.ratio:.3f}",
            interval(pick),
            duration(pick.seconds),
            _reasons(pick),
        ]
        for pick in picks
    ]
    head = ["", "pipeline", "ratio", "80 % interval", "time", "what speaks for it"]
    return Shown(found.model_dump(mode="json"), [(head, rows, "")], [*_lines_about(found), *more])


def interval(pick: Pick) -> str:
    """The interval of a pick's ratio."""
    if pick.ratio_low is None or pick.ratio_high is None:
        return MISSING
    return f"{pick.ratio_low:.3f} to {pick.ratio_high:.3f}"


def _reasons(pick: Pick) -> str:
    """The components that speak for a pick or against it, the weightiest first.

    A later pick may have nothing for it but that it shares no risk with those above.
    """
    weighty = {name: by for name, by in pick.contributions.items() if abs(by) >= FEWEST_CONTRIBUTION}
    parts = [f"{name} {by:+.2f}" for name, by in sorted(weighty.items(), key=lambda pair: -abs(pair[1]))]
    if pick.rank > 1 and all(by <= 0 for by in weighty.values()):
        parts.insert(0, "unlike those above")
    if pick.unseen:
        parts.append(f"never run before: {', '.join(pick.unseen)}")
    return ", ".join(parts) or "nothing sets it apart"


def _lines_about(found: Recommendation) -> Iterator[str]:
    """What the recommendation rests on, one sentence each."""
    yield (
        f"{found.task}: {found.task_kind.replace('_', ' ')}, {found.train_examples:,} training examples; "
        f"{found.metric}: teacher {found.teacher_score:.3f}, "
        f"a small Bi-LSTM {figure(found.bilstm_score, '.3f')}"
    )
    for student in found.students:
        yield (
            f"student {student.name}: {large(student.parameters)} parameters "
            f"(teacher {large(found.teacher_parameters)}), {figure(student.size_mb, '.3g', ' MB')}, "
            f"{figure(student.latency_ms, '.3g', ' ms')} an example"
        )
    for member in found.members:
        size = large(member.parameters)
        yield f"member {member.name}: {size} parameters, {member.score(found.metric):.3f}"
    yield (
        f"{found.candidates:,} pipelines compared by {found.predictor} with {found.past_runs:,} past runs on "
        f"{len(found.past_datasets)} datasets; left out one at a time, it orders theirs with a rank "
        f"correlation of {found.agreement:.2f} (mean rank of configurations: {found.mean_rank_agreement:.2f})"
    )
    used = " and ".join(found.features) or "none: what holds on every dataset predicts new ones best"
    yield f"features of the dataset that the order depends on: {used}"
    if near := ", ".join(f"{name} {value:.2f}" for name, value in found.nearest.items()):
        yield f"nearest past datasets by their words: {near}"
    yield from _warnings(found.warnings)


def race(outcomes: Sequence[Outcome]) -> Shown:
    """Predicted beside reached, the best first, and where the best run lies."""
    head = ["", "pipeline", "predicted", "80 % interval", "reached", "score"]
    head += ["end", "time predicted", "taken"]
    rows = [
        [
            f"pick {pick.rank}",
            pick.words,
            f"{pick.ratio:.3f}",
            interval(pick),
            figure(result.distillation_ratio, ".3f"),
            figure(result.student_score, ".4f"),
            _end(result),
            duration(pick.seconds),
            duration(outcome.seconds),
        ]
        for outcome in outcomes
        for pick, result in [(outcome.pick, outcome.result)]
    ]
    return Shown([_outcome_record(each) for each in outcomes], [(head, rows, "")], _race_lines(outcomes[0]))


def _end(result: RunResult) -> str:
    epochs = len(result.history)
    return {"ok": f"{epochs} epochs", "pruned": f"stopped after {epochs}", "failed": "failed"}[result.status]


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    """A pick with what became of it."""
    result = outcome.result.model_dump(exclude={"history"})
    return {"pick": outcome.pick.model_dump(), "folder": str(outcome.folder), "result": result}


def _race_lines(best: Outcome) -> list[str]:
    """The best run, and where it lies."""
    if best.result.status != "ok":
        return [f"failed: {best.result.reason}"]
    return [
        f"best: pick {best.pick.rank}, {best.pick.words}; distillation ratio predicted "
        f"{best.pick.ratio:.3f} ({interval(best.pick)}), reached "
        f"{figure(best.result.distillation_ratio, '.3f')}",
        *_warnings(best.result.warnings),
        f"student and result: {best.folder}",
    ]


# --- evaluations -----------------------------------------------------------------------------------


def evaluation(found: Evaluation, *more: str) -> Shown:
    """The predictors, then the held-out datasets, and what the tables say."""
    predictors, datasets = _measure_rows(found.predictors), _measure_rows(found.datasets)
    for row, name in zip(datasets, found.datasets, strict=True):
        row.append(figure(found.noise_ceilings.get(name), ".2f"))
        row.append(figure(found.interval_coverages.get(name), ".0%"))
        row.append("\n".join(found.features.get(name, [])) or "none")
    columns, extra = list(MEASURES.values()), ["ceiling", "interval", "features"]
    tables = [
        (["predictor", *columns], predictors, "Mean over held-out datasets"),
        (["dataset", *columns, *extra], datasets, f"{found.predictor}, each dataset held out"),
    ]
    return Shown(found.model_dump(mode="json"), tables, [*_evaluation_lines(found), *more])


def _measure_rows(measures: Mapping[str, Mapping[str, float]]) -> list[Row]:
    return [[name, *(figure(values.get(measure), ".3f") for measure in MEASURES)] for name, values in measures.items()]


def _evaluation_lines(found: Evaluation) -> Iterator[str]:
    low, high = found.interval or (None, None)
    between = "" if low is None else f" (95 % over datasets: {low:.3f} to {high:.3f})"
    yield (
        f"{found.predictor} on {found.runs:,} runs of {len(found.datasets)} datasets ({found.meta_data}): "
        f"mean Spearman {figure(found.mean_spearman, '.3f')}{between}; within {found.pair} "
        f"{figure(found.mean_within_pair_spearman, '.3f')}"
    )
    if found.noise_ceiling is not None:
        yield (
            f"noise ceiling {found.noise_ceiling:.3f}: what a perfect prediction would reach against single "
            f"runs, by the repeats on {', '.join(found.noise_ceilings)}"
        )
    if found.interval_coverage is not None:
        yield f"80 % intervals hold {found.interval_coverage:.0%} of the held-out runs"
    yield from found.notes
