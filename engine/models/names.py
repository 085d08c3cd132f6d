"""How a teacher or student is named: a hub name, a local folder, `scratch:layers=L,hidden=H[,heads=A]`, or (all
but the teacher itself) `layers:K`, which is K layers of the teacher. Nothing is looked up here."""

from dataclasses import dataclass

from engine.base.errors import InputError, Problem, shown
from engine.base.hub import place_of

HEAD_WIDTH = 64  # of an attention head where `scratch:` does not name their number
MOST_DIGITS = 10  # of a number of layers or the like
SCRATCH_FORM = "scratch:layers=4,hidden=256"


@dataclass(frozen=True)
class Scratch:
    """A BERT encoder with random weights."""

    layers: int
    hidden: int
    heads: int


@dataclass(frozen=True)
class LayersOfTeacher:
    """A model that starts as `count` layers of the teacher, skip-spaced."""

    count: int


ModelName = str | Scratch | LayersOfTeacher


def parse_model(text: str, role: str) -> ModelName:
    """What a model's name means.

    Args:
        role: `teacher`, `student` or where else a model is named, for the message.

    Raises:
        InputError: The name has none of the forms.

    Example:
        >>> parse_model("scratch:layers=4,hidden=256", "student")
        Scratch(layers=4, hidden=256, heads=4)
        >>> parse_model("layers:3", "student")
        LayersOfTeacher(count=3)
    """
    place = place_of(role)
    if text.startswith("scratch:"):
        return _parse_scratch(text, place)
    if text.startswith("layers:"):
        count = text.removeprefix("layers:")
        if role == "teacher":
            what = "layers:K is a way to start a student or a further member of a team"
            raise InputError.of(place, what, repr(text), ("a hub name", "a folder"))
        if not _is_count(count):
            raise InputError.of(place, "layers: needs a whole number above 0", shown(text), ("layers:3",))
        return LayersOfTeacher(int(count))
    if not text.strip():
        raise InputError.of(place, "no model was named", "''", ("a hub name", "a folder", SCRATCH_FORM))
    return text


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < MOST_DIGITS and int(text) > 0


def _parse_scratch(text: str, place: str) -> Scratch:
    """`scratch:layers=L,hidden=H[,heads=A]` as data, all its faults at once."""
    pieces = [piece.partition("=") for piece in text.removeprefix("scratch:").split(",") if piece]
    parts = {key: value for key, _, value in pieces}
    known = ("layers", "hidden", "heads")
    problems = [Problem(place, f"scratch has no {key!r}", repr(text), known) for key in parts if key not in known]
    if len(parts) < len(pieces):
        problems.append(Problem(place, "scratch names something twice", repr(text), (SCRATCH_FORM,)))
    problems += [
        Problem(place, f"scratch needs {key}", repr(text), (SCRATCH_FORM,)) for key in known[:2] if key not in parts
    ]
    numbers = {key: int(value) for key, value in parts.items() if _is_count(value)}
    problems += [
        Problem(place, f"{key} must be a whole number above 0", shown(value))
        for key, value in parts.items()
        if key in known and key not in numbers
    ]
    if problems:
        raise InputError(problems)
    hidden = numbers["hidden"]
    heads = numbers.get("heads", max(1, hidden // HEAD_WIDTH))
    if hidden % heads:
        raise InputError.of(place, f"hidden={hidden} is not a multiple of heads={heads}", repr(text), (SCRATCH_FORM,))
    return Scratch(numbers["layers"], hidden, heads)
