"""The pipeline: everything that decides what a distillation run computes, as frozen data.

Decided here: names, ranges and defaults. Defaults are the paper's (Distiller, He et al. 2021,
appendix G) unless a comment says otherwise. Not here: devices, workers, folders, seeds, teacher
and student, which are arguments of a run. This module imports neither torch nor transformers.

Each component is a tagged spec (`kind`, for the teacher `policy`), so a knob that belongs to
another kind is an unknown key and therefore an error.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.data.task import Task, TaskKind
from engine.errors import Problem

Weight = Annotated[float, Field(ge=0)]


class Spec(BaseModel):
    """Base of all specs: frozen, strict types, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# --- critics of mi_alpha ---------------------------------------------------------------------


class TransformerCritic(Spec):
    """Two transformer layers on a narrow projection (Distiller, appendix G)."""

    kind: Literal["transformer"] = "transformer"
    width: Annotated[int, Field(ge=8)] = 128  # ours: narrow, so that all critics cost less than the student
    layers: Annotated[int, Field(ge=1)] = 2
    feed_forward: Annotated[int, Field(ge=8)] = 256
    heads: Annotated[int, Field(ge=1)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4  # ours: critics start from scratch

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TransformerCritic:
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads; got width {self.width} and heads {self.heads}"
            )
        return self


class MLPCritic(Spec):
    """A perceptron on each vector (Distiller, table 4: four layers, 512 wide)."""

    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=8)] = 128
    layers: Annotated[int, Field(ge=1)] = 4
    feed_forward: Annotated[int, Field(ge=8)] = 512
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4


CriticSpec = Annotated[TransformerCritic | MLPCritic, Field(discriminator="kind")]

# --- intermediate objectives -----------------------------------------------------------------


class NoIntermediate(Spec):
    """Nothing is learned from hidden states."""

    kind: Literal["none"] = "none"


class _Hidden(Spec):
    """Shared by the objectives that compare hidden states in the teacher's width."""

    projection: Literal["auto", "always"] = "auto"
    """`auto`: a learned projection only where widths differ; `always`: also where they agree."""


class MSE(_Hidden):
    """Mean squared difference over all tokens (TinyBERT)."""

    kind: Literal["mse"] = "mse"


class L2(_Hidden):
    """Euclidean distance per token, mean over tokens."""

    kind: Literal["l2"] = "l2"


class Cos(_Hidden):
    """One minus the cosine, mean over tokens."""

    kind: Literal["cos"] = "cos"


class PKD(_Hidden):
    """Squared distance of the normalised first tokens (BERT-PKD, Sun et al. 2019)."""

    kind: Literal["pkd"] = "pkd"


class CE(_Hidden):
    """Cross-entropy of the two softmax distributions over the width, mean over tokens."""

    kind: Literal["ce"] = "ce"


class MIAlpha(Spec):
    """Minus the interpolated bound on mutual information (Poole et al. 2019; Distiller, eq. 4)."""

    kind: Literal["mi_alpha"] = "mi_alpha"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    level: Literal["auto", "sequence", "token"] = "auto"
    """`auto`: token for tagging and question answering, otherwise sequence."""
    max_tokens: Annotated[int, Field(ge=2)] = 256  # at token level, drawn from each batch
    critic: CriticSpec = TransformerCritic()


IntermediateSpec = Annotated[
    NoIntermediate | CE | MSE | L2 | Cos | PKD | MIAlpha, Field(discriminator="kind")
]

# --- layer mappings, student layer → teacher layer -------------------------------------------


class NoMapping(Spec):
    """No layers are mapped; goes with intermediate kind `none`."""

    kind: Literal["none"] = "none"


class Skip(Spec):
    """Student layer i → teacher layer i·⌊teacher layers / student layers⌋."""

    kind: Literal["skip"] = "skip"


class Last(Spec):
    """The student's layers → the teacher's last ones."""

    kind: Literal["last"] = "last"


class EMD(Spec):
    """All pairs, weighted by optimal transport (BERT-EMD, Li et al. 2020)."""

    kind: Literal["emd"] = "emd"
    layer_weights: Literal["cost_attention", "uniform"] = "cost_attention"
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of cost_attention; larger: closer to uniform


MappingSpec = Annotated[NoMapping | Skip | Last | EMD, Field(discriminator="kind")]

# --- prediction losses -----------------------------------------------------------------------


class PredictionCE(Spec):
    """Cross-entropy against the teacher's distribution (Hinton et al. 2015), times temperature²."""

    kind: Literal["ce"] = "ce"
    temperature: Annotated[float, Field(gt=0)] = 1.0


class PredictionMSE(Spec):
    """Mean squared difference of the logits."""

    kind: Literal["mse"] = "mse"


class PredictionKL(Spec):
    """Kullback-Leibler divergence from the teacher's distribution, times temperature²."""

    kind: Literal["kl"] = "kl"
    temperature: Annotated[float, Field(gt=0)] = 1.0


PredictionSpec = Annotated[PredictionCE | PredictionMSE | PredictionKL, Field(discriminator="kind")]

# --- augmentation and teacher policies -------------------------------------------------------


class NoAugmentation(Spec):
    """Only the original examples."""

    kind: Literal["none"] = "none"


AugmentationSpec = NoAugmentation


class SingleTeacher(Spec):
    """One teacher."""

    policy: Literal["single"] = "single"


TeacherSpec = SingleTeacher

# --- the rest of equation 1, and the training --------------------------------------------------


class Weights(Spec):
    """Weights of the terms of equation 1."""

    intermediate: Weight = 1.0
    prediction: Weight = 1.0  # β1
    hard_label: Weight = 0.0  # γ1: 0 without augmentation


