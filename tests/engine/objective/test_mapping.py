"""Layer mappings and projections: the pairs, the transport, the layer weights."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from engine.objective.mapping import MAPPING, SMALLEST_WEIGHT, Projections, TransportMapping, check_layers
from engine.pipeline import EMD, Last, Manual, NoMapping, Skip, Top, Uniform
from tests.conftest import ROOT
from tests.reference import objectives as naive

SPECS = {"skip": Skip(), "last": Last(), "emd": EMD()}
DEPTHS = [(1, 1), (2, 5), (3, 12), (4, 12), (5, 12), (6, 6), (4, 24)]


@pytest.mark.parametrize(("student_layers", "teacher_layers"), DEPTHS)
@pytest.mark.parametrize("kind", SPECS)
def test_pairs(kind, student_layers, teacher_layers):
    mapping = MAPPING[kind](SPECS[kind], student_layers, teacher_layers)
    assert sorted(mapping.pairs) == naive.pairs(kind, student_layers, teacher_layers)


@pytest.mark.parametrize("kind", ["skip", "last"])
def test_known_mappings_weigh_every_pair_with_one(kind):
    mapping = MAPPING[kind](SPECS[kind], 2, 4)
    assert mapping(torch.tensor([3.0, 0.5])).tolist() == [1, 1]
    assert not list(mapping.buffers())


def test_no_mapping_has_no_pairs():
    assert MAPPING["none"](NoMapping(), 2, 4).pairs == ()


@pytest.mark.parametrize("kind", ["skip", "last"])
def test_a_student_deeper_than_its_teacher_is_a_problem(kind):
    (problem,) = check_layers(SPECS[kind], 6, 4)
    assert str(problem).startswith(f"mapping.kind: '{kind}' needs a student that is not deeper")
    assert "6 student layers and 4 teacher layers" in problem.got


@pytest.mark.parametrize("kind", SPECS)
def test_models_without_layers_are_a_problem(kind):
    sides = [problem.what.split()[-3] for problem in check_layers(SPECS[kind], 0, 0)]
    assert sides == ["student", "teacher"]


@pytest.mark.parametrize(("student_layers", "teacher_layers"), DEPTHS)
def test_layers_that_fit_are_no_problem(student_layers, teacher_layers):
    for spec in SPECS.values():
        assert check_layers(spec, student_layers, teacher_layers) == []
    assert check_layers(EMD(), teacher_layers, student_layers) == []
    assert check_layers(NoMapping(), 0, 0) == []


# --- embeddings, the last layers alone, and pairs that are named ---------------------------------------


@pytest.mark.parametrize(("student_layers", "teacher_layers"), DEPTHS)
def test_uniform_is_skip_and_the_embeddings(student_layers, teacher_layers):
    found = MAPPING["uniform"](Uniform(), student_layers, teacher_layers).pairs
    assert found == ((0, 0), *naive.pairs("skip", student_layers, teacher_layers))


@pytest.mark.parametrize(("chosen", "pair"), [(None, (3, 12)), (9, (3, 9)), (12, (3, 12))])
def test_top_is_the_last_layer_and_one_of_the_teacher(chosen, pair):
    assert MAPPING["top"](Top(teacher_layer=chosen), 3, 12).pairs == (pair,)


def test_manual_pairs_have_weights():
    pairs = ((0, 0), (1, 4), (1, 6), (2, 12))
    for weights, expected in ((None, [1, 1, 1, 1]), ((0.5, 1.0, 0.0, 2.0), [0.5, 1, 0, 2])):
        mapping = MAPPING["manual"](Manual(pairs=pairs, weights=weights), 2, 12)
        assert mapping.pairs == pairs
        given = mapping(torch.tensor([3.0, 0.5, 1.0, 7.0], dtype=torch.float64))
        assert (given.tolist(), given.dtype) == (expected, torch.float64)
        assert not list(mapping.buffers())


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (Uniform(), []),
        (Top(), []),
        (Top(teacher_layer=4), []),
        (Top(teacher_layer=5), ["mapping.teacher_layer: the teacher has only 4 layers; got 5; allowed: 1 to 4"]),
        (Manual(pairs=((0, 0), (2, 4))), []),
        (Manual(pairs=((3, 4),)), ["mapping.pairs: the student has only 2 layers; got 3; allowed: 0 to 2"]),
        (Manual(pairs=((1, 9), (2, 5))), ["mapping.pairs: the teacher has only 4 layers; got 5, 9; allowed: 0 to 4"]),
        (
            Manual(pairs=((7, 8), (7, 1))),
            [
                "mapping.pairs: the student has only 2 layers; got 7; allowed: 0 to 2",
                "mapping.pairs: the teacher has only 4 layers; got 8; allowed: 0 to 4",
            ],
        ),
    ],
    ids=str,
)
def test_layers_that_are_not_there_are_a_problem(spec, problems):
    assert [str(problem) for problem in check_layers(spec, 2, 4)] == problems


def test_a_deeper_student_may_be_mapped_by_hand():
    assert check_layers(Manual(pairs=((6, 2),)), 6, 4) == check_layers(Top(), 6, 4) == []
    assert "not deeper" in check_layers(Uniform(), 6, 4)[0].what


# --- transport --------------------------------------------------------------------------------------


def random_problem(seed, rows=3, columns=5):
    generator = np.random.default_rng(seed)
    cost = generator.uniform(0.1, 2, (rows, columns))
    return cost, generator.dirichlet(np.ones(rows)), generator.dirichlet(np.ones(columns))


def transport(rows=3, columns=5, **knobs):
    return TransportMapping(EMD(**knobs), rows, columns)


@pytest.mark.parametrize("seed", range(10))
def test_flow_equals_linear_programming(seed):
    cost, student, teacher = random_problem(seed)
    mapping = transport().eval()
    mapping.student_weights.copy_(torch.from_numpy(student))
    mapping.teacher_weights.copy_(torch.from_numpy(teacher))
    weights = mapping(torch.from_numpy(cost).flatten()).reshape(3, 5).numpy()
    np.testing.assert_allclose(weights, naive.transport(cost, student, teacher), atol=1e-9)
    np.testing.assert_allclose(weights.sum(1), student)
    np.testing.assert_allclose(weights.sum(0), teacher)


def test_flow_does_not_change_under_a_shift_of_the_costs():
    cost = torch.from_numpy(random_problem(3)[0]).flatten()
    mapping = transport().eval()
    torch.testing.assert_close(mapping(cost), mapping(cost - 10))


def test_equal_layers_pair_up():
    cost = 1 - torch.eye(4)
    torch.testing.assert_close(transport(4, 4)(cost.flatten()).reshape(4, 4), torch.eye(4) / 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 20.0])
def test_layer_weights_follow_the_cost_attention(temperature):
    mapping = transport(temperature=temperature)
    student, teacher = np.full(3, 1 / 3), np.full(5, 1 / 5)
    for seed in range(4):
        cost = random_problem(seed)[0]
        mapping(torch.from_numpy(cost).flatten())
        flow = naive.transport(cost, student, teacher)
        student, teacher = naive.cost_attention(cost, flow, student, teacher, temperature)
        student, teacher = (np.maximum(w, SMALLEST_WEIGHT) for w in (student, teacher))
        student, teacher = student / student.sum(), teacher / teacher.sum()
        np.testing.assert_allclose(mapping.student_weights, student, rtol=1e-6)
        np.testing.assert_allclose(mapping.teacher_weights, teacher, rtol=1e-6)


def test_a_cheap_layer_gains_weight():
    mapping = transport(2, 2, temperature=5.0)
    mapping(torch.tensor([[0.2, 0.3], [1.0, 1.1]]).flatten())
    assert mapping.student_weights[0] > 0.5 > mapping.student_weights[1]


@pytest.mark.parametrize(
    "frozen", [transport(layer_weights="uniform"), transport().eval()], ids=["uniform", "evaluation"]
)
def test_layer_weights_stay_where_they_are(frozen):
    frozen(torch.from_numpy(random_problem(0)[0]).flatten())
    assert frozen.student_weights.tolist() == [1 / 3] * 3
    assert frozen.teacher_weights.tolist() == [1 / 5] * 5


@pytest.mark.parametrize(
    "cost",
    [
        torch.zeros(3, 5),
        torch.full((3, 5), -2.0),
        -torch.arange(15.0).reshape(3, 5),
        torch.arange(15.0).reshape(3, 5),
        1e6 * torch.eye(3, 5),
    ],
    ids=["all zero", "all equal and negative", "negative", "one zero", "far apart"],
)
def test_layer_weights_stay_positive_and_whole(cost):
    mapping = transport()
    for _ in range(5):
        weights = mapping(cost.flatten())
        assert weights.isfinite().all()
        assert weights.sum().item() == pytest.approx(1)
        for layer_weights in (mapping.student_weights, mapping.teacher_weights):
            assert (layer_weights > 0).all()
            assert layer_weights.sum().item() == pytest.approx(1)


def test_negative_costs_are_weighed_from_once_to_twice_the_spread():
    cost = torch.tensor([[-4.0, -3.0], [-2.0, -1.0]], dtype=torch.float64)
    shifted, plain = transport(2, 2, temperature=3.0), transport(2, 2, temperature=3.0)
    shifted(cost.flatten())
    plain((cost + 7).flatten())
    torch.testing.assert_close(shifted.student_weights, plain.student_weights)


def test_costs_that_are_not_numbers_pass_through():
    mapping = transport()
    cost = torch.ones(15)
    cost[4] = torch.nan
    torch.testing.assert_close(mapping(cost), torch.full((15,), 1 / 15))
    assert mapping.student_weights.tolist() == [1 / 3] * 3


def test_a_checkpoint_restores_the_layer_weights():
    costs = [torch.from_numpy(random_problem(seed)[0]).flatten() for seed in range(3)]
    whole, resumed = transport(temperature=9.0), transport(temperature=9.0)
    whole(costs[0])
    resumed.load_state_dict(whole.state_dict())
    for cost in costs[1:]:
        torch.testing.assert_close(whole(cost), resumed(cost), rtol=0, atol=0)


PROCESS = """
import sys, torch
from engine.objective.mapping import TransportMapping
from engine.pipeline import EMD
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
mapping = TransportMapping(EMD(temperature=4.0), 2, 3)
costs = torch.tensor([[1.0, 3.0, 2.0, 5.0, 1.0, 1.0], [2.0, 1.0, 4.0, 0.5, 2.0, 3.0]])
weights = mapping(costs[rank])
print([weights.tolist(), mapping.student_weights.tolist()])
torch.distributed.destroy_process_group()
"""


def test_processes_solve_the_problem_of_the_whole_batch(tmp_path):
    command = [sys.executable, "-c", PROCESS]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet")], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    answers = [process.communicate(timeout=120)[0] for process in processes]
    alone = transport(2, 3, temperature=4.0)
    weights = alone(torch.tensor([1.5, 2.0, 3.0, 2.75, 1.5, 2.0]))
    assert answers[0] == answers[1] == f"{[weights.tolist(), alone.student_weights.tolist()]}\n"


# --- projections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("student_width", "always", "count"), [(4, False, 3), (6, False, 0), (6, True, 3), (4, True, 3)]
)
def test_projections_exist_where_they_are_needed(student_width, always, count):
    projections = Projections([1, 2, 5], student_width, 6, always)
    assert len(projections.maps) == count
    assert projections(5, torch.zeros(2, 3, student_width)).shape == (2, 3, 6)


def test_projections_take_sixteen_bits():
    projections = Projections([1], 4, 6)
    assert projections(1, torch.zeros(2, 3, 4, dtype=torch.bfloat16)).dtype == torch.float32
