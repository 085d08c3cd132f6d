"""The search space: every pipeline that can be built from the components that are there.

Decided here: which values a knob is tried at, and what is not tried. Kinds are read off the specs, so a new kind of a
component is in the space as soon as it has a spec, with its defaults; a row in `GRID` gives it more values.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from pydantic import ValidationError

from engine import pipeline as spec
from engine.base.options import StartKind
from engine.base.spec import Spec
from engine.data.task import TaskKind
from engine.pipeline.pipeline import Pipeline, component_specs
from engine.pipeline.training import Training

GRID: dict[type[Spec], dict[str, tuple[Any, ...]]] = {
    spec.MIAlpha: {"alpha": (0.0, 0.1, 0.5, 0.9, 1.0), "critic": (spec.TransformerCritic(), spec.MLPCritic())},
    spec.PredictionCE: {"temperature": (1.0, 2.0, 4.0)},
    spec.Weights: {"hard_label": (0.0, 1.0)},
    spec.AutoSKD: {"candidates": (5, 25), "update": ("sswo", "cr")},
}
"""Spec → knob → values that are tried; other knobs keep their defaults."""

UNTRIED = (spec.PredictionKL, spec.Attention, spec.Relations, spec.Uniform, spec.Top, spec.Manual)
"""kl has the gradient of ce. Of the others no past run is known, and a study under way keeps the space it began with;
`manual` has no default that would suit a model."""

STACKS = ("mixup", "random", "contextual", "random+mixup", "contextual+random+mixup")
"""Augmentation policies that are tried, beside none: the operators that need no download, one by one, and the
stacks of the paper's study (Distiller, tables 2 and 3) or a part of them."""

COMPONENTS = ("intermediate", "mapping", "prediction")
"""Components that are combined with each other, and with one of: weights, an augmentation, a team."""


def pipelines(
    kind: TaskKind,
    training: Training = Training(),  # noqa: B008 - frozen
    members: Sequence[str] = (),
    student: StartKind = "pretrained",
) -> Iterator[Pipeline]:
    """Every pipeline of the space that can run on a task of this kind.

    Args:
        training: The same for all of them.
        members: Further teachers; without any, nothing is taught by a team.
        student: How it starts; one that is no transformer cannot learn everything.

    Example:
        >>> {pipeline.prediction_for("regression").kind for pipeline in pipelines("regression")}
        {'mse'}
    """
    specs = component_specs()
    tried = {name: [each for each in specs[name] if each not in UNTRIED] for name in COMPONENTS}
    options = [[variant for each in tried[name] for variant in _variants(each)] for name in COMPONENTS]
    weights = [("weights", variant) for variant in _variants(spec.Weights)]
    teams = [each for each in specs["team"] if members and "members" in each.model_fields]
    taught = [("team", variant) for each in teams for variant in _variants(each, members=tuple(members))]
    for name, value in (*weights, *(("augmentation", stack) for stack in STACKS), *taught):
        for parts in product(*options):
            chosen: dict[str, Any] = {**dict(zip(COMPONENTS, parts, strict=True)), name: value}
            try:
                pipeline = Pipeline(**chosen, training=training)
            except ValidationError:
                continue  # parts that do not go together
            if not pipeline.problems_with(kind, student) and not _uneven(pipeline):
                yield pipeline


def _uneven(pipeline: Pipeline) -> bool:
    """Whether θ is judged by another loss than the one by which the students learn."""
    return isinstance(pipeline.team, spec.AutoSKD) and not isinstance(pipeline.prediction, spec.PredictionCE)


def _variants(kind: type[Spec], **fixed: Any) -> Iterator[Any]:
    """A spec with every combination of its values in `GRID`."""
    grid = GRID.get(kind, {})
    for values in product(*grid.values()):
        yield kind(**fixed, **dict(zip(grid, values, strict=True)))
