"""How a teacher or student is named: a hub name, a local folder, `scratch:layers=L,hidden=H[,heads=A]`, (all but the
teacher itself) `layers:K`, which is K layers of the teacher, or (students alone) `lstm[:hidden=H]` and
`static[:width=W]`, which are no transformers. Nothing is looked up here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, get_args

from engine.base.errors import InputError, Problem, shown
from engine.base.hub import place_of
from engine.base.options import StartKind
from engine.base.text import expanded

HEAD_WIDTH = 64  # of an attention head where `scratch:` does not name their number
MOST_DIGITS = 10  # of a number of layers or the like


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


@dataclass(frozen=True)
class BiLSTM:
    """A bidirectional LSTM with states of `hidden` numbers in each direction."""

    hidden: int = 64


@dataclass(frozen=True)
class Static:
    """The mean of token vectors of `width` numbers, taken from the teacher; None: 256, or as many as it has."""

    width: int | None = None


ModelName = str | Scratch | LayersOfTeacher | BiLSTM | Static


class Form(NamedTuple):
    """A name that says how a model is built: a word and its numbers.

    Args:
        example: For messages.
        build: From the numbers, by their names, with a place and the text for its own message.
        needed: Names of numbers that must be there.
        others: Names of numbers that may be there.
        roles: Where a model may be named so, in words, where not everywhere.
    """

    example: str
    build: Callable[[Mapping[str, int], str, str], ModelName]
    needed: tuple[str, ...]
    others: tuple[str, ...] = ()
    roles: str = ""


def _scratch(numbers: Mapping[str, int], place: str, text: str) -> Scratch:
    hidden = numbers["hidden"]
    heads = numbers.get("heads", max(1, hidden // HEAD_WIDTH))
    if hidden % heads:
        what = f"hidden={hidden} is not a multiple of heads={heads}"
        raise InputError.of(place, what, repr(text), (FORMS["scratch"].example,))
    return Scratch(numbers["layers"], hidden, heads)


FORMS = {
    "scratch": Form("scratch:layers=4,hidden=256", _scratch, ("layers", "hidden"), ("heads",)),
    "lstm": Form("lstm:hidden=64", lambda numbers, *_: BiLSTM(**numbers), (), ("hidden",), "student"),
    "static": Form("static:width=256", lambda numbers, *_: Static(**numbers), (), ("width",), "student"),
}
"""The word that a name begins with → what follows it; `layers:K` is the one form with a bare number."""


def parse_model(text: str, role: str) -> ModelName:
    """What a model's name means.

    Args:
        role: `teacher`, `student` or where else a model is named, for the message.

    Raises:
        InputError: The name has none of the forms, or no model of this role may be named so.

    Example:
        >>> parse_model("scratch:layers=4,hidden=256", "student")
        Scratch(layers=4, hidden=256, heads=4)
        >>> parse_model("layers:3", "student"), parse_model("lstm", "student")
        (LayersOfTeacher(count=3), BiLSTM(hidden=64))
    """
    place = place_of(role)
    word, colon, rest = text.partition(":")
    form = FORMS.get(word)
    if form is not None and (colon or not form.needed):
        if form.roles not in ("", role):
            what = f"{word} is a {form.roles}: it learns from a transformer and teaches none"
            raise InputError.of(place, what, repr(text), ("a hub name", "a folder"))
        return form.build(_numbers(text, rest, word, form, place), place, text)
    if text.startswith("layers:"):
        return _layers(rest, role, text)
    if not text.strip():
        named = ("a hub name", "a folder", *(form.example for form in FORMS.values() if form.roles in ("", role)))
        raise InputError.of(place, "no model was named", "''", named)
    return text


def start_of_name(text: str) -> StartKind:
    """How a model starts, as far as its name says it: a folder's may be anything.

    Example:
        >>> [start_of_name(name) for name in ("bert-base-uncased", "scratch:layers=2,hidden=128", "lstm", "layers:2")]
        ['pretrained', 'scratch', 'lstm', 'pretrained']
    """
    word = text.partition(":")[0]
    kinds: tuple[StartKind, ...] = get_args(StartKind)
    return next((kind for kind in kinds if kind == word), "pretrained")


def _layers(count: str, role: str, text: str) -> LayersOfTeacher:
    place = place_of(role)
    if role == "teacher":
        what = "layers:K is a way to start a student or a further member of a team"
        raise InputError.of(place, what, repr(text), ("a hub name", "a folder"))
    if not _is_count(count):
        raise InputError.of(place, "layers: needs a whole number above 0", shown(count), ("layers:3",))
    return LayersOfTeacher(int(count))


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < MOST_DIGITS and int(text) > 0


def _numbers(text: str, rest: str, word: str, form: Form, place: str) -> dict[str, int]:
    """The numbers behind a form's word, by their names; all their faults at once."""
    pieces = [piece.partition("=") for piece in rest.split(",") if piece]
    parts = {key: value for key, _, value in pieces}
    known = (*form.needed, *form.others)
    problems = [Problem(place, f"{word} has no {key!r}", repr(text), known) for key in parts if key not in known]
    if len(parts) < len(pieces):
        problems.append(Problem(place, f"{word} names something twice", repr(text), (form.example,)))
    problems += [
        Problem(place, f"{word} needs {key}", repr(text), (form.example,)) for key in form.needed if key not in parts
    ]
    numbers = {key: int(value) for key, value in parts.items() if _is_count(value)}
    problems += [
        Problem(place, f"{key} must be a whole number above 0", shown(value))
        for key, value in parts.items()
        if key in known and key not in numbers
    ]
    if problems:
        raise InputError(problems)
    return numbers


def without_path(model: str) -> str:
    """A model's name as others may see it: of a folder without the path to it."""
    return expanded(model).resolve().name if expanded(model).is_dir() else model
