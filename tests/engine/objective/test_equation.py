"""Equation 1 as a whole: every combination keeps the contract, and the sums are those of the loops."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from engine.base.errors import InputError
from engine.data.task import TASK_KINDS
from engine.models.forward import Features, TeacherNeeds
from engine.objective import critics, equation, mapping, prediction
from engine.objective.equation import Objective, hard_label_only, outputs_only
from engine.pipeline import (
    CE,
    EMD,
    L2,
    MSE,
    PKD,
    Attention,
    Cos,
    Last,
    MIAlpha,
    MLPCritic,
    Pipeline,
    PredictionMSE,
    Relations,
    Skip,
    Training,
    TransformerCritic,
    Weights,
)
from engine.pipeline.pipeline import component_kinds
from tests.reference import objectives as naive

STUDENT_LAYERS, STUDENT_WIDTH, TEACHER_LAYERS, TEACHER_WIDTH = 2, 4, 4, 6
CRITIC = TransformerCritic(width=8, layers=1, feed_forward=8, heads=2)
INTERMEDIATE = {
    "ce": CE(),
    "mse": MSE(),
    "l2": L2(),
    "cos": Cos(),
    "pkd": PKD(),
    "attention": Attention(),
    "attention and hidden": Attention(hidden=0.5),
    "relations": Relations(),
    "mi_alpha": MIAlpha(critic=CRITIC),
    "mi_alpha mlp": MIAlpha(critic=MLPCritic(width=8, layers=2, feed_forward=8), level="token", max_tokens=8),
}
MAPPING = {"skip": Skip(), "last": Last(), "emd": EMD(temperature=10.0)}


def test_registries_hold_every_kind_of_the_specs() -> None:
    kinds = component_kinds()
    assert list(equation.INTERMEDIATE) == kinds["intermediate"]
    assert list(mapping.MAPPING) == kinds["mapping"]
    assert list(prediction.PREDICTION) == kinds["prediction"]
    assert list(critics.CRITIC) == kinds["critic"]


def pipeline(task="classification", states=None, mapping=None, **weights):
    """`states`: the intermediate objective."""
    prediction = {"prediction": PredictionMSE()} if task == "regression" else {}
    parts = {} if states is None else {"intermediate": states, "mapping": mapping or Skip()}
    return Pipeline(**parts, **prediction, weights=Weights(**weights))


def build(spec, task="classification", teacher_width=TEACHER_WIDTH):
    torch.manual_seed(0)
    return Objective(
        spec,
        task,
        student_layers=STUDENT_LAYERS,
        student_width=STUDENT_WIDTH,
        teacher_layers=TEACHER_LAYERS,
        teacher_width=teacher_width,
        student_heads=2,
        teacher_heads=3,
    )


def batch(task="classification", size=8, tokens=5):
    """Student, teacher, labels and totals of one batch with padding."""
    generator = torch.Generator().manual_seed(2)
    lengths = torch.randint(2, tokens + 1, (size,), generator=generator)
    lengths[0] = tokens
    mask = torch.arange(tokens) < lengths[:, None]
    tags = torch.randint(0, 3, (size, tokens), generator=generator).masked_fill(~mask, -100)
    shape, labels = {
        "classification": ((size, 3), torch.randint(0, 3, (size,), generator=generator)),
        "regression": ((size, 1), torch.randn(size, generator=generator)),
        "tagging": ((size, tokens, 3), tags),
        "question_answering": ((size, tokens, 2), torch.randint(0, 2, (size, 2), generator=generator)),
        "multi_label": ((size, 3), (torch.arange(size)[:, None] >> torch.arange(3) & 1).float()),
    }[task]

    def features(layers, width):
        hidden = {n: torch.randn(size, tokens, width, generator=generator) for n in range(1, layers + 1)}
        logits = torch.randn(shape, generator=generator)
        parts = [(name, layer) for layer in hidden for name in ("query", "key", "value")]
        attention = {part: torch.randn(size, tokens, width, generator=generator) for part in parts}
        return Features(logits, hidden, mask, attention=attention)

    student = features(STUDENT_LAYERS, STUDENT_WIDTH)
    teacher = features(TEACHER_LAYERS, TEACHER_WIDTH)
    return student, teacher, labels, {"examples": size, "tokens": int((tags != -100).sum())}


def leaves(features):
    return [features.logits, *features.hidden.values(), *features.attention.values()]


def changed(features, change):
    """The same with every tensor as `change` gives it."""
    hidden, attention = ({at: change(h) for at, h in part.items()} for part in (features.hidden, features.attention))
    return Features(change(features.logits), hidden, change(features.mask), attention=attention)


def rows(features, chosen):
    return changed(features, lambda tensor: tensor[chosen])


@pytest.mark.parametrize("task", TASK_KINDS)
@pytest.mark.parametrize("mapping", MAPPING)
@pytest.mark.parametrize("kind", INTERMEDIATE)
class TestContract:
    """What every intermediate objective keeps, with every mapping, on every kind of task."""

    @pytest.fixture
    def spec(self, task, mapping, kind):
        return pipeline(task, INTERMEDIATE[kind], MAPPING[mapping], hard_label=0.5)

    def test_terms_are_finite_and_gradients_go_where_they_should(self, spec, task):
        objective = build(spec, task)
        student, teacher, labels, totals = batch(task)
        for leaf in leaves(student) + leaves(teacher):
            leaf.requires_grad_()
        terms = objective(student, teacher, labels, totals)
        assert list(terms) == ["intermediate", "prediction", "hard_label"]
        assert all(value.ndim == 0 and value.isfinite() for value in terms.values())
        sum(terms.values()).backward()
        used = [student.logits, *(student.hidden[i] for i in objective.student_layers_used)]
        used += [student.attention[part] for part in objective.student_attention_used]
        assert all(leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.any() for leaf in used)
        assert all(leaf.grad is None for leaf in leaves(teacher))
        assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())
        assert any(p.grad.any() for p in objective.parameters()) or not list(objective.parameters())

    def test_inputs_stay_and_the_same_seed_gives_the_same(self, spec, task):
        results, given = [], batch(task)
        before = copy.deepcopy(given)
        for _ in range(2):
            objective = build(spec, task)
            results.append(objective(*given))
        for now, then in zip(leaves(given[0]) + leaves(given[1]), leaves(before[0]) + leaves(before[1]), strict=True):
            assert torch.equal(now, then)
        assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])

    def test_mixed_precision_stays_near_full_precision(self, spec, task):
        given = batch(task)
        full = build(spec, task)(*given)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = build(spec, task)(*given)
        for name, value in full.items():
            assert mixed[name].dtype == torch.float32
            torch.testing.assert_close(mixed[name], value, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("task", TASK_KINDS)
@pytest.mark.parametrize("mapping", ["skip", "last"])
@pytest.mark.parametrize("kind", [None, "ce", "mse", "l2", "cos", "pkd", "attention and hidden", "relations"])
def test_accumulation_gives_the_gradient_of_the_whole_batch(kind, mapping, task):
    spec = pipeline(task, kind and INTERMEDIATE[kind], MAPPING[mapping], hard_label=0.5)
    student, teacher, labels, totals = batch(task)
    gradients = []
    for size in (8, 4, 1):
        objective, whole = build(spec, task), copy.deepcopy(student)
        for leaf in leaves(whole):
            leaf.requires_grad_()
        for chosen in torch.arange(8).split(size):
            terms = objective(rows(whole, chosen), rows(teacher, chosen), labels[chosen], totals)
            sum(terms.values()).backward()
        learned = [*leaves(whole), *objective.parameters()]
        gradients.append([part.grad for part in learned])
    for parts in gradients[1:]:
        for part, expected in zip(parts, gradients[0], strict=True):
            assert (part is None) == (expected is None)
            if part is not None:
                torch.testing.assert_close(part, expected)


@pytest.mark.parametrize("task", TASK_KINDS)
@pytest.mark.parametrize("mapping", MAPPING)
@pytest.mark.parametrize("kind", ["ce", "mse", "l2", "cos", "pkd"])
def test_equation_1_equals_the_loops(kind, mapping, task):
    weights = {"intermediate": 0.7, "prediction": 2.0, "hard_label": 0.3}
    objective = build(pipeline(task, INTERMEDIATE[kind], MAPPING[mapping], **weights), task)
    student, teacher, labels, totals = batch(task)
    terms = {name: value.item() for name, value in objective(student, teacher, labels, totals).items()}

    cost = {}
    for i, j in naive.pairs(mapping, STUDENT_LAYERS, TEACHER_LAYERS):
        projected = objective.intermediate.projections(i, student.hidden[i])
        cost[i, j] = naive.mean(naive.hidden(kind, projected, teacher.hidden[j], student.mask))
    flow = dict.fromkeys(cost, 1.0)
    if mapping == "emd":
        matrix = [[cost[i, j] for j in range(1, TEACHER_LAYERS + 1)] for i in range(1, STUDENT_LAYERS + 1)]
        uniform = [[1 / count] * count for count in (STUDENT_LAYERS, TEACHER_LAYERS)]
        flow = dict(zip(cost, naive.transport(matrix, *uniform).flatten(), strict=True))
    prediction = "mse" if task == "regression" else "ce"
    expected = {
        "intermediate": 0.7 * sum(flow[pair] * cost[pair] for pair in cost),
        "prediction": 2.0
        * naive.prediction_of_task(task, prediction, student.logits, teacher.logits, student.mask, labels),
        "hard_label": 0.3 * naive.hard_label_of_task(task, student.logits, student.mask, labels),
    }
    assert terms == pytest.approx(expected, rel=1e-4)


def test_transport_gets_its_gradient_through_the_losses_alone():
    objective = build(pipeline(states=MSE(), mapping=EMD(layer_weights="uniform")))
    student, teacher, labels, totals = batch()
    student.hidden[1].requires_grad_()
    objective(student, teacher, labels, totals)["intermediate"].backward()
    values = objective.intermediate(student, teacher)
    weights = objective.mapping(values.detach().mean(1))
    expected = torch.autograd.grad((weights @ values).mean(), student.hidden[1])[0]
    torch.testing.assert_close(student.hidden[1].grad, expected)


# --- which terms, and what they need ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ({}, ["intermediate", "prediction"]),
        ({"hard_label": 0.5}, ["intermediate", "prediction", "hard_label"]),
        ({"prediction": 0.0}, ["intermediate"]),
        ({"intermediate": 0.0}, ["prediction"]),
        ({"intermediate": 0.0, "prediction": 0.0, "hard_label": 1.0}, ["hard_label"]),
    ],
)
def test_only_terms_with_weight_are_there(weights, names):
    objective = build(pipeline(states=MSE(), **weights))
    assert list(objective(*batch())) == names
    used = "intermediate" in names
    assert objective.student_layers_used == ((1, 2) if used else ())
    assert objective.needs == TeacherNeeds((2, 4) if used else (), "all")
    assert bool(list(objective.parameters())) == used


@pytest.mark.parametrize(
    ("kind", "mapping", "needs"),
    [
        ("mse", "skip", TeacherNeeds((2, 4), "all")),
        ("mse", "last", TeacherNeeds((3, 4), "all")),
        ("mi_alpha", "emd", TeacherNeeds((1, 2, 3, 4), "all")),
        ("pkd", "skip", TeacherNeeds((2, 4), "first")),
    ],
)
def test_needs_of_the_teacher(kind, mapping, needs):
    assert build(pipeline(states=INTERMEDIATE[kind], mapping=MAPPING[mapping])).needs == needs


@pytest.mark.parametrize(
    ("task", "intermediate", "weights", "aligned"),
    [
        ("classification", None, {}, False),
        ("classification", MSE(), {}, True),
        ("classification", PKD(), {}, False),
        ("classification", MIAlpha(), {}, False),
        ("classification", MIAlpha(level="token"), {}, True),
        ("tagging", None, {}, True),
        ("tagging", MIAlpha(level="sequence"), {"prediction": 0.0}, False),
        ("question_answering", None, {}, True),
        ("question_answering", PKD(), {"prediction": 0.0}, False),
    ],
)
def test_who_needs_an_alignment(task, intermediate, weights, aligned):
    assert build(pipeline(task, intermediate, **weights), task).aligned == aligned


def test_pkd_runs_on_first_tokens_and_ignores_an_alignment():
    student, teacher, labels, totals = batch()
    objective = build(pipeline(states=PKD()))
    expected = objective(student, teacher, labels, totals)
    first = Features(teacher.logits, {j: h[:, :1] for j, h in teacher.hidden.items()}, teacher.mask)
    assert objective(student, first, labels, totals) == expected
    assert objective(student, first, labels, totals, torch.zeros(8, 5, 9)) == expected


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="not deeper than its teacher"):
        Objective(
            pipeline(states=MSE()),
            "classification",
            student_layers=6,
            student_width=4,
            teacher_layers=4,
            teacher_width=4,
        )


def test_a_missing_teacher_is_an_error_and_not_a_missing_term():
    student, _, labels, totals = batch()
    with pytest.raises(ValueError, match="^this pipeline learns from a teacher, and there is none$"):
        build(pipeline())(student, None, labels, totals)


@pytest.mark.parametrize("task", ["tagging", "question_answering"])
def test_of_a_team_those_tokens_count_that_every_member_has(task):
    student, teacher, labels, totals = batch(task)
    paired = torch.ones_like(student.mask)
    paired[:, 1] = False
    both = paired & student.mask
    objective = build(pipeline(task), task)
    terms = objective(student, replace(teacher, team=teacher.logits[None], paired=paired), labels, totals)
    expected = naive.prediction_of_task(task, "ce", student.logits, teacher.logits, both, labels)
    if task == "tagging":
        expected *= int((both & (labels != -100)).sum()) / totals["tokens"]
    assert terms["prediction"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", TASK_KINDS)
def test_plain_fine_tuning_needs_no_teacher(task):
    student, _, labels, totals = batch(task)
    objective = hard_label_only(task)
    terms = objective(student, None, labels, totals)
    expected = naive.hard_label_of_task(task, student.logits, student.mask, labels)
    assert {name: value.item() for name, value in terms.items()} == pytest.approx({"hard_label": expected})
    assert objective.parameter_groups(0.01, 5e-5) == []
    assert not objective.aligned


CLASS_WEIGHTS = torch.tensor([0.25, 1.0, 4.0]).numpy()


def build_weighed(spec):
    sizes = dict.fromkeys(("student_layers", "student_width", "teacher_layers", "teacher_width"), 0)
    return Objective(spec, "classification", **sizes, class_weights=CLASS_WEIGHTS)


def test_class_weights_weigh_gold_labels_and_nothing_else():
    student, teacher, labels, totals = batch()
    spec = pipeline(prediction=1.0, hard_label=0.5)
    terms = build_weighed(spec)(student, teacher, labels, totals)
    plain = build(spec)(student, teacher, labels, totals)
    each = naive.weighted_hard_label_of_task("classification", student.logits, labels, torch.tensor(CLASS_WEIGHTS))
    assert terms["hard_label"].item() == pytest.approx(0.5 * naive.mean(each), rel=1e-5)
    assert terms["prediction"] == plain["prediction"]


def test_class_weights_of_rows_without_labels_and_of_any_cut():
    """A row without a label counts as before; the sums of micro-batches are that of the step."""
    student, teacher, labels, totals = batch()
    labelled = torch.tensor([True, False] * 4)
    objective = build_weighed(pipeline(prediction=0.0, hard_label=1.0))
    whole = objective(student, teacher, labels, totals, labelled=labelled)["hard_label"]
    each = naive.weighted_hard_label_of_task("classification", student.logits, labels, torch.tensor(CLASS_WEIGHTS))
    assert whole.item() == pytest.approx(sum(each[::2]) / 8, rel=1e-5)
    halves = [
        objective(
            replace(student, logits=student.logits[part], mask=student.mask[part]),
            None,
            labels[part],
            totals,
            labelled=labelled[part],
        )["hard_label"]
        for part in (slice(3), slice(3, 8))
    ]
    torch.testing.assert_close(halves[0] + halves[1], whole)


def test_class_weights_do_not_change_what_the_teacher_says_of_changed_texts():
    student, teacher, labels, totals = batch()
    for operators, weighed in (("random", False), ("mixup", True)):
        spec = Pipeline.model_validate({"augmentation": operators})
        found, plain = (
            objective(student, teacher, labels, totals, augmented=True)["augmented_hard_label"]
            for objective in (build_weighed(spec), build(spec))
        )
        assert (found != plain) == weighed


def test_class_weights_do_not_change_the_trust_in_a_member():
    student, teacher, labels, totals = batch()
    spec = Pipeline.model_validate({"team": {"kind": "weighted", "members": ["layers:1"]}})
    both = replace(teacher, team=torch.stack([teacher.logits, student.logits]))
    found, plain = (each(student, both, labels, totals)["prediction"] for each in (build_weighed(spec), build(spec)))
    assert found == plain


def test_class_weights_are_no_part_of_a_checkpoint():
    assert "class_weights" not in build_weighed(pipeline(hard_label=1.0)).state_dict()


def test_outputs_alone_are_compared_as_the_prediction_says():
    student, teacher, labels, totals = batch()
    terms = outputs_only("classification", PredictionMSE(), Weights(prediction=2.0, hard_label=0.0))(
        student, teacher, labels, totals
    )
    expected = 2 * (student.logits - teacher.logits).square().mean().item()
    assert {name: value.item() for name, value in terms.items()} == pytest.approx({"prediction": expected})


@pytest.mark.parametrize(("spec", "rate"), [(MSE(), 5e-5), (MIAlpha(critic=CRITIC), 5e-4)])
def test_parameter_groups_hold_everything_once(spec, rate):
    objective = build(pipeline(states=spec))
    groups = objective.parameter_groups(weight_decay=0.01, learning_rate=5e-5)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in objective.parameters())
    assert {group["lr"] for group in groups} == {rate}
    for group in groups:
        matrices = [p.ndim > 1 and p.shape[-2] > 1 for p in group["params"]]  # before it, the axis of towers
        assert set(matrices) == {group["weight_decay"] > 0}
    torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))]}, *groups], lr=5e-5)


def test_what_is_learned_beside_the_student_belongs_to_the_intermediate_objective():
    for spec in (MSE(), MIAlpha(critic=CRITIC)):
        names = dict(build(pipeline(states=spec)).named_parameters())
        assert names
        assert all(name.startswith("intermediate.") for name in names)
    assert not list(build(pipeline()).parameters())


# --- different tokenizers -----------------------------------------------------------------------------


def alignment(size=8, tokens=5, teacher_tokens=7):
    """Student token n takes teacher tokens n and n + 1; the third has no partner."""
    matrix = torch.zeros(size, tokens, teacher_tokens)
    for n in range(tokens):
        matrix[:, n, n : n + 2] = 0.5
    matrix[:, 2] = 0
    return matrix


def longer(teacher, tokens=7):
    """The teacher's features on its own, longer tokens."""
    generator = torch.Generator().manual_seed(9)

    def grow(values):
        return torch.randn(len(values), tokens, values.shape[-1], generator=generator)

    logits = grow(teacher.logits) if teacher.logits.ndim == 3 else teacher.logits
    mask = torch.ones(len(logits), tokens, dtype=torch.bool)
    hidden, attention = ({at: grow(h) for at, h in part.items()} for part in (teacher.hidden, teacher.attention))
    return Features(logits, hidden, mask, attention=attention)


