"""Which student layer learns from which teacher layer, and the projections between their widths.

Decided here: any mapping is one matrix m (student layers × teacher layers). `skip` and `last` know it beforehand,
`emd` solves for it on every batch; the objective adds up m_ij · loss_ij over the pairs that may be non-zero, whatever
the mapping. Layers are counted from 1; layer 0 is the embeddings' output, which `uniform` and `manual` map.
"""

from collections.abc import Callable, Sequence
from typing import Any

import ot
import torch
from torch import Tensor, distributed, nn

from engine.base.errors import Problem, counted
from engine.pipeline.components import EMD, Manual, MappingSpec, Top

SMALLEST_WEIGHT = 1e-6  # no layer loses all its weight: at zero, its cost per weight would be 0 / 0 for ever after


def check_layers(mapping: MappingSpec, student_layers: int, teacher_layers: int) -> list[Problem]:
    """Why these layers cannot be mapped; empty when they can.

    Example:
        >>> from engine.pipeline.components import Skip
        >>> print(*check_layers(Skip(), 6, 4))
        mapping.kind: 'skip' needs a student that is not deeper than its teacher; got 6 student layers and \
4 teacher layers. Take fewer student layers, or the mapping 'emd', which takes any depths.
    """
    if mapping.kind == "none":
        return []
    problems = [
        Problem("mapping.kind", f"'{mapping.kind}' needs transformer layers, and the {side} has none", str(count))
        for side, count in (("student", student_layers), ("teacher", teacher_layers))
        if count < 1
    ]
    if problems:
        return problems
    if isinstance(mapping, Manual):
        return _check_pairs(mapping, student_layers, teacher_layers)
    if isinstance(mapping, Top) and (mapping.teacher_layer or 1) > teacher_layers:
        what, allowed = f"the teacher has only {counted(teacher_layers, 'layer')}", (f"1 to {teacher_layers}",)
        problems.append(Problem("mapping.teacher_layer", what, str(mapping.teacher_layer), allowed))
    if mapping.kind in ("skip", "last", "uniform") and student_layers > teacher_layers:
        what = f"'{mapping.kind}' needs a student that is not deeper than its teacher"
        got = f"{counted(student_layers, 'student layer')} and {counted(teacher_layers, 'teacher layer')}"
        remedy = "Take fewer student layers, or the mapping 'emd', which takes any depths."
        problems.append(Problem("mapping.kind", what, got, (), remedy))
    return problems


def _check_pairs(mapping: Manual, student_layers: int, teacher_layers: int) -> list[Problem]:
    """Layers of a manual mapping that are not there."""
    problems = []
    for who, depth, named in zip(
        ("student", "teacher"), (student_layers, teacher_layers), zip(*mapping.pairs, strict=True), strict=True
    ):
        beyond = ", ".join(str(layer) for layer in sorted({*named}) if layer > depth)
        what = f"the {who} has only {counted(depth, 'layer')}"
        problems += [Problem("mapping.pairs", what, beyond, (f"0 to {depth}",))] if beyond else []
    return problems


class FixedMapping(nn.Module):
    """A mapping that is known beforehand: every pair student layer → teacher layer has one weight, which is 1 where
    none are given."""

    def __init__(self, pairs: Sequence[tuple[int, int]], weights: Sequence[float] | None = None):
        super().__init__()
        self.pairs, self.weights = tuple(pairs), weights

    def forward(self, costs: Tensor) -> Tensor:
        """From costs (pairs,), each pair's mean loss, through which no gradient flows: weights (pairs,)."""
        return torch.ones_like(costs) if self.weights is None else costs.new_tensor(self.weights)


