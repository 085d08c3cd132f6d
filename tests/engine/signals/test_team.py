"""What a team says of a batch, and what the objective makes of it, against equations written out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.models.forward import Features
from engine.objective.equation import Objective
from engine.pipeline import Pipeline, Training
from engine.signals.team import MemberSignals, TeamSignals
from engine.tokens.alignment import align, align_labels
from engine.tokens.examples import Encoded, encode
from engine.tokens.ragged import NO_LABEL
from engine.training.batches import StepPlan, TrainingData
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import toy_task

ROWS, MEMBERS = 12, 4
KINDS = ["single", "regression", "tagging", "question_answering", "multi_label"]
DISTRIBUTION = (0.1, 0.4, 0.3, 0.2)
TEAM_KINDS = {"average": "average", "weighted": "all", "stochastic": "drawn"}


class Sayings:
    """Signals of a teacher whose logits are made up, one row for each token of an example."""

    source = "cached"

    def __init__(self, encoded: Encoded, outputs: int, per_token: bool, seed: int):
        random = np.random.default_rng(seed)
        rows = int(encoded.lengths.sum()) if per_token else len(encoded)
        self.values = random.normal(size=(rows, outputs)).astype(np.float32)
        self.encoded, self.per_token, self.asked = encoded, per_token, 0

    def fetch(self, ids: np.ndarray, inside: bool = True) -> np.ndarray:
        return ids

    def view(self, fetched: np.ndarray) -> Features:
        self.asked += 1
        length = self.encoded.padded_length(fetched)
        mask = torch.arange(length) < torch.from_numpy(self.encoded.lengths[fetched])[:, None]
        return Features(self.logits(fetched, length), {}, mask)

    def logits(self, ids: np.ndarray, length: int) -> Tensor:
        if not self.per_token:
            return torch.from_numpy(self.values[ids])
        starts = np.concatenate([[0], np.cumsum(self.encoded.lengths)])
        found = np.zeros((len(ids), length, self.values.shape[1]), np.float32)
        for place, each in enumerate(ids):
            own = self.values[starts[each] : starts[each + 1]]
            found[place, : len(own)] = own
        return torch.from_numpy(found)


class Team:
    """A teacher and three members, two of which have another tokenizer."""

    def __init__(self, kind: str, team_kind: str, temperature: float = 1.0, scaled: bool = True):
        self.task = toy_task(kind, rows=ROWS, held_out=1)
        overlap = 4 if self.task.kind == "question_answering" else None
        self.student = encode(self.task.train, self.task, wordpiece(), 64, overlap)
        self.other = encode(self.task.train, self.task, byte_bpe(), 128, None, self.student.windows)
        self.encodings = [self.student, None, self.other, self.other]
        outputs, per_token = self.task.outputs, self.task.token_level
        self.sayings = [
            Sayings(encoding or self.student, outputs, per_token, seed) for seed, encoding in enumerate(self.encodings)
        ]
        members = tuple(map(MemberSignals, self.sayings[1:], self.encodings[1:]))
        shares = DISTRIBUTION if team_kind == "stochastic" else ()
        scaled = scaled and kind != "regression"
        self.signals = TeamSignals(members, self.student, per_token, TEAM_KINDS[team_kind], shares, scaled)
        accepted = {"input_ids", "attention_mask"}
        self.data = TrainingData(self.student, accepted, self.sayings[0], team=self.signals)
        members = ["m1", "m2", "m3"]
        loss = {"kind": "mse"} if kind == "regression" else {"kind": "ce", "temperature": temperature}
        prediction = {"prediction": loss}
        spec = {"kind": team_kind, "members": members}
        self.pipeline = Pipeline.model_validate({"team": spec, **prediction})

    def at_student(self, member: int, ids: np.ndarray) -> Tensor:
        """A member's logits where the student's are."""
        encoding = self.encodings[member]
        says = self.sayings[member]
        length = self.student.padded_length(ids)
        if not says.per_token or encoding is None or encoding is self.student:
            return says.logits(ids, length)
        seen = encoding.padded_length(ids)
        pair = align_labels if self.task.kind == "tagging" else align
        return torch.bmm(pair(self.student, encoding, ids), says.logits(ids, seen))

    def objective(self) -> Objective:
        nothing = {f"{who}_{size}": 0 for who in ("student", "teacher") for size in ("layers", "width")}
        return Objective(self.pipeline, self.task.kind, **nothing)


def plan_of(data: TrainingData, rank: int = 0, processes: int = 1, epoch: int = 0) -> StepPlan:
    return StepPlan(data, Training(batch_size=4), 0, rank, processes, epoch)


def distance(kind: str, student: Tensor, teacher: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """The prediction loss of each example (of tagging: of each position), written out."""
    if kind == "regression":
        return (student - teacher).square().mean(-1)
    if kind == "multi_label":
        shares = student.sigmoid(), teacher.sigmoid()
        return -(shares[1] * shares[0].log() + (1 - shares[1]) * (1 - shares[0]).log()).mean(-1)
    if kind == "question_answering":
        lowest = torch.finfo(student.dtype).min
        student, teacher = (each.masked_fill(~mask[:, :, None], lowest) for each in (student, teacher))
        values = -(teacher.softmax(1) * student.log_softmax(1).clamp(min=-1e9)).sum(1)
        return values.mean(-1)
    return -(teacher.softmax(-1) * student.log_softmax(-1)).sum(-1)


def error(kind: str, logits: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """A member's own error on the gold label, of each example or position."""
    if kind == "regression":
        return (logits.squeeze(-1) - labels).square()
    if kind == "multi_label":
        return -torch.where(labels > 0, logits.sigmoid(), (-logits).sigmoid()).log().mean(-1)
    if kind == "question_answering":
        logs = logits.masked_fill(~mask[:, :, None], torch.finfo(logits.dtype).min).log_softmax(1)
        found = torch.zeros(len(labels), 2)
        for place, ends in enumerate(labels.tolist()):
            for side, end in enumerate(ends):
                if end != NO_LABEL:
                    found[place, side] = -logs[place, end, side]
        return found.mean(-1)
    logs = logits.log_softmax(-1)
    return -logs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("team_kind", TEAM_KINDS)