@pytest.mark.parametrize("kind", [kind for kind in INTERMEDIATE if kind != "pkd"])
@pytest.mark.parametrize("task", TASK_KINDS)
def test_teacher_is_brought_to_the_students_positions(kind, task):
    student, teacher, labels, totals = batch(task)
    spec = pipeline(task, INTERMEDIATE[kind])
    teacher, matrix = longer(teacher), alignment()
    torch.manual_seed(1)
    objective = build(spec, task)
    terms = objective(student, teacher, labels, totals, matrix)

    def moved(values):
        return torch.from_numpy(naive.align(values, matrix)).float()

    token_level = objective.intermediate.token_level
    hidden = {j: moved(h) for j, h in teacher.hidden.items()} if token_level else teacher.hidden
    attention = {part: moved(vectors) for part, vectors in teacher.attention.items()}
    logits = moved(teacher.logits) if teacher.logits.ndim == 3 else teacher.logits
    partnered = student.mask.clone()
    partnered[:, 2] = False
    mask = partnered if token_level else teacher.mask
    by_hand = build(spec, task)
    source = replace(student, mask=partnered if token_level else student.mask)
    values = by_hand.intermediate(source, Features(logits, hidden, mask, attention=attention))
    expected = by_hand.mapping(values.detach().mean(1)) @ values.detach().mean(1)
    torch.testing.assert_close(terms["intermediate"], expected)
    loss = "mse" if task == "regression" else "ce"
    expected = naive.prediction_of_task(task, loss, student.logits, logits, partnered, labels)
    if task == "tagging":  # the labelled tokens without partner stay in the count
        expected *= int((partnered & (labels != -100)).sum()) / totals["tokens"]
    assert terms["prediction"].item() == pytest.approx(expected, rel=1e-4)