class TransportMapping(nn.Module):
    """All pairs, weighted by optimal transport between the layers (BERT-EMD, Li et al. 2020).

    Equation: W = argmin_W Σ_ij w_ij d_ij with the layer weights as marginals; m = W / Σ_ij w_ij. After each batch the
    layer weights follow the cost attention, on both sides alike: c_i = Σ_j w_ij d_ij / weight_i,
    weight ← softmax((Σ c / c_i) / temperature). A layer that is cheap to transfer gains weight. They start uniform.

    The attention needs positive costs, and mi_alpha's are minus a bound. Where a cost is negative all are shifted so
    that the dearest pair costs twice the cheapest. W itself does not change, because its marginals are fixed. The
    layer weights are buffers, so a checkpoint holds them. Over several processes the costs are averaged first, so
    that all solve the same problem.
    """

    student_weights: Tensor
    teacher_weights: Tensor

    def __init__(self, spec: EMD, student_layers: int, teacher_layers: int):
        super().__init__()
        self.spec = spec
        self.shape = (student_layers, teacher_layers)
        self.pairs = tuple((i, j) for i in range(1, student_layers + 1) for j in range(1, teacher_layers + 1))
        for name, count in (("student_weights", student_layers), ("teacher_weights", teacher_layers)):
            self.register_buffer(name, torch.full((count,), 1 / count, dtype=torch.float64))

    def forward(self, costs: Tensor) -> Tensor:
        """Costs (pairs,), without gradient → weights (pairs,) that sum to 1; in training the layer weights step too."""
        cost = _mean_over_processes(costs.detach().double()).cpu().reshape(self.shape)
        student, teacher = self.student_weights.cpu(), self.teacher_weights.cpu()
        if not cost.isfinite().all():  # the solver would not end; the guard against NaN names the term
            return torch.outer(student, teacher).flatten().to(costs)
        # A shift changes no flow, and the solver calls problems with negative costs infeasible.
        flow = torch.from_numpy(ot.emd(student.numpy(), teacher.numpy(), (cost - cost.min()).numpy()))
        if self.training and self.spec.layer_weights == "cost_attention":
            least, most = cost.min(), cost.max()
            transferred = flow * (cost if least >= 0 else cost - least + (most - least))
            self.student_weights.copy_(self._attend(transferred.sum(1) / student))
            self.teacher_weights.copy_(self._attend(transferred.sum(0) / teacher))
        return (flow / flow.sum()).flatten().to(costs)

    def _attend(self, layer_cost: Tensor) -> Tensor:
        """The layer weights that follow from each layer's cost per weight."""
        total = layer_cost.sum()
        share = layer_cost / total if total > 0 else torch.full_like(layer_cost, 1 / len(layer_cost))
        weights = torch.softmax(1 / share.clamp(min=SMALLEST_WEIGHT) / self.spec.temperature, 0)
        weights = weights.clamp(min=SMALLEST_WEIGHT)
        return weights / weights.sum()


def _mean_over_processes(values: Tensor) -> Tensor:
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


LayerMapping = FixedMapping | TransportMapping


def skip(_: Any, student_layers: int, teacher_layers: int) -> LayerMapping:
    """Student layer i → teacher layer i · ⌊teacher layers / student layers⌋ (Distiller, section 3.3.1).

    Example:
        >>> skip(None, 3, 12).pairs
        ((1, 4), (2, 8), (3, 12))
    """
    stride = teacher_layers // student_layers
    return FixedMapping([(i, i * stride) for i in range(1, student_layers + 1)])


def last(_: Any, student_layers: int, teacher_layers: int) -> LayerMapping:
    """Student layer i → teacher layer i + teacher layers − student layers (Distiller, section 3.3.1).

    Example:
        >>> last(None, 3, 12).pairs
        ((1, 10), (2, 11), (3, 12))
    """
    return FixedMapping([(i, i + teacher_layers - student_layers) for i in range(1, student_layers + 1)])


def uniform(_: Any, student_layers: int, teacher_layers: int) -> LayerMapping:
    """As `skip`, and embeddings → embeddings (TinyBERT, Jiao et al. 2020, section 4.1).

    Example:
        >>> uniform(None, 3, 12).pairs
        ((0, 0), (1, 4), (2, 8), (3, 12))
    """
    return FixedMapping([(0, 0), *skip(None, student_layers, teacher_layers).pairs])


def top(spec: Top, student_layers: int, teacher_layers: int) -> LayerMapping:
    """The student's last layer → the teacher's last one, or the one that is named (MiniLMv2, Wang et al. 2021).

    Example:
        >>> top(Top(), 3, 12).pairs, top(Top(teacher_layer=21), 6, 24).pairs
        (((3, 12),), ((6, 21),))
    """
    return FixedMapping([(student_layers, spec.teacher_layer or teacher_layers)])


MAPPING: dict[str, Callable[..., LayerMapping]] = {
    "none": lambda *_: FixedMapping(()),
    "skip": skip,
    "last": last,
    "emd": TransportMapping,
    "uniform": uniform,
    "top": top,
    "manual": lambda spec, *_: FixedMapping(spec.pairs, spec.weights),
}
"""Kind → spec, student layers, teacher layers → module(costs) → weights of the pairs."""


class Projections(nn.Module):
    """A linear map D → E per student layer; none if D = E, unless `always`. Trained with the student, no part of it."""

    def __init__(self, layers: Sequence[int], student_width: int, teacher_width: int, always: bool = False):
        super().__init__()
        self.layers = tuple(layers)
        needed = always or student_width != teacher_width
        self.maps = nn.ModuleDict({str(i): nn.Linear(student_width, teacher_width) for i in layers if needed})

    def forward(self, layer: int, hidden: Tensor) -> Tensor:
        """`hidden` (B, N, D) of a student layer in the teacher's width (B, N, E)."""
        if str(layer) not in self.maps:
            return hidden
        projection: Any = self.maps[str(layer)]
        return projection(hidden.to(projection.weight.dtype))