def test_a_team_teaches_as_its_equation_says(kind: str, team_kind: str) -> None:
    team = Team(kind, team_kind)
    objective, plan = team.objective(), plan_of(team.data)
    for number, ids in enumerate(plan.steps):
        (batch,) = plan[number]
        features = team.data.view(batch)
        says = team.data.student.unit.inside(torch.stack([team.at_student(member, ids) for member in range(MEMBERS)]))
        student = torch.randn(says.shape[1:], generator=torch.Generator().manual_seed(number))
        mask = batch.inputs["attention_mask"].bool()
        found = objective(Features(student, {}, mask), features, batch.labels, batch.totals)["prediction"]

        paired = mask if features.paired is None else mask & features.paired
        if team_kind == "average":
            targets, trust = [says.mean(0)], [1.0]
        elif team_kind == "stochastic":
            drawn = team.signals.draw([0, 0, number])
            scale = 1.0 if kind == "regression" else DISTRIBUTION[drawn]
            targets, trust = [scale * says[drawn]], [1.0]
        else:
            targets = list(says)
            trust = [1 / (1 + error(team.task.kind, each, paired, batch.labels)) for each in says]
        values = sum(
            weight * distance(team.task.kind, student, target, paired, batch.labels)
            for weight, target in zip(trust, targets, strict=True)
        )
        if kind == "tagging":
            counted = paired & (batch.labels != NO_LABEL)
            expected = values[counted].sum() / batch.totals["tokens"]
        else:
            expected = values.sum() / batch.totals["examples"]
        assert float(found) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("kind", ["single", "tagging", "question_answering"])
def test_weighted_softens_without_the_factor_of_the_temperature(kind: str) -> None:
    """MT-BERT: Σ CE(y_i/T, y_s/T) / (1 + CE(y, y_i)), in which T² does not stand."""
    team = Team(kind, "weighted", temperature=3.0)
    objective, (batch,) = team.objective(), plan_of(team.data)[0]
    features = team.data.view(batch)
    says = torch.stack([team.at_student(member, plan_of(team.data).steps[0]) for member in range(MEMBERS)])
    student = torch.randn(says.shape[1:], generator=torch.Generator().manual_seed(0))
    mask = batch.inputs["attention_mask"].bool()
    paired = mask if features.paired is None else mask & features.paired
    found = objective(Features(student, {}, mask), features, batch.labels, batch.totals)["prediction"]
    values = sum(
        distance(team.task.kind, student / 3, each / 3, paired, batch.labels)
        / (1 + error(team.task.kind, each, paired, batch.labels))
        for each in says
    )
    counted = paired & (batch.labels != NO_LABEL) if kind == "tagging" else slice(None)
    expected = values[counted].sum() / batch.totals["tokens" if kind == "tagging" else "examples"]
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_logits_may_stay_as_they_are() -> None:
    team = Team("single", "stochastic", scaled=False)
    (batch,), ids = plan_of(team.data)[0], plan_of(team.data).steps[0]
    (found,) = team.data.view(batch).team
    torch.testing.assert_close(found, team.at_student(team.signals.draw([0, 0, 0]), ids))