def test_the_identity_alignment_changes_nothing():
    for task in TASK_KINDS:
        student, teacher, labels, totals = batch(task)
        objective = build(pipeline(task, MSE(), hard_label=0.5), task)
        plain = objective(student, teacher, labels, totals)
        aligned = objective(student, teacher, labels, totals, torch.eye(5).expand(8, 5, 5))
        torch.testing.assert_close(aligned, plain)


def test_labels_may_have_an_alignment_of_their_own():
    student, teacher, labels, totals = batch("tagging")
    teacher = longer(teacher)
    objective = build(pipeline("tagging", MSE()), "tagging")
    of_labels = alignment().flip(1)
    both = objective(student, teacher, labels, totals, alignment(), of_labels)
    hidden = objective(student, teacher, labels, totals, alignment())
    logits = objective(student, teacher, labels, totals, of_labels)
    assert both == {"intermediate": hidden["intermediate"], "prediction": logits["prediction"]}
    assert hidden["prediction"] != logits["prediction"]


@pytest.mark.parametrize("task", TASK_KINDS)
@pytest.mark.parametrize("policy", ["random", "contextual+mixup", "mixup"])
def test_whose_label_an_augmented_example_has(policy, task):
    """Changed texts have the teacher's, at temperature 1 whatever the prediction loss; mixed ones their own."""
    student, teacher, labels, totals = batch(task)
    teacher, matrix = longer(teacher), alignment()
    spec = Pipeline.model_validate({"augmentation": policy, "prediction": {"kind": "mse"}})
    objective = build(spec.model_copy(update={"weights": Weights(augmented_hard_label=1.0)}), task)
    assert objective.aligned == (task in ("tagging", "question_answering"))
    terms = objective(student, teacher, labels, totals, matrix, augmented=True)
    assert list(terms) == ["augmented_hard_label"]
    if policy == "mixup":
        expected = naive.hard_label_of_task(task, student.logits, student.mask, labels)
    else:
        partnered = student.mask.clone()
        partnered[:, 2] = False
        logits = torch.from_numpy(naive.align(teacher.logits, matrix)) if teacher.logits.ndim == 3 else teacher.logits
        loss = "mse" if task == "regression" else "ce"
        expected = naive.prediction_of_task(task, loss, student.logits, logits, partnered, labels)
        if task == "tagging":
            expected *= int((partnered & (labels != -100)).sum()) / totals["tokens"]
    assert terms["augmented_hard_label"].item() == pytest.approx(expected, rel=1e-4)