PAPER_EPOCHS: dict[str, int] = {"question_answering": 30, "cola": 50}
PAPER_MAX_LENGTH: dict[str, int] = {"question_answering": 320, "pair": 128, "single": 64, "tagging": 128}


class Training(Spec):
    """How long and how fast the student trains. `None` means: the paper's value for the task."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """20; 30 for question answering; 50 for CoLA."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Examples per forward pass, over all processes together."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Forward passes per optimiser step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """5e-5; for a student from scratch 5e-4 (ours)."""
    weight_decay: Weight = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in which the learning rate rises; afterwards it falls linearly to zero."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Annotated[int, Field(ge=8)] | None = None
    """Tokens. 64 for single texts, 128 for pairs and tagging (the latter ours), 320 in question answering."""
    window_overlap: Annotated[int, Field(ge=0)] | None = None
    """Question answering only: tokens that neighbouring windows share; 128 (Devlin et al. 2019)."""

    def for_task(self, task: Task, from_scratch: bool = False) -> Training:
        """The same with the value for this task, and this kind of student, in place of every `None`."""
        shape = task.kind if task.token_level else "pair" if task.pair else "single"
        defaults: dict[str, Any] = {
            "epochs": PAPER_EPOCHS.get(task.kind) or PAPER_EPOCHS.get(task.name.rsplit("/")[-1], 20),
            "learning_rate": 5e-4 if from_scratch else 5e-5,
            "max_length": PAPER_MAX_LENGTH[shape],
            "window_overlap": 128 if task.kind == "question_answering" else None,
        }
        return self.model_copy(update={k: v for k, v in defaults.items() if getattr(self, k) is None})


class Pipeline(Spec):
    """One complete distillation pipeline.

    Example:
        >>> pipeline = Pipeline(intermediate=MIAlpha(alpha=0.5), mapping=EMD())
        >>> pipeline.prediction_for("regression").kind, pipeline.mapping.kind
        ('mse', 'emd')
        >>> Pipeline.model_validate(pipeline.model_dump()) == pipeline
        True
    """

    intermediate: IntermediateSpec = NoIntermediate()
    mapping: MappingSpec = NoMapping()
    prediction: PredictionSpec | None = None
    """`None`: ce, and for regression, which has no classes, mse."""
    augmentation: AugmentationSpec = NoAugmentation()
    teacher: TeacherSpec = SingleTeacher()
    weights: Weights = Weights()
    training: Training = Training()

    @model_validator(mode="before")
    @classmethod
    def _default_mapping(cls, data: Any) -> Any:
        """An intermediate objective without a mapping maps by `skip`, as the paper does."""
        if not isinstance(data, dict) or "mapping" in data or "intermediate" not in data:
            return data
        given = data["intermediate"]
        kind = given.get("kind") if isinstance(given, dict) else getattr(given, "kind", None)
        return data if kind in (None, "none") else {**data, "mapping": Skip()}

    @model_validator(mode="after")
    def _parts_fit(self) -> Pipeline:
        problems, weights = [], self.weights
        intermediate, mapping = self.intermediate.kind, self.mapping.kind
        if (intermediate == "none") != (mapping == "none"):
            problems.append(
                "intermediate and mapping go together: both `none`, or neither; "
                f"got intermediate {intermediate} and mapping {mapping}"
            )
        if weights.prediction + weights.hard_label + weights.intermediate * (intermediate != "none") == 0:
            problems.append("all weights are 0: nothing would be learned")
        if intermediate == "mi_alpha" and self.training.batch_size < 2:
            problems.append("mi_alpha contrasts examples within a batch: batch_size must be at least 2")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def key(self) -> str:
        """Short hash of what the pipeline computes; the same for equal pipelines everywhere."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:12]

    def prediction_for(self, kind: TaskKind) -> PredictionCE | PredictionMSE | PredictionKL:
        """The prediction loss on a task of this kind."""
        return self.prediction or (PredictionMSE() if kind == "regression" else PredictionCE())

    def for_task(self, task: Task, from_scratch: bool = False) -> Pipeline:
        """The same with every `None` resolved for this task and this kind of student."""
        training = self.training.for_task(task, from_scratch)
        return self.model_copy(update={"prediction": self.prediction_for(task.kind), "training": training})

    def problems_with(self, kind: TaskKind) -> list[Problem]:
        """Why this pipeline cannot run on a task of this kind; empty when it can."""
        problems = []
        chosen = self.prediction_for(kind).kind
        if kind == "regression" and chosen != "mse":
            what = "needs classes, and a regression task has none"
            problems.append(Problem("prediction.kind", what, f"'{chosen}'", ("mse",), "mse"))
        if kind != "question_answering" and self.training.window_overlap is not None:
            what = f"only question answering has windows, and this task is {kind}"
            overlap = str(self.training.window_overlap)
            problems.append(Problem("training.window_overlap", what, overlap, (), "Remove the key."))
        return problems


def component_specs() -> dict[str, tuple[type[Spec], ...]]:
    """Every component with the specs of its kinds, in their order."""
    unions: dict[str, Any] = {
        "intermediate": IntermediateSpec,
        "mapping": MappingSpec,
        "prediction": PredictionSpec,
        "augmentation": AugmentationSpec,
        "teacher": TeacherSpec,
        "critic": CriticSpec,
    }
    return {
        name: get_args(get_args(union)[0]) if get_args(union) else (union,) for name, union in unions.items()
    }


def components() -> dict[str, list[str]]:
    """Every component with the names of its kinds, read off the specs.

    Example:
        >>> components()["mapping"]
        ['none', 'skip', 'last', 'emd']
    """
    tag = {"teacher": "policy"}
    return {
        name: [spec.model_fields[tag.get(name, "kind")].default for spec in specs]
        for name, specs in component_specs().items()
    }
