"""One pipeline: its components, and what goes together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

from pydantic import Field, model_validator

from engine.base.errors import Problem
from engine.base.options import StartKind
from engine.base.spec import Spec
from engine.data.task import KINDS, Task, TaskKind
from engine.pipeline import components
from engine.pipeline.augmentation import Augmentation, AugmentationSpec, OperatorSpec
from engine.pipeline.schedule import ConstantWeights, ScheduleSpec, is_constant, schedule_problems
from engine.pipeline.team import AutoSKD, SingleTeacher, StochasticTeam, TeamSpec
from engine.pipeline.training import WITH_AUGMENTATION, Training, Weights


class Pipeline(Spec):
    """One complete distillation pipeline.

    Example:
        >>> from engine.pipeline import EMD, MIAlpha
        >>> pipeline = Pipeline(intermediate=MIAlpha(alpha=0.5), mapping=EMD())
        >>> pipeline.prediction_for("regression").kind, pipeline.mapping.kind
        ('mse', 'emd')
        >>> Pipeline.model_validate(pipeline.model_dump()) == pipeline
        True
    """

    RENAMED: ClassVar[dict[str, str]] = {"teacher": "the table is called team now, and its key policy kind"}
    """Keys of older files → what became of them."""

    intermediate: components.IntermediateSpec = components.NoIntermediate()
    mapping: components.MappingSpec = components.NoMapping()
    prediction: components.PredictionSpec | None = None  # `None`: ce, and for regression, which has no classes, mse
    augmentation: AugmentationSpec = Augmentation()
    team: TeamSpec = SingleTeacher()
    weights: Weights = Weights()
    schedule: Annotated[ScheduleSpec, Field(exclude_if=is_constant)] = ConstantWeights()
    """Of the weights. One that changes nothing is not written, so that the keys of past runs stay theirs."""
    training: Training = Training()

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """As the papers do: a mapping, and the weights that go with augmentation, where none are given."""
        if not isinstance(data, dict):
            return data
        if components.names_layers(data.get("mapping")):
            data = {**data, "mapping": {"kind": "manual", "pairs": data["mapping"]}}
        given, weights = data.get("intermediate"), data.get("weights", {})
        kind = given.get("kind") if isinstance(given, dict) else getattr(given, "kind", None)
        if "mapping" not in data and isinstance(kind, str):
            data = {**data, "mapping": {"kind": components.usual_mapping(kind)}}
        if isinstance(weights, Weights):
            weights = {name: getattr(weights, name) for name in weights.model_fields_set}
        if _augments(data.get("augmentation")) and isinstance(weights, Mapping):
            data = {**data, "weights": {**WITH_AUGMENTATION, **weights}}
        return data

    @model_validator(mode="after")
    def _parts_fit(self) -> Pipeline:
        problems, weights = [], self.weights
        intermediate, mapping = self.intermediate.kind, self.mapping.kind
        if (intermediate == "none") != (mapping == "none"):
            got = f"got intermediate {intermediate} and mapping {mapping}"
            problems.append(f"intermediate and mapping go together: both `none`, or neither; {got}")
        if intermediate in ("attention", "relations"):
            beside = getattr(self.intermediate, "hidden", 0.0) > 0  # hidden states, which embeddings have
            lacking = {*components.embedding_pairs(self.mapping)} - {(0, 0) for _ in range(beside)}
            named = ", ".join(f"{layer} → {other}" for layer, other in sorted(lacking))
            problems += [f"{intermediate} compares attention, and embeddings have none: {named}"] if lacking else []
        if weights.prediction + weights.hard_label + weights.intermediate * (intermediate != "none") == 0:
            problems.append("all weights are 0: nothing would be learned")
        if self.team.kind != "single" and weights.prediction == 0:
            problems.append("a team teaches by its predictions, and their weight is 0")
        if intermediate == "mi_alpha" and self.training.batch_size < 2:
            problems.append("mi_alpha contrasts examples within a batch: batch_size must be at least 2")
        augmented = weights.augmented_prediction + weights.augmented_hard_label
        if self.augmentation.operators and augmented == 0:
            problems.append("nothing is learned from augmented examples: both of their weights are 0")
        if augmented and not self.augmentation.operators:
            problems.append("augmented examples have a weight, and augmentation has no operators")
        problems += schedule_problems(self.schedule, weights, intermediate != "none")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def key(self) -> str:
        """Short hash of what the pipeline computes; the same for equal pipelines everywhere."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:12]

    def prediction_for(self, kind: TaskKind) -> components.Prediction:
        """The prediction loss on a task of this kind."""
        return self.prediction or (components.PredictionMSE() if kind == "regression" else components.PredictionCE())

    def for_task(
        self, task: Task, start: StartKind = "pretrained", positions: int | None = None, width: int | None = None
    ) -> Pipeline:
        """The same with every `None` resolved for this task and this kind of student; as `Training.for_task`."""
        training = self.training.for_task(task, start, positions, width)
        return self.model_copy(update={"prediction": self.prediction_for(task.kind), "training": training})

    def problems_with(self, kind: TaskKind, student: StartKind = "pretrained") -> list[Problem]:
        """Why this pipeline cannot run on a task of this kind, with a student that starts so; empty when it can."""
        problems = []
        chosen = self.prediction_for(kind).kind
        if kind == "regression" and chosen != "mse":
            what = "needs classes, and a regression task has none"
            problems.append(Problem("prediction.kind", what, f"'{chosen}'", ("mse",), "mse"))
        if kind not in ("question_answering", "classification") and self.training.window_overlap is not None:
            what = f"only question answering and classification have windows, and this task is {kind}"
            overlap = str(self.training.window_overlap)
            problems.append(Problem("training.window_overlap", what, overlap, (), "Remove the key."))
        if kind != "classification" and self.training.calibrate:
            what = f"only probabilities of classes are calibrated, and this task is {kind.replace('_', ' ')}"
            problems.append(Problem("training.calibrate", what, "true", ("false",)))
        problems += self._regression_problems() if kind == "regression" else []
        problems += self._student_problems(student)
        if KINDS[kind].at_words and "back_translation" in self.augmentation.kinds:
            what = f"a translation keeps no {KINDS[kind].at_words}"
            others = ("contextual", "random", "mixup")
            problems.append(Problem("augmentation.operators", what, "'back_translation'", others))
        return problems

    def _student_problems(self, student: StartKind) -> list[Problem]:
        """What a student that is no transformer cannot learn."""
        problems, intermediate = [], self.intermediate.kind if self.weights.intermediate > 0 else "none"
        if student == "static" and intermediate != "none":
            what = "a static student has no layers that could learn from the teacher's"
            problems.append(Problem("intermediate.kind", what, f"'{intermediate}'", ("none",)))
        if student == "lstm" and intermediate == "pkd":
            what = "it compares first tokens, and what a Bi-LSTM knows of a text does not stand at its first token"
            problems.append(Problem("intermediate.kind", what, "'pkd'", ("mse", "cos", "mi_alpha")))
        if student == "lstm" and intermediate in ("attention", "relations"):
            what = "it compares attention, and a Bi-LSTM has none"
            problems.append(Problem("intermediate.kind", what, f"'{intermediate}'", ("mse", "cos", "mi_alpha")))
        if student == "lstm" and intermediate != "none" and components.embedding_pairs(self.mapping):
            what = "a Bi-LSTM's embeddings are of another width than its states; they learn nothing of the teacher's"
            problems.append(Problem("mapping.kind", what, f"'{self.mapping.kind}'", ("skip", "last", "emd")))
        return problems

    def _regression_problems(self) -> list[Problem]:
        """Why this team cannot teach targets, which are no distributions."""
        problems, team = [], self.team
        if isinstance(team, AutoSKD) and team.update == "sswo":
            what = "θ scales the logits of the drawn member, and a scaled target is another target"
            problems.append(Problem("team.update", what, "'sswo'", ("cr",)))
        if isinstance(team, AutoSKD) and team.validation == "prediction":
            what = "θ stands inside the target, and the squared error is least where the target says least"
            remedy = "It needs second_order = true."
            problems.append(Problem("team.validation", what, "'prediction'", ("hard_label",), remedy))
        if isinstance(team, AutoSKD | StochasticTeam) and team.scaled:
            problems.append(Problem("team.scaled", "a scaled target is another target", "true", ("false",)))
        return problems


def _augments(given: Any) -> bool:
    """Whether what stands under `augmentation` holds operators, in any of its forms."""
    given = given.get("operators") if isinstance(given, Mapping) else getattr(given, "operators", given)
    return bool(given) and given != "none"


def component_specs() -> dict[str, tuple[type[Spec], ...]]:
    """Every component with the specs of its kinds, in their order."""
    unions: dict[str, Any] = {
        "intermediate": components.IntermediateSpec,
        "mapping": components.MappingSpec,
        "prediction": components.PredictionSpec,
        "augmentation": OperatorSpec,
        "team": TeamSpec,
        "schedule": ScheduleSpec,
        "critic": components.CriticSpec,
    }
    return {name: get_args(get_args(union)[0]) for name, union in unions.items()}


def component_kinds() -> dict[str, list[str]]:
    """Every component with the names of its kinds, read off the specs.

    Example:
        >>> component_kinds()["mapping"]
        ['none', 'skip', 'last', 'emd', 'uniform', 'top', 'manual']
    """
    return {name: [spec.model_fields["kind"].default for spec in specs] for name, specs in component_specs().items()}
