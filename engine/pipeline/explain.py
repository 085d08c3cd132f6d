"""What pydantic found wrong, said in the house's one form.

Decided here: the words for each kind of mistake. Places are the keys that a person wrote, so the tags that
pydantic puts between them (`intermediate.mse.alpha`) are left out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from engine.base.errors import MOST_SHOWN, InputError, Problem, counted, shown, unknown_name

TAG = "kind"  # the key that says which kind of a component a table is

NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""A number as YAML 1.2, JSON and people write it."""

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], data: Mapping[str, Any]) -> Model:
    """`data` as a `model`, or every problem at once.

    Raises:
        InputError: A key is unknown, a value has another type or is out of range, or parts do not fit.

    Example:
        >>> from engine.pipeline import Training
        >>> checked(Training, {"epochs": 0})
        Traceback (most recent call last):
        engine.base.errors.InputError: epochs: out of range; got 0; allowed: at least 1
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = problems_from(error, model)
        pruned, whole = _without(data, error)
        if whole:  # checks across keys only run once each key is right: run them on what is left
            try:
                model.model_validate(pruned)
            except ValidationError as second:
                places = {problem.place for problem in problems}
                problems += [found for found in problems_from(second, model) if found.place not in places]
        raise InputError(problems) from None


def problems_from(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """The findings of `error` about a `model`, in order; of very many the first ones, and how many more there are."""
    found = error.errors(include_url=False)
    located = [(_locate(model, details["loc"]), details) for details in found[:MOST_SHOWN]]
    problems = [problem for spot, details in located for problem in _problems(spot, details)]
    more = len(found) - len(located)
    return [*problems, Problem("", f"and {counted(more, 'problem')} more")] if more > 0 else problems


@dataclass(frozen=True)
class _Spot:
    """A place in a nested model: its keys, the model that owns the last one, and that model's other kinds."""

    keys: tuple[str, ...]
    root: type[BaseModel]
    owner: type[BaseModel] | None
    siblings: tuple[type[BaseModel], ...]
    field: FieldInfo | None

    @property
    def place(self) -> str:
        return ".".join(self.keys)


def _locate(model: type[BaseModel], loc: tuple[int | str, ...]) -> _Spot:
    spot = _Spot((), model, model, (), None)
    here: tuple[type[BaseModel], ...] = (model,)
    for part in loc:
        tagged = [kind for kind in here if _tag(kind) == part] if len(here) > 1 else []
        if tagged:
            spot, here = replace(spot, owner=tagged[0], siblings=here, field=None), (tagged[0],)
            continue
        siblings = spot.siblings if spot.owner in here else ()
        owner = here[0] if len(here) == 1 else None
        field = owner.model_fields.get(str(part)) if owner else spot.field
        spot = _Spot((*spot.keys, str(part)), model, owner, siblings, field)
        if isinstance(part, str):
            here = _models(field.annotation) if field else ()
    return spot


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that may stand where `annotation` does."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for argument in get_args(annotation) for model in _models(argument))


def _tag(model: type[BaseModel]) -> str | None:
    """The registered name of a component's kind."""
    return model.model_fields[TAG].default if TAG in model.model_fields else None


def _without(data: Mapping[str, Any], error: ValidationError) -> tuple[dict[str, Any], bool]:
    """`data` without the keys that `error` is about; False when a whole component would go."""
    pruned = _copy(data)
    for details in error.errors(include_url=False):
        if "tag" in details["type"] or details["type"].startswith(("model_", "value_", "invalid_")):
            return pruned, False
        table: Any = pruned
        *path, last = details["loc"]
        section = not path and isinstance(details["input"], Mapping)
        if last == TAG or section:
            return pruned, False
        for part in path:
            if isinstance(table, dict) and part in table:  # a union's tag is not a key of the data
                table = table[part]
        if isinstance(table, dict):
            table.pop(last, None)
    return pruned, True


def _copy(data: Any) -> Any:
    return {key: _copy(value) for key, value in data.items()} if isinstance(data, Mapping) else data


_PLAIN = {
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "string_type": "text is needed",
    "bool_type": "true or false is needed",
    "model_type": "a table of keys is needed",
    "list_type": "a list is needed",
    "missing": "is missing",
    "invalid_key": "a key must be text",
}
_BOUNDS = {"ge": "at least {}", "gt": "greater than {}", "le": "at most {}", "lt": "less than {}"}


