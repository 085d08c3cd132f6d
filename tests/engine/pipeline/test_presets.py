"""Each preset is the loss that its paper prints, here written out by hand in loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from engine.models.forward import Features
from engine.objective.equation import Objective
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import load_pipeline
from tests.conftest import ROOT
from tests.reference.critics import tower

BATCH, TOKENS, CLASSES = 4, 5, 3
STUDENT_LAYERS, STUDENT_WIDTH = 2, 6
TEACHER_LAYERS, TEACHER_WIDTH = 4, 8
HEADS = 2
SKIP = {1: 2, 2: 4}
LENGTHS = (5, 3, 1, 4)


def features(layers: int, width: int) -> Features:
    def drawn(*shape: int) -> Tensor:
        return torch.randn(BATCH, *shape).double()

    hidden = {layer: drawn(TOKENS, width) for layer in range(layers + 1)}
    parts = [(name, layer) for layer in range(1, layers + 1) for name in ("query", "key", "value")]
    mask = torch.arange(TOKENS)[None] < torch.tensor(LENGTHS)[:, None]
    return Features(drawn(CLASSES), hidden, mask, attention={part: drawn(TOKENS, width) for part in parts})


@pytest.fixture(name="batch")
def _batch() -> tuple[Features, Features, Tensor]:
    torch.manual_seed(0)
    student, teacher = features(STUDENT_LAYERS, STUDENT_WIDTH), features(TEACHER_LAYERS, TEACHER_WIDTH)
    return student, teacher, torch.tensor([0, 2, 1, 1])


@pytest.fixture(name="augmented")
def _augmented() -> tuple[Features, Features, Tensor]:
    """What both models say of augmented examples, with mixed labels."""
    torch.manual_seed(2)
    labels = torch.tensor([[0.3, 0.7, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.1, 0.0, 0.9]]).double()
    return features(0, 0), features(0, 0), labels


def objective_of(name: str) -> Objective:
    torch.manual_seed(1)
    return Objective(
        PRESETS[name].pipeline,
        "classification",
        student_layers=STUDENT_LAYERS,
        student_width=STUDENT_WIDTH,
        teacher_layers=TEACHER_LAYERS,
        teacher_width=TEACHER_WIDTH,
        student_heads=HEADS,
        teacher_heads=HEADS,
    ).double()


def softmax(logits: Tensor, temperature: float = 1.0) -> list[float]:
    powers = [math.exp(logit / temperature) for logit in logits.tolist()]
    return [power / sum(powers) for power in powers]


def soft_labels(student: Features, teacher: Features, temperature: float = 1.0) -> float:
    """Hinton et al. 2015: cross-entropy of the softened distributions, times temperature²."""
    total = 0.0
    for ours, theirs in zip(student.logits, teacher.logits, strict=True):
        for p, q in zip(softmax(theirs, temperature), softmax(ours, temperature), strict=True):
            total -= p * math.log(q)
    return temperature**2 * total / BATCH


def mixed_labels(student: Features, labels: Tensor) -> float:
    total = 0.0
    for logits, target in zip(student.logits, labels.tolist(), strict=True):
        total -= sum(share * math.log(q) for share, q in zip(target, softmax(logits), strict=True))
    return total / BATCH


def hard_labels(student: Features, labels: Tensor) -> float:
    rows = zip(student.logits, labels.tolist(), strict=True)
    return -sum(math.log(softmax(logits)[label]) for logits, label in rows) / BATCH


def projected(objective: Objective, student: Features, layer: int) -> Tensor:
    """The student's hidden states in the teacher's width: W·h + b."""
    linear = objective.intermediate.projections.maps[str(layer)]  # type: ignore[union-attr]
    assert isinstance(linear, nn.Linear)
    return student.hidden[layer] @ linear.weight.T + linear.bias


def hidden_mse(objective: Objective, student: Features, teacher: Features, i: int, j: int) -> float:
    """Jiao et al. 2020, eq. 8: mean squared difference, over the real tokens of each example."""
    ours, theirs = projected(objective, student, i), teacher.hidden[j]
    total = 0.0
    for b, length in enumerate(LENGTHS):
        total += sum(float(((ours[b, n] - theirs[b, n]) ** 2).mean()) for n in range(length)) / length
    return total / BATCH


def vanilla_kd(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    return soft_labels(student, teacher)


def attention_mse(student: Features, teacher: Features, i: int, j: int) -> float:
    """Jiao et al. 2020, eq. 7: mean over heads of the squared difference of A = QKᵀ/√d, which has met no softmax."""
    total = 0.0
    for b, length in enumerate(LENGTHS):
        for head in range(HEADS):
            scored = []
            for side, layer, width in ((student, i, STUDENT_WIDTH), (teacher, j, TEACHER_WIDTH)):
                own = slice(head * width // HEADS, (head + 1) * width // HEADS)
                queries, keys = (side.attention[name, layer][b, :length, own] for name in ("query", "key"))
                scored.append(queries @ keys.T / math.sqrt(width / HEADS))
            total += float((scored[0] - scored[1]).square().mean()) / HEADS
    return total / BATCH


def tinybert(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    """Jiao et al. 2020, eq. 7 to 11: embeddings, hidden states and attention of each layer, and soft labels."""
    assert objective.intermediate is not None
    beside = nn.Module()  # owns what is learned of hidden states
    beside.intermediate = objective.intermediate.hidden  # type: ignore[union-attr, assignment]
    embeddings = hidden_mse(beside, student, teacher, 0, 0)  # type: ignore[arg-type]
    layers = sum(
        hidden_mse(beside, student, teacher, i, j) + attention_mse(student, teacher, i, j)  # type: ignore[arg-type]
        for i, j in SKIP.items()
    )
    return embeddings + layers + soft_labels(student, teacher)


def minilm(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    """Wang et al. 2021, section 3.1, of the last layers; these widths have but one head of 8 numbers or less."""
    total = 0.0
    for name in ("query", "key", "value"):
        for b, length in enumerate(LENGTHS):
            ours, theirs = (
                (x @ x.T / math.sqrt(x.shape[-1])).softmax(-1)
                for x in (student.attention[name, 2][b, :length], teacher.attention[name, 4][b, :length])
            )
            total += float((theirs * (theirs / ours).log()).sum(-1).mean()) / BATCH
    return total + soft_labels(student, teacher)


def bert_emd(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    """Li et al. 2020, eq. 1 to 5: the cheapest flow between uniformly weighted layers."""
    cost = np.array(
        [
            [hidden_mse(objective, student, teacher, i, j) for j in range(1, TEACHER_LAYERS + 1)]
            for i in range(1, STUDENT_LAYERS + 1)
        ]
    )
    leaves = np.kron(np.eye(STUDENT_LAYERS), np.ones(TEACHER_LAYERS))
    arrives = np.kron(np.ones(STUDENT_LAYERS), np.eye(TEACHER_LAYERS))
    margins = [1 / STUDENT_LAYERS] * STUDENT_LAYERS + [1 / TEACHER_LAYERS] * TEACHER_LAYERS
    flow = linprog(cost.ravel(), A_eq=np.vstack([leaves, arrives]), b_eq=margins).x
    return float(flow @ cost.ravel() / flow.sum()) + soft_labels(student, teacher)


def bert_pkd(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    """Sun et al. 2019, eq. 5 to 8, with their α = 0.5, temperature 10, and 0.13 for β."""
    patience = 0.0
    for i, j in SKIP.items():
        ours, theirs = projected(objective, student, i)[:, 0], teacher.hidden[j][:, 0]
        for x, y in zip(ours, theirs, strict=True):
            patience += float(((x / x.norm() - y / y.norm()) ** 2).sum()) / BATCH
    return 0.5 * hard_labels(student, labels) + 0.5 * soft_labels(student, teacher, 10.0) + 0.13 * patience


def mi_alpha(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    """Poole et al. 2019, eq. 13, at α = 0.9, for a critic and a baseline as they happen to be."""
    found, alpha, total = objective.intermediate, 0.9, 0.0
    width = PRESETS["mi_alpha"].pipeline.intermediate.critic.width  # type: ignore[union-attr]
    for place, (i, j) in enumerate(SKIP.items()):
        xs = tower(found.student_towers, place)(student.hidden[i], student.mask)  # type: ignore[union-attr]
        ys = tower(found.teacher_towers, place)(teacher.hidden[j], teacher.mask)  # type: ignore[union-attr]
        xs = [xs[b, :length].mean(0) for b, length in enumerate(LENGTHS)]
        ys = [ys[b, :length].mean(0) for b, length in enumerate(LENGTHS)]
        f = [[float(x @ y) / math.sqrt(width) for y in ys] for x in xs]
        slope, shift = found.log_baselines.parameters()  # type: ignore[union-attr]
        q = [math.exp(float(y @ slope[place, :, 0] + shift[place])) for y in ys]
        bound = 1.0
        for b in range(BATCH):
            every = sum(math.exp(f[a][b]) for a in range(BATCH)) / BATCH
            bound += (f[b][b] - math.log(alpha * every + (1 - alpha) * q[b])) / BATCH
            others = [math.exp(f[a][b]) for a in range(BATCH) if a != b]
            mean = sum(others) / len(others)
            bound -= sum(e / (alpha * mean + (1 - alpha) * q[b]) for e in others) / len(others) / BATCH
        total -= bound
    return total + soft_labels(student, teacher)


def mixkd(objective: Objective, student: Features, teacher: Features, labels: Tensor) -> float:
    return soft_labels(student, teacher) + 0.5 * hard_labels(student, labels)


def tinybert_augmented(student: Features, teacher: Features, labels: Tensor) -> float:
    """Jiao et al. 2020, section 4.2: the teacher labels what the language model made."""
    return soft_labels(student, teacher)


def mixkd_augmented(student: Features, teacher: Features, labels: Tensor) -> float:
    """Liang et al. 2021: mixed labels, and the teacher's answer to the mixed example."""
    return soft_labels(student, teacher) + 0.5 * mixed_labels(student, labels)