def test_every_member_counts_where_each_has_a_token() -> None:
    team = Team("tagging", "average")
    ids = np.arange(4)
    features = team.data.view(team.data.batch(ids, {"examples": 4.0, "tokens": 9.0}))
    rows = align_labels(team.student, team.other, ids).sum(-1) > 0
    assert torch.equal(features.paired, rows)
    assert rows.any()


@pytest.mark.parametrize("kind", ["single", "tagging"])
def test_a_teacher_with_another_tokenizer_is_brought_to_the_students_tokens(kind: str) -> None:
    team, ids = Team(kind, "weighted"), np.arange(4)
    says = Sayings(team.other, team.task.outputs, team.task.token_level, seed=9)
    own = align_labels(team.student, team.other, ids)
    fetched = team.signals.fetch(ids, None)
    features = team.signals.view(fetched, says.view(ids), own)
    expected = torch.bmm(own, says.view(ids).logits) if kind == "tagging" else says.view(ids).logits
    torch.testing.assert_close(features.team[0], expected)
    for member in range(1, MEMBERS):
        torch.testing.assert_close(features.team[member], team.at_student(member, ids))
    assert (features.paired is None) == (kind == "single")


def test_only_the_drawn_member_is_asked() -> None:
    team = Team("single", "stochastic")
    plan = plan_of(team.data)
    for number in range(len(plan)):
        before = [each.asked for each in team.sayings]
        team.data.view(plan[number][0])
        asked = [now - then for now, then in zip((each.asked for each in team.sayings), before, strict=True)]
        drawn = team.signals.draw([0, 0, number])
        assert [place for place in range(1, MEMBERS) if asked[place]] == ([drawn] if drawn else [])


def test_members_are_drawn_by_the_distribution_and_by_nothing_but_the_place() -> None:
    team = Team("single", "stochastic").signals
    drawn = [team.draw([3, epoch, step]) for epoch in range(40) for step in range(50)]
    assert drawn == [team.draw([3, epoch, step]) for epoch in range(40) for step in range(50)]
    shares = np.bincount(drawn, minlength=MEMBERS) / len(drawn)
    assert np.abs(shares - DISTRIBUTION).max() < 0.04
    assert drawn != [team.draw([4, epoch, step]) for epoch in range(40) for step in range(50)]


def test_a_distribution_need_not_sum_to_one() -> None:
    """As after rounding, or where members were left out."""
    team = Team("single", "stochastic").signals
    halves = replace(team, distribution=tuple(share / 2 for share in DISTRIBUTION))
    places = [[0, 0, step] for step in range(50)]
    assert [halves.draw(place) for place in places] == [team.draw(place) for place in places]


def test_processes_and_pieces_of_a_step_have_the_same_teacher() -> None:
    data = Team("single", "stochastic").data
    whole = plan_of(data)
    for rank in range(2):
        part = plan_of(data, rank, 2)
        for number in range(len(whole)):
            (expected,), (found,) = whole[number], part[number]
            assert found.team.drawn == expected.team.drawn


def test_theta_keeps_its_gradient() -> None:
    """The teacher's own logits are cut off, what a target makes of the team's is not."""
    team = Team("single", "weighted")
    objective = searched(team)
    batch = team.data.batch(np.arange(4), {"examples": 4.0})
    features = team.data.view(batch)
    theta = torch.full((MEMBERS,), 0.25, requires_grad=True)
    mixed = replace(features, team=torch.tensordot(theta, features.team, dims=1).unsqueeze(0))
    student = torch.randn(4, team.task.outputs)
    mask = batch.inputs["attention_mask"].bool()
    loss = objective(Features(student, {}, mask), mixed, batch.labels, batch.totals)["prediction"]
    (slope,) = torch.autograd.grad(loss, theta)
    assert math.isfinite(float(slope.sum()))
    assert (slope != 0).all()


def searched(team: Team) -> Objective:
    team.pipeline = Pipeline.model_validate({"team": {"kind": "autoskd", "members": ["a"]}})
    return team.objective()