def _problems(spot: _Spot, details: ErrorDetails) -> list[Problem]:
    kind = details["type"]
    if kind == "value_error":  # raised by a spec itself, one line a problem
        return [Problem(spot.place, line) for line in str(details["ctx"]["error"]).splitlines()]
    if explain := _EXPLAINED.get(kind):
        return [explain(spot, details)]
    value = details["input"]
    what = _PLAIN.get(kind, details["msg"][:1].lower() + details["msg"][1:])
    number = isinstance(value, str) and NUMBER.fullmatch(value) and kind in _PLAIN and kind.startswith(("int", "float"))
    return [Problem(spot.place, what, shown(value), (), "Write it without quotes." if number else "")]


def _unknown_key(spot: _Spot, details: ErrorDetails) -> Problem:
    key, owner = spot.keys[-1], spot.owner
    assert owner is not None
    owners = [str(_tag(kind)) for kind in spot.siblings if key in kind.model_fields]
    if owners:
        what = f"{_tag(owner)} has no {key}; it belongs to {' and '.join(owners)}"
        place = ".".join((*spot.keys[:-1], TAG))
        names = " or ".join(owners)
        return Problem(spot.place, what, shown(details["input"]), (), f"Remove it, or set {place} to {names}.")
    if renamed := getattr(owner, "RENAMED", {}).get(key):
        return Problem(spot.place, renamed, shown(details["input"]))
    problem = unknown_name(spot.place, "unknown key", key, owner.model_fields)
    elsewhere = [path for path in _paths(spot.root) if path.rsplit(".", 1)[-1] == key]
    if problem.suggestion or not elsewhere:
        return problem
    return replace(problem, suggestion=min(elsewhere, key=lambda path: path.count(".")))


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key that a model knows."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for part in _models(field.annotation):
            yield from _paths(part, f"{prefix}{name}.")


def _no_such_kind(spot: _Spot, details: ErrorDetails) -> Problem:
    place = f"{spot.place}.{TAG}"
    names = tuple(str(_tag(kind)) for kind in _models(spot.field.annotation)) if spot.field else ()
    if details["type"] == "union_tag_not_found":
        return Problem(place, f"this table has no {TAG}", "", names)
    return unknown_name(place, f"unknown {TAG}", details["ctx"]["tag"], names)


def _not_a_table(spot: _Spot, details: ErrorDetails) -> Problem:
    hint = f"The name goes to {spot.place}.{TAG}." if isinstance(details["input"], str) else ""
    return Problem(spot.place, f"a table with the key {TAG} is needed", shown(details["input"]), (), hint)


def _not_allowed(spot: _Spot, details: ErrorDetails) -> Problem:
    names = tuple(str(name) for name in _literals(spot.field.annotation)) if spot.field else ()
    what, given = f"unknown {TAG if spot.keys[-1] == TAG else 'value'}", details["input"]
    if isinstance(given, str):
        return unknown_name(spot.place, what, given, names)
    return Problem(spot.place, what, shown(given), names)


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(name for argument in get_args(annotation) for name in _literals(argument))


def _out_of_range(spot: _Spot, details: ErrorDetails) -> Problem:
    limits = _limits(spot.field) if spot.field else {}
    if {"ge", "le"} <= limits.keys():
        allowed = f"{limits['ge']:g} to {limits['le']:g}"
    else:
        allowed = " and ".join(_BOUNDS[name].format(f"{limit:g}") for name, limit in limits.items())
    return Problem(spot.place, "out of range", shown(details["input"]), (allowed,) if allowed else ())


def _limits(field: FieldInfo) -> dict[str, float]:
    """The bounds of a number, also where `Annotated` stands inside an optional type."""
    marks = [*field.metadata]
    for argument in get_args(field.annotation):
        for mark in getattr(argument, "__metadata__", ()):
            marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return {name: getattr(mark, name) for name in _BOUNDS for mark in marks if hasattr(mark, name)}


_EXPLAINED: dict[str, Callable[[_Spot, ErrorDetails], Problem]] = {
    "extra_forbidden": _unknown_key,
    **dict.fromkeys(("union_tag_invalid", "union_tag_not_found"), _no_such_kind),
    "model_attributes_type": _not_a_table,
    "literal_error": _not_allowed,
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), _out_of_range),
}