AUGMENTED = {"tinybert": tinybert_augmented, "mixkd": mixkd_augmented}
"""Preset → what its paper adds on augmented examples."""
PUBLISHED: dict[str, Callable[[Objective, Features, Features, Tensor], float]] = {
    "vanilla_kd": vanilla_kd,
    "tinybert": tinybert,
    "minilm": minilm,
    "bert_emd": bert_emd,
    "bert_pkd": bert_pkd,
    "mi_alpha": mi_alpha,
    "mixkd": mixkd,
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_published_loss(name: str, batch: tuple[Features, Features, Tensor]) -> None:
    student, teacher, labels = batch
    objective = objective_of(name)
    with torch.no_grad():
        total = sum(objective(student, teacher, labels, {"examples": BATCH}).values())
        published = PUBLISHED[name](objective, student, teacher, labels)
    assert float(total) == pytest.approx(published, rel=1e-9)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_published_loss_on_augmented_examples(
    name: str, augmented: tuple[Features, Features, Tensor]
) -> None:
    student, teacher, labels = augmented
    assert (name in AUGMENTED) == bool(PRESETS[name].pipeline.augmentation.operators)
    with torch.no_grad():
        found = objective_of(name)(student, teacher, labels, {"examples": BATCH}, augmented=True)
    if name not in AUGMENTED:
        assert found == {}
        return
    assert float(sum(found.values())) == pytest.approx(AUGMENTED[name](student, teacher, labels), rel=1e-9)


@pytest.mark.parametrize("name", PRESETS)
def test_its_example_file_is_the_same_pipeline(name: str) -> None:
    """But for the training, which an example may tune."""
    preset = PRESETS[name].pipeline
    example = load_pipeline(ROOT / "examples" / f"{name}.toml")
    assert example.model_copy(update={"training": preset.training}) == preset


def test_every_preset_names_its_source() -> None:
    assert all("arXiv:" in preset.source and preset.description for preset in PRESETS.values())
