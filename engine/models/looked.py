"""Models that were looked at for a run that is planned, or for many.

Decided here: a model is read from its folder once for all runs that are planned together; what was wrong with one is
found again for each. Nothing outlives the planning, so that a folder that changes is read anew by the next.
"""

from __future__ import annotations

from engine.data.task import TaskKind
from engine.models.load import load_tokenizer
from engine.models.names import ModelName
from engine.models.own import tells_apart
from engine.models.question import Question
from engine.models.start import Start, check_weights, start_of


class Looked:
    """Each model as it was looked at."""

    def __init__(self) -> None:
        self._starts: dict[tuple[object, ...], Start] = {}
        self._checked: set[tuple[object, ...]] = set()
        self._tell_apart: dict[str, bool] = {}

    def start_of(
        self, name: ModelName, role: str, whole: Start | None = None, question: Question | None = None
    ) -> Start:
        """What a model starts as (`engine.models.start.start_of`)."""
        key = name, role, whole and (whole.role, whole.identity), question
        if key not in self._starts:
            self._starts[key] = start_of(name, role, whole, question)
        return self._starts[key]

    def check_weights(self, start: Start, kind: TaskKind) -> None:
        """Compares the weights of a model with its configuration (`engine.models.start.check_weights`)."""
        key = start.name, start.role, start.identity, kind
        if key not in self._checked:
            check_weights(start, kind)
            self._checked.add(key)

    def tells_apart(self, name: str, role: str) -> bool:
        """Whether a model's tokenizer puts something between two texts."""
        if name not in self._tell_apart:
            self._tell_apart[name] = tells_apart(load_tokenizer(name, role))
        return self._tell_apart[name]
