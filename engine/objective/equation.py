"""Equation 1: the named, weighted terms that a student minimises.

    L = Σ_ij m_ij · l_inter(student_i, teacher_j) + β1 · l_pred(x) + γ1 · l_hard(x)
        + β2 · l_pred(x̂) + γ2 · l_hard(ŷ, x̂),   x̂ an augmented example                (Distiller, eq. 1)

Decided here: which terms a pipeline has, what each needs of the teacher, what ŷ is (the teacher's soft label of a text
that was changed, which may mean something else now; of examples that were only mixed their mixed gold label), how the
teacher's tokens are brought to the student's positions, and that the loss optimised is exactly the sum of the terms
returned. The objective owns what is learned beside the student (projections, critics, the state of the layer mapping),
and detaches the teacher.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.base.errors import InputError
from engine.data.task import KINDS, TaskKind
from engine.models.attention import Part
from engine.models.forward import Features, TeacherNeeds
from engine.objective.attention import AttentionMaps, AttentionRelations, check_heads
from engine.objective.critics import StackedLinear
from engine.objective.hidden import HIDDEN, HiddenObjective
from engine.objective.mapping import MAPPING, check_layers
from engine.objective.mutual_information import MutualInformation
from engine.objective.prediction import (
    PredictionLoss,
    hard_label_term,
    prediction_loss,
    prediction_term,
    relabelled_loss,
)
from engine.objective.reduction import Term, all_count, at_positions, reduce
from engine.pipeline.components import NoIntermediate, NoMapping, PredictionSpec
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.training import Weights

IntermediateObjective = HiddenObjective | MutualInformation | AttentionMaps | AttentionRelations
INTERMEDIATE: dict[str, Callable[..., IntermediateObjective | None]] = {
    "none": lambda *_: None,
    **dict.fromkeys(HIDDEN, lambda *given: HiddenObjective(*given[:-1])),
    "mi_alpha": lambda *given: MutualInformation(*given[:-1]),
    "attention": AttentionMaps,
    "relations": AttentionRelations,
}
"""Kind → spec, task kind, pairs, D, E, heads of both sides → module(student, teacher) → (pairs, B)."""


class Objective(nn.Module):
    """The loss of one pipeline, of which only components and weights are read, on one kind of task.

    `*_layers` are numbers of transformer layers, `student_width` is D, `teacher_width` E, `*_heads` numbers of
    attention heads; `class_weights` are those of gold labels, as in `hard_label_term`. `needs` says what the teacher's
    signals must hold, `student_layers_used` and `student_attention_used` which hidden layers and which parts of
    attention of the student `forward` reads, `aligned` whether it needs an alignment when the tokenizers differ,
    `notes` what of it is otherwise than published.

    Raises:
        InputError: These layers cannot be mapped.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kind: TaskKind,
        *,
        student_layers: int,
        student_width: int,
        teacher_layers: int,
        teacher_width: int,
        student_heads: int = 1,
        teacher_heads: int = 1,
        class_weights: np.ndarray | None = None,
    ):
        super().__init__()
        self.class_weights: Tensor | None
        weights = None if class_weights is None else torch.from_numpy(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)  # they follow from the task
        self.kind, self.weights, self.schedule = kind, pipeline.weights, pipeline.schedule
        self.weighted = pipeline.team.kind == "weighted"
        used = pipeline.weights.intermediate > 0
        spec = pipeline.intermediate if used else NoIntermediate()
        mapping = pipeline.mapping if used else NoMapping()
        layers, widths = (student_layers, teacher_layers), (student_width, teacher_width)
        if problems := check_layers(mapping, *layers) + check_heads(spec, *widths):
            raise InputError(problems)
        self.mapping = MAPPING[mapping.kind](mapping, *layers)
        pairs, heads = self.mapping.pairs, (student_heads, teacher_heads)
        self.intermediate = INTERMEDIATE[spec.kind](spec, kind, pairs, *widths, heads)
        prediction = pipeline.prediction_for(kind)
        self.prediction = prediction_loss(prediction, kind)
        self.squared = getattr(prediction, "temperature", 1.0) ** 2
        self.label_loss = relabelled_loss(kind)
        self.relabelled = bool(set(pipeline.augmentation.kinds) - {"mixup"})
        first_only = self.intermediate is not None and self.intermediate.first_token_only
        self.notes = () if self.intermediate is None else self.intermediate.notes
        reads = () if self.intermediate is None else self.intermediate.reads
        self.student_layers_used, self.student_attention_used = _read({i for i, _ in pairs}, reads)
        teacher_layers_used, of_attention = _read({j for _, j in pairs}, reads)
        self.needs = TeacherNeeds(teacher_layers_used, "first" if first_only else "all", of_attention)
        predicting = self.weights.prediction + self.weights.augmented_prediction
        predicting += self.weights.augmented_hard_label * self.relabelled
        per_token = KINDS[kind].per_token and predicting > 0
        self.aligned = per_token or (self.intermediate is not None and self.intermediate.token_level)

    def forward(
        self,
        student: Features,
        teacher: Features | None,
        labels: Tensor,
        totals: Mapping[str, Tensor | float],
        alignment: Tensor | None = None,
        label_alignment: Tensor | None = None,
        augmented: bool = False,
        labelled: Tensor | None = None,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """Every term of the loss, weighted; what is minimised is exactly their sum.

        Args:
            teacher: Never gets a gradient; may be `None` where only gold labels teach.
            labels: (B,), (B, N), (B, 2) or (B, C); of mixed examples as in `engine.augment.mixup.mixed_targets`. Of
                texts that were changed, only where a label stands is read.
            totals: `examples`, and for tagging `tokens` (positions with a label): their counts over the whole
                optimiser step, all micro-batches and processes.
            alignment: (B, N of the student, N of the teacher); rows sum to 1, or to 0 for a student token without
                partner. `None` where both sides have the same tokens.
            label_alignment: The same for logits, where tagging pairs the first tokens of words; else `alignment`.
            augmented: Whether nothing is learned from hidden states, and the terms have weights of their own.
            labelled: (B,) whether an example has a label; the others count as 0 in the hard-label loss, and are counted
                in `totals`. `None` where all have.
            weights: Those of this step, where a schedule changes them; `None`: the pipeline's.

        Returns:
            Name (`intermediate`, `prediction`, `hard_label`, `augmented_prediction`, …) → scalar, where it has weight.
        """
        terms: dict[str, Term] = {}
        weights = weights or self.weights
        student = replace(student, mask=student.mask.bool())
        prefix = "augmented_" if augmented else ""
        if self.intermediate is not None and weights.intermediate > 0 and not augmented:
            terms["intermediate"] = self._intermediate_term(student, _detached(teacher), alignment)
        said = teacher, labels, alignment if label_alignment is None else label_alignment, labelled
        if getattr(weights, f"{prefix}prediction") > 0:
            terms[f"{prefix}prediction"] = self._prediction_term(self.prediction, student, *said)
        if getattr(weights, f"{prefix}hard_label") > 0:
            by_teacher = augmented and self.relabelled
            terms[f"{prefix}hard_label"] = (
                self._prediction_term(self.label_loss, student, *said)
                if by_teacher
                else hard_label_term(self.kind, student.logits, student.mask, labels, labelled, self.class_weights)
            )
        return {name: getattr(weights, name) * reduce(term, totals) for name, term in terms.items()}

    def _intermediate_term(self, student: Features, teacher: Features, alignment: Tensor | None) -> Term:
        assert self.intermediate is not None
        if self.intermediate.token_level:
            paired = _paired_mask(student.mask, alignment)
            hidden = {j: at_positions(teacher.hidden[j], alignment) for j in self.needs.layers}
            attention = {part: at_positions(each, alignment) for part, each in teacher.attention.items()}
            teacher = Features(teacher.logits, hidden, paired, attention=attention)
            student = replace(student, mask=paired)
        values: Tensor = self.intermediate(student, teacher)  # (pairs, B)
        weights = self.mapping(values.mean(1))
        return all_count((weights.unsqueeze(1) * values).sum(0))

    def _prediction_term(
        self,
        loss: PredictionLoss,
        student: Features,
        teacher: Features | None,
        labels: Tensor,
        alignment: Tensor | None,
        labelled: Tensor | None,
    ) -> Term:
        """Of a team the sum; where trust is weighted each loss, without the factor temperature², over 1 + the
        member's own error (MT-BERT), which is taken as 0 where there is no label."""
        teacher = _detached(teacher)
        if teacher.team is None:
            paired = _paired_mask(student.mask, alignment)
            team = [at_positions(teacher.logits, alignment if student.logits.ndim == 3 else None)]
        else:
            paired = student.mask if teacher.paired is None else student.mask & teacher.paired
            team = list(teacher.team)
        terms = [prediction_term(loss, self.kind, student.logits, logits, paired, labels) for logits in team]
        values = [term.values for term in terms]
        if self.weighted and teacher.team is not None:
            errors = [hard_label_term(self.kind, logits, paired, labels, labelled) for logits in team]
            known = [error.values.masked_fill(~error.mask, 0) for error in errors]
            values = [value / (1 + error) / self.squared for value, error in zip(values, known, strict=True)]
        return replace(terms[0], values=torch.stack(values).sum(0))

    def parameter_groups(self, weight_decay: float, learning_rate: float) -> list[dict[str, Any]]:
        """What an optimiser must train beside the student; empty where there is nothing.

        Weight decay falls on matrices only, not on biases and norms. Both arguments are the student's; projections
        take its learning rate, critics have their own.
        """
        rate = (self.intermediate and self.intermediate.learning_rate) or learning_rate
        matrices = {m.weight for m in self.modules() if isinstance(m, nn.Linear | StackedLinear)}
        others = [p for p in self.parameters() if p not in matrices]
        groups = ([p for p in self.parameters() if p in matrices], weight_decay), (others, 0.0)
        return [{"params": group, "lr": rate, "weight_decay": decay} for group, decay in groups if group]


def hard_label_only(kind: TaskKind, class_weights: np.ndarray | None = None) -> Objective:
    """The objective of plain fine-tuning: a teacher, or a student without one.

    Example:
        >>> logits, mask = torch.zeros(2, 3), torch.ones(2, 5, dtype=torch.bool)
        >>> hard_label_only("classification")(
        ...     Features(logits, {}, mask), None, torch.tensor([0, 2]), {"examples": 2})
        {'hard_label': tensor(1.0986)}
    """
    return outputs_only(kind, None, Weights(prediction=0.0, hard_label=1.0), class_weights)


def outputs_only(
    kind: TaskKind, prediction: PredictionSpec | None, weights: Weights, class_weights: np.ndarray | None = None
) -> Objective:
    """An objective that reads no hidden states, and so needs to know nothing of the models."""
    pipeline = Pipeline(prediction=prediction, weights=weights)
    sizes = dict.fromkeys(("student_layers", "student_width", "teacher_layers", "teacher_width"), 0)
    return Objective(pipeline, kind, class_weights=class_weights, **sizes)


def _detached(teacher: Features | None) -> Features:
    if teacher is None:
        raise ValueError("this pipeline learns from a teacher, and there is none")
    hidden = {layer: states.detach() for layer, states in teacher.hidden.items()}
    attention = {part: vectors.detach() for part, vectors in teacher.attention.items()}
    mask = teacher.mask.bool()
    return replace(teacher, logits=teacher.logits.detach(), hidden=hidden, mask=mask, attention=attention)


def _read(layers: set[int], reads: Collection[str]) -> tuple[tuple[int, ...], tuple[Part, ...]]:
    """Of some mapped layers, those whose hidden states an objective reads, and the parts of attention; embeddings,
    layer 0, have none."""
    hidden = sorted(layers) if "hidden" in reads else []
    return tuple(hidden), tuple((name, layer) for name in reads if name != "hidden" for layer in sorted(layers - {0}))


def _paired_mask(mask: Tensor, alignment: Tensor | None) -> Tensor:
    """(B, N), true where a token of the student is real and has a partner."""
    return mask if alignment is None else mask & (alignment.sum(-1) > 0)
