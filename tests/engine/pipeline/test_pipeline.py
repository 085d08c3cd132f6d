"""One pipeline: what goes together, what suits which kind of task, and its key."""

from __future__ import annotations

import pytest

from engine.pipeline import Pipeline
from tests.engine.team.runs import spec


def test_a_team_needs_a_prediction_loss() -> None:
    with pytest.raises(ValueError, match="a team teaches by its predictions, and their weight is 0"):
        Pipeline.model_validate({"team": spec("average"), "weights": {"prediction": 0.0, "hard_label": 1.0}})