def test_originals_and_augmented_examples_that_weigh_alike_need_an_alignment() -> None:
    spec = Pipeline.model_validate(
        {"augmentation": "mixup", "weights": {"prediction": 1.0, "augmented_prediction": 1.0}}
    )
    assert build(spec, "tagging").aligned


@pytest.mark.parametrize("task, loss", [("regression", "mse"), ("classification", "ce")])
def test_a_pipeline_that_names_no_prediction_loss_has_that_of_the_task(task, loss):
    student, teacher, labels, totals = batch(task)
    terms = build(Pipeline(), task)(student, teacher, labels, totals)
    expected = naive.prediction_of_task(task, loss, student.logits, teacher.logits, student.mask, labels)
    assert terms["prediction"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("policy, aligned", [("random", True), ("mixup", False)])
def test_the_teacher_s_labels_alone_need_an_alignment(policy, aligned):
    weights = {"prediction": 0.0, "hard_label": 1.0, "augmented_prediction": 0.0, "augmented_hard_label": 1.0}
    spec = Pipeline.model_validate({"augmentation": policy, "weights": weights})
    assert build(spec, "tagging").aligned == aligned


def test_gold_labels_need_no_partner():
    student, teacher, labels, totals = batch("question_answering")
    objective = build(pipeline("question_answering", hard_label=1.0), "question_answering")
    terms = objective(student, longer(teacher), labels, totals, alignment())
    expected = naive.hard_label_of_task("question_answering", student.logits, student.mask, labels)
    assert terms["hard_label"].item() == pytest.approx(expected, rel=1e-5)


def test_teacher_signals_may_be_kept_in_sixteen_bits():
    student, teacher, labels, totals = batch()
    for dtype in (torch.float16, torch.bfloat16):
        kept = replace(changed(teacher, lambda tensor, dtype=dtype: tensor.to(dtype)), mask=teacher.mask)
        for spec in INTERMEDIATE.values():
            objective = build(pipeline(states=spec))
            terms = objective(student, kept, labels, totals)
            assert all(value.dtype == torch.float32 and value.isfinite() for value in terms.values())


def test_attention_masks_of_zeros_and_ones_will_do():
    student, teacher, labels, totals = batch()
    numbers = [replace(f, mask=f.mask.long()) for f in (student, teacher)]
    for spec in INTERMEDIATE.values():
        objective = build(pipeline(states=spec, mapping=Last()))
        torch.manual_seed(4)
        expected = objective(student, teacher, labels, totals)
        torch.manual_seed(4)
        assert objective(*numbers, labels, totals) == expected


def test_training_settings_are_not_read():
    assert list(build(Pipeline(training=Training(epochs=3)))(*batch())) == ["prediction"]


@pytest.mark.gpu
@pytest.mark.parametrize("kind", INTERMEDIATE)
def test_a_gpu_gives_what_the_cpu_gives(kind):
    given = batch("tagging")
    objective = build(pipeline("tagging", INTERMEDIATE[kind], MAPPING["emd"], hard_label=0.5), "tagging")
    on_gpu = copy.deepcopy(objective).cuda()

    def moved(features):
        return changed(features, torch.Tensor.cuda)

    student, teacher, labels, totals = given
    torch.manual_seed(6)
    expected = objective(*given)
    torch.manual_seed(6)
    terms = on_gpu(moved(student), moved(teacher), labels.cuda(), totals)
    for name, value in terms.items():
        torch.testing.assert_close(value.cpu(), expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("task", TASK_KINDS)
def test_rows_without_a_label_weigh_nothing_in_the_hard_label_loss_alone(task):
    objective = build(pipeline(task, MSE(), hard_label=1.0), task)
    student, teacher, labels, totals = batch(task)
    labelled = torch.arange(8) % 3 == 0
    terms = objective(student, teacher, labels, totals, labelled=labelled)
    known = objective(rows(student, labelled), rows(teacher, labelled), labels[labelled], totals)
    torch.testing.assert_close(terms.pop("hard_label"), known["hard_label"])
    of_all = objective(student, teacher, labels, totals)
    assert terms == {name: of_all[name] for name in ("intermediate", "prediction")}


def test_a_member_of_a_weighted_team_is_trusted_wholly_where_there_is_no_label():
    team = {"kind": "weighted", "members": ["layers:1"]}
    weighted, plain = (build(Pipeline(team=each)) for each in (team, {"kind": "average", "members": ["layers:1"]}))
    student, teacher, labels, totals = batch()
    teacher = replace(teacher, team=torch.stack([teacher.logits, teacher.logits.flip(1)]))
    none = torch.zeros(8, dtype=torch.bool)
    assert weighted(student, teacher, labels, totals, labelled=none) == plain(student, teacher, labels, totals)
    assert weighted(student, teacher, labels, totals) != plain(student, teacher, labels, totals)
