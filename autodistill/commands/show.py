"""What a person sees of runs, recommendations, races and searches, as rows of text and sentences.

Decided here: digits. Scores keep four, ratios three; what a component adds keeps its sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from autodistill.commands.units import MISSING, curve, duration, figure, large, megabytes, milliseconds
from autodistill.recommend.record import named
from engine.base.errors import counted
from engine.data.metrics import ROLES, examples_in_words, with_interval
from engine.run.verdict import SIMPLE_MODELS

if TYPE_CHECKING:
    from autodistill.datasets.bilstm import BiLSTMCosts
    from autodistill.recommend.race import Outcome
    from autodistill.recommend.record import Pick, Recommendation
    from autodistill.recommend.searched import Chosen, Searched
    from engine.run.result import RunResult, TeamResult

COMPARED = ("teacher", "student", "student_alone", "bilstm")
"""Roles that have a column or a row."""
MOST_TRIED = 10
"""Candidates of a search that are shown."""
Row = list[str]
TextTable = tuple[Row, list[Row], str]
"""Headings, rows, and a title or none."""


@dataclass(frozen=True)
class Shown:
    """What a command gives."""

    record: Any
    """For `--json`; None: nothing is printed."""
    tables: Sequence[TextTable] = ()
    lines: Sequence[str] = ()
    """Below the tables, a sentence each."""
    document: str = ""
    """Below the lines, to be read again, such as a pipeline."""


def run(result: RunResult, *more: str) -> Shown:
    """Teacher beside student; where several taught, the team; and what to know about it."""
    roles = ["teacher", "student", *(["student_alone"] if "student_alone" in result.scores else [])]
    rows = [*_score_rows(result, roles), *_size_rows(result, len(roles))]
    tables = [(["", *(ROLES[role] for role in roles)], rows, "")]
    if result.team:
        tables.append(
            (["member", "parameters", "score", "share"], _team_rows(result.team, result.metric, result.split), "")
        )
    return Shown(result.model_dump(), tables, [*_closing_lines(result), *more])


def comparison(result: RunResult, bilstm: BiLSTMCosts, *more: str) -> Shown:
    """Teacher, student, the student alone and a small Bi-LSTM in one table, and what it comes to in a sentence."""
    student = [result.parameters, result.size_mb, result.latency_ms]
    teacher = [result.teacher_parameters, result.teacher_size_mb, result.teacher_latency_ms]
    small = [bilstm.parameters, bilstm.size_mb, bilstm.latency_ms]
    figures: list[list[Any]] = [teacher, student, student, small]
    rows = []
    for role, (parameters, size, latency) in zip(COMPARED, figures, strict=True):
        score = _score(result, role, result.split or "", result.metric)
        rows.append([ROLES[role], score, large(parameters), megabytes(size), milliseconds(latency)])
    head = ["", result.named(result.metric), "parameters", "size", "latency"]
    record = result.model_dump() | {"bilstm": asdict(bilstm)}
    whole = run(result)
    return Shown(record, [(head, rows, ""), *whole.tables[1:]], [*_in_a_sentence(result), *whole.lines, *more])


def _in_a_sentence(result: RunResult) -> Iterator[str]:
    """What the student is against its teacher, where nothing simpler is as good."""
    others = [result.trivial_score, *(result.on_split(role).get(result.metric) for role in SIMPLE_MODELS)]
    beaten = all(score is None or (result.student_score or 0.0) > score for score in others)
    if beaten and result.distillation_ratio is not None and result.latency_ms and result.teacher_latency_ms:
        faster = f"The student is {result.teacher_latency_ms / result.latency_ms:.1f} times as fast as its teacher"
        yield f"{faster} and keeps {100 * result.distillation_ratio:.0f} % of its {result.metric}."


def _score_rows(result: RunResult, roles: Sequence[str]) -> Iterator[Row]:
    """A row a score of the held-out set that is reported, and one of each other set."""
    sets = result.scores.get("student", {})
    for held_out in sorted(sets, key=lambda name: name != result.split):
        for metric in sets[held_out] if held_out == result.split else [result.metric]:
            name = f"{held_out} {result.named(metric)}" if len(sets) > 1 else result.named(metric)
            yield [name, *(_score(result, role, held_out, metric) for role in roles)]


def _score(result: RunResult, role: str, held_out: str, metric: str) -> str:
    value = result.scores.get(role, {}).get(held_out, {}).get(metric)
    return MISSING if value is None else with_interval(value, result.interval(role, metric, held_out))


def _size_rows(result: RunResult, width: int) -> Iterator[Row]:
    """Sizes and times of teacher and student."""
    for name, field, shown in (
        ("parameters", "parameters", large),
        ("size on disk", "size_mb", megabytes),
        ("latency, one example", "latency_ms", milliseconds),
        ("examples per second", "throughput", large),
    ):
        values = (getattr(result, f"teacher_{field}"), getattr(result, field))
        yield [name, *map(shown, values), *[""] * (width - 2)]


def _team_rows(team: TeamResult, metric: str, split: str | None) -> list[Row]:
    """Who taught, how good they are themselves, and how often each was drawn."""
    shares: Sequence[float | None] = team.distribution or [None] * len(team.teachers)
    return [
        [each.name, large(each.parameters), f"{each.score(metric, split):.4f}", figure(share, ".3f")]
        for each, share in zip(team.teachers, shares, strict=True)
    ]


def _closing_lines(result: RunResult) -> Iterator[str]:
    """How far a stopped run came, the ratio, what to know about it, and the cost, one sentence each."""
    if result.status == "failed":
        yield f"failed: {result.reason}"
        return
    if result.status == "pruned":
        best = f"scores are of the best one so far (epoch {result.best_epoch})"
        yield f"stopped after epoch {result.epochs} of {result.training.epochs}; {best}"
    ratio, bounds = result.distillation_ratio, result.ratio_interval
    words = "undefined" if ratio is None else with_interval(ratio, bounds)
    if result.teacher_score is not None:  # that of soft labels may not be known
        named = f"distillation ratio ({result.named(result.metric)}, student / teacher)"
        yield f"{named}: {words}, on {result.split_in_words}"
    yield from _answers_compared(result)
    if scores := [candidate.score for candidate in result.team.candidates] if result.team else []:
        search, trained = (result.stage_seconds.get(stage, 0.0) for stage in ("search", "student"))
        yield f"{counted(len(scores), 'candidate')}: {result.metric} {min(scores):.4f} to {max(scores):.4f}"
        each = f"{trained / len(scores):.0f} s each"
        yield f"search for θ {search:.0f} s, {counted(len(scores), 'training')} {trained:.0f} s, {each}"
    yield from _warnings(result.warnings)
    yield from result.verdict
    passed = f"{result.teacher_examples:,} passed through {'the team' if result.team else 'the teacher'}"
    passed = f"taught by {result.teacher}" if result.signals == "given" else passed
    how = f"{result.seconds:.0f} s; {result.device}; {result.precision}"
    yield f"{examples_in_words(result.train_examples, result.unlabelled_examples)}; {passed}; {how}"


def _answers_compared(result: RunResult) -> Iterator[str]:
    """How often teacher and student agree, and how far their probabilities can be trusted, as far as it is known."""
    if result.agreement is not None:
        yield f"student and teacher agree in {100 * result.agreement:.1f} % of their answers"
    if result.calibration_error:
        known = {ROLES[role]: error for role, error in result.calibration_error.items() if role in ROLES}
        errors = ", ".join(f"{role} {error:.3f}" for role, error in known.items())
        yield f"expected calibration error (0 is perfect): {errors}"
    yield from result.calibration_in_words


def _warnings(warnings: Sequence[str]) -> list[str]:
    return [f"warning: {warning}" for warning in warnings]


def recommendation(found: Recommendation, *more: str, pareto: bool = False) -> Shown:
    """Picks or front in figures, what each is and what speaks for it, what they rest on, and what to doubt."""
    picks, students = found.pareto if pareto else found.picks, [each.name for each in found.students]
    rows, lines = [], []
    for pick in picks:
        percentile = figure(None if pick.percentile is None else 100 * pick.percentile, ".1f")
        rows.append([_rank(pick, picks), percentile, f"{pick.ratio:.3f}", _interval(pick), duration(pick.seconds)])
        lines.append(f"pick {pick.rank}: {named(pick, students)}; what speaks for it: {_reasons(pick)}")
    head = ["pick", "percentile", "predicted ratio", "80 % interval", "time"]
    lines = [*lines, *_lines_about(found), *_never_run(picks), _next(found, pareto), *more]
    return Shown(found.model_dump(mode="json"), [(head, rows, "")], lines)


def _next(found: Recommendation, pareto: bool) -> str:
    """What to do with it, by how sure it is."""
    same, search = "with the same options and", "tries many pipelines, a few epochs each"
    if not found.sure:
        said = f"this order is a guess here; `autodistill run` {same} --budget 30m {search}, and these rows decide"
    elif pareto:  # with which no pick is run
        said = f"`autodistill run` with --pick and one of these numbers runs that pick; {same} --budget 30m it {search}"
    else:
        said = f"`autodistill run` {same} --pick 1 runs the first; with --budget 30m it {search}"
    return f"next: {said}"


def _rank(pick: Pick, picks: Sequence[Pick]) -> str:
    """The rank, and with which pick above it is tied."""
    first = next(each for each in picks if each.standing == pick.standing)
    return str(pick.rank) if first is pick else f"{pick.rank}, tied with {first.rank}"


def _interval(pick: Pick) -> str:
    if pick.ratio_low is None or pick.ratio_high is None:
        return MISSING
    return f"{pick.ratio_low:.3f} to {pick.ratio_high:.3f}"


def _reasons(pick: Pick) -> str:
    """The components that speak for a pick, the weightiest first; what adds next to nothing is left out."""
    weighty = {name: by for name, by in pick.contributions.items() if by >= 0.005}
    parts = [f"{name} {by:+.2f}" for name, by in sorted(weighty.items(), key=lambda pair: -pair[1])]
    return ", ".join(parts) or "no component by itself"


def _never_run(picks: Sequence[Pick]) -> Iterator[str]:
    """What no past run has, and which picks have it."""
    for name in dict.fromkeys(name for pick in picks for name in pick.unseen):
        having = ", ".join(str(pick.rank) for pick in picks if name in pick.unseen)
        yield f"warning: no past run has this {name}: pick {having}"


def _lines_about(found: Recommendation) -> Iterator[str]:
    """What the recommendation rests on, one sentence each."""
    yield (
        f"{found.task}: {found.task_kind.replace('_', ' ')}, "
        f"{examples_in_words(found.train_examples, found.unlabelled_examples)}; "
        f"{found.metric}: teacher {found.teacher_score:.3f}, a small Bi-LSTM {figure(found.bilstm_score, '.3f')}"
    )
    for student in found.students:
        sizes = f"{large(student.parameters)} parameters (teacher {large(found.teacher_parameters)})"
        served = f"{megabytes(student.size_mb)}, {milliseconds(student.latency_ms)} an example"
        alone = student.student_alone_score
        reached = "" if alone is None else f"; without a teacher {alone:.3f}"
        yield f"student {student.name}: {sizes}, {served}{reached}"
    for member in found.members:
        score = member.score(found.metric, found.split)
        yield f"member {member.name}: {large(member.parameters)} parameters, {score:.3f}"
    past = f"{counted(found.past_runs, 'past run')} on {counted(len(found.past_datasets), 'dataset')}"
    yield f"{counted(found.candidates, 'pipeline')} compared by {found.predictor} with {past}{_worth(found)}"
    if found.features is not None:
        used = " and ".join(found.features) or "none: what holds on every dataset predicts new ones best"
        yield f"features of the dataset that the order depends on: {used}"
    if near := ", ".join(f"{name} {value:.2f}" for name, value in found.nearest.items()):
        yield f"nearest past datasets by their words: {near}"
    if found.members:
        yield _team_of_members(found)
    yield from _warnings(found.warnings)


def _worth(found: Recommendation) -> str:
    """What the order was worth on past datasets, of which some may not tell; nothing where none does."""
    if found.agreement is None:
        return ""
    datasets = "" if found.agreement_datasets is None else f"{found.agreement_datasets} of "
    runs = f"runs of {found.agreement_pair}" if found.agreement_pair else "runs"
    simple = found.mean_rank_agreement
    beside = "" if simple is None else f" (mean rank of configurations: {simple:.2f})"
    ordered = f"it orders {runs} with a rank correlation of {found.agreement:.2f}{beside}"
    return f"; on {datasets}these, each left out, {ordered}"


def _team_of_members(found: Recommendation) -> str:
    """Where one stands, and how it is run."""
    words = "a team of these members"
    if pick := next((each for each in found.picks if each.by_team), None):
        stands = figure(None if pick.percentile is None else 100 * pick.percentile, ".1f")
        where = f"pick {pick.rank}, percentile {stands}, predicted ratio {pick.ratio:.3f}"
        return f"{words}: {where}; `autodistill run` with --pick {pick.rank} runs it"
    return f"{words}: none is within the limits"


def race(outcomes: Sequence[Outcome]) -> Shown:
    """Predicted beside reached, the best first, what each pick is, and what the best one reaches at last.

    The table compares all on the set that selects: a pick that was stopped knows no other one.
    """
    students = [outcome.pick.student for outcome in outcomes]
    records, rows, lines = [], [], []
    for outcome in outcomes:
        pick, result = outcome.pick, outcome.result
        end = str(result.epochs) + {"ok": "", "pruned": ", stopped", "failed": ", failed"}[result.status]
        score, bounds = result.selection_score, result.interval("student", result.metric, result.selected_on)
        shown = MISSING if score is None else with_interval(score, bounds)
        reached = [figure(outcome.ratio, ".3f"), shown, end]
        times = f"{duration(outcome.seconds)} ({duration(pick.seconds)})"
        rows.append([str(pick.rank), f"{pick.ratio:.3f} ({_interval(pick)})", *reached, times])
        lines.append(f"pick {pick.rank}: {named(pick, students)}")
        record = result.model_dump(exclude={"history"})
        records.append({"pick": pick.model_dump(), "folder": str(outcome.folder), "result": record})
    best = outcomes[0]
    metric = best.result.named(best.result.metric)
    head = ["pick", "predicted ratio (80 % interval)", "reached", metric, "epochs", "took (predicted)"]
    title = f"On {best.result.selected_on or 'validation'}, which selects"
    return Shown(records, [(head, rows, title)], [*lines, *_race_lines(best)])


def _race_lines(best: Outcome) -> list[str]:
    """The best run on the set that reports, and where it lies."""
    pick, result = best.pick, best.result
    if result.status != "ok":
        return [f"failed: {result.reason}"]
    ratio = result.distillation_ratio
    reached = "undefined" if ratio is None else with_interval(ratio, result.ratio_interval)
    score = f"{result.named(result.metric)} {_score(result, 'student', result.split or '', result.metric)}"
    lines = [
        f"best: pick {pick.rank}, on {result.split_in_words}: {score}; "
        f"distillation ratio {reached}, predicted {pick.ratio:.3f} ({_interval(pick)})"
    ]
    return [*lines, *_warnings(result.warnings), *result.verdict, f"student and result: {best.folder}"]


def _front(front: Sequence[Chosen]) -> TextTable:
    """Students of which none is both faster and better, the fastest first."""
    first, rows = front[0].result, []
    for contender, each, _ in sorted(front, key=lambda chosen: chosen.result.latency_ms or 0.0):
        score = _score(each, "student", each.split or "", each.metric)
        figures = milliseconds(each.latency_ms), large(each.parameters), megabytes(each.size_mb)
        rows.append([each.student, score, *figures, contender.words])
    head = ["student", first.named(first.metric), "latency", "parameters", "size", "pipeline"]
    return head, rows, "No student here is both faster and better"


def search(found: Searched, bilstm: BiLSTMCosts, *more: str) -> Shown:
    """What was tried, the best first, and the chosen student beside its teacher, itself alone and a Bi-LSTM."""
    record, students = found.record, {contender.student for contender, _ in found.tried}
    several, rows = len(students) > 1, []
    for contender, steps in found.tried[:MOST_TRIED]:
        last, epochs = steps[-1], contender.pipeline["training"]["epochs"]
        end = f"{last.epochs} of {epochs}" + (", failed" if last.failed else "")
        student = [contender.student] if several else []
        scores = [step.score for step in steps if step.score is not None]
        rows.append([*student, contender.words, figure(last.score, ".4f"), curve(scores), end])
    head = [*(["student"] if several else []), "pipeline", found.result.named(record.metric), "curve", "epochs"]
    title = f"On {found.result.selected_on or 'validation'}, which selects"
    whole = comparison(found.result, bilstm)
    tried = f"{counted(len(found.tried), 'pipeline')} of {len(record.candidates):,} tried"
    pieces = f"{counted(len(record.steps), 'piece')} of training"
    before = f"{duration(record.prepared)} for the teacher and what is measured first"
    lines = [
        f"{tried} in {pieces} and {duration(record.spent)}, of which {before}",
        f"the search ended because {record.ended}",
        f"chosen: {named(found.tried[0][0], students)}",
    ]
    tables = [(head, rows, title), *whole.tables]
    if len(found.front) > 1:
        tables.append(_front(found.front))
        lines += [f"student {each.result.student}: {each.folder}" for each in found.front]
    front = [
        {"folder": str(each.folder), "result": each.result.model_dump(exclude={"history"})} for each in found.front
    ]
    about = {"search": record.model_dump(), "result": whole.record, "front": front}
    return Shown(about, tables, [*lines, *whole.lines, *more])
