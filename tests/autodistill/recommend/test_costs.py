"""What has to be measured before a recommendation."""

from __future__ import annotations

from autodistill.recommend.costs import cost_parts
from autodistill.recommend.space import pipelines


def test_what_costs_the_same_is_measured_once() -> None:
    """Each objective with its mapping; each augmentation policy alone, beside which nothing else matters."""
    space = list(pipelines("classification"))
    parts = {(p.intermediate.kind, str(getattr(p.intermediate, "critic", "")), p.mapping.kind) for p in space}
    stacks = {tuple(p.augmentation.kinds) for p in space} - {()}
    measured = {part.key for pipeline in space for part in cost_parts(pipeline)}
    assert len(measured) == len(parts) + len(stacks)
