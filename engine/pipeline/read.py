"""A pipeline from what a person wrote: a TOML, YAML or JSON file, a preset's name, and `--set a.b=c`.

Decided here: how a change from the command line meets a file. A changed `kind` starts that component
afresh, because the file's other keys belong to the other kind; keys that are set beside it are kept. A file is
short and shallow, and its YAML has no aliases, so that none takes long to read.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import tomli_w
import yaml
from pydantic import BaseModel

from engine.base.errors import InputError, Problem, nearest, shown, unknown_name
from engine.base.text import HALF, decoded, read_json, regular_file, unreadable
from engine.pipeline.components import names_layers, usual_mapping
from engine.pipeline.explain import NUMBER, TAG, checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.presets import PRESETS
from engine.pipeline.training import WITH_AUGMENTATION

Format = Literal["toml", "yaml", "json"]
LARGEST = 100_000
"""Bytes of a pipeline file; one with every key has 3,000."""
DEEPEST = 20
"""Tables and lists inside each other; a pipeline has 4."""


def load_pipeline(source: str | Path | Mapping[str, Any] | Pipeline, sets: Sequence[str] = ()) -> Pipeline:
    """The pipeline that `source` means, with `sets` applied.

    Args:
        source: A TOML, YAML or JSON file by its suffix, a preset's name, a mapping, or a pipeline.
        sets: Changes such as `prediction.kind=mse`; the value is TOML, or a bare word.

    Raises:
        InputError: With every problem at once.

    Example:
        >>> load_pipeline("tinybert", ["mapping.kind=last", "training.epochs=5"]).mapping.kind
        'last'
    """
    document, where = _document(source)
    changes = _changes(sets)
    try:
        if problems := [*_unusable(document), *_unusable(changes)]:
            raise InputError(problems)
        _apply(changes, document)
        return checked(Pipeline, document)
    except InputError as error:
        raise InputError([_placed(problem, where, changes) for problem in error.problems]) from None


def dump_pipeline(pipeline: Pipeline, format: Format = "toml") -> str:
    """The whole pipeline as text that `load_pipeline` reads back; TOML leaves out what is None.

    Example:
        >>> print(dump_pipeline(Pipeline()).splitlines()[0])
        [intermediate]
    """
    document = _kinds_first(pipeline.model_dump(exclude_none=format == "toml"))
    if format == "toml":
        return tomli_w.dumps(document)
    if format == "yaml":
        return yaml.safe_dump(document, sort_keys=False)
    return json.dumps(document, indent=2) + "\n"


def _kinds_first(value: Any) -> Any:
    """Every table with what it is before its knobs."""
    if not isinstance(value, dict):
        return value
    return {key: _kinds_first(value[key]) for key in sorted(value, key=lambda key: key != TAG)}


def _placed(problem: Problem, where: str, changes: Mapping[str, Any]) -> Problem:
    """The same problem with the file, or the `--set`, that it comes from."""
    place = problem.place
    if place and any(f"{key}.".startswith(f"{place}.") or place.startswith(f"{key}.") for key in changes):
        return replace(problem, place=f"--set {place}")
    return replace(problem, place=": ".join(filter(None, (where, place))) or "pipeline")


class _Loader(yaml.SafeLoader):
    """Safe YAML with the numbers of YAML 1.2 (`5e-5` is one, `010` and `1:30` are none), in which a key that stands
    twice is an error, and so is an alias: a few of them, each in the next, would make millions of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            what = f"aliases are not read here; write out what *{event.anchor} stands for"
            raise yaml.MarkedYAMLError(None, None, what, event.start_mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:  # a value that is none of the type that is named
            what = f"no value of type {node.tag.rsplit(':')[-1]}: {shown(node.value)}"
            raise yaml.MarkedYAMLError(None, None, what, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            seen: set[Any] = set()
            for at, _ in node.value:
                key = self.construct_object(at, deep=True)
                if key in seen:
                    raise yaml.MarkedYAMLError(None, None, f"the key {key} stands twice", at.start_mark)
                seen.add(key)
        return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag.endswith((":null", ":bool"))]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT, _FLOAT = r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", rf"{NUMBER.pattern}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"^(?:{_INT})$"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT})$"), list("-+.0123456789"))


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


_PARSERS: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".yaml": _yaml, ".yml": _yaml, ".json": read_json}


def _reason(error: Exception, text: str) -> tuple[int, str]:
    """The line at which a format cannot read a text, and why."""
    if isinstance(error, json.JSONDecodeError):
        return error.lineno, error.msg
    if isinstance(error, RecursionError):
        return 1, "nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError):
        return error.problem_mark.line + 1 if error.problem_mark else 1, str(error.problem)
    if found := re.search(r"(.*) \(at line (\d+)", str(error)):
        return int(found[2]), found[1]
    if isinstance(error, ValueError) and not isinstance(error, tomllib.TOMLDecodeError):
        return 1, "a number has too many digits"
    in_yaml = isinstance(error, yaml.YAMLError)
    return 1 if in_yaml else text.count("\n") + 1, str(error).splitlines()[0].split(" (at")[0]


def _document(source: str | Path | Mapping[str, Any] | Pipeline) -> tuple[dict[str, Any], str]:
    """The nested plain dict that `source` means, and its name in messages."""
    if isinstance(source, str) and source in PRESETS:
        source = PRESETS[source].pipeline
    if isinstance(source, (Pipeline, Mapping)):
        return _plain(source), ""
    return _read(Path(source)), str(source)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, Mapping) else value


def read_document(path: Path, what: str = "pipeline") -> dict[str, Any]:
    """The tables of a TOML, YAML or JSON file; none where it is empty.

    Args:
        what: The file should be of, for messages.

    Raises:
        InputError: There is no such file, or it is none of these, too large, or too deep.
    """
    document = _read(path, what)
    if problems := [*_unusable(document)]:
        raise InputError([_placed(problem, str(path), {}) for problem in problems])
    return document


def _read(path: Path, what: str = "pipeline") -> dict[str, Any]:
    parse = _PARSERS.get(path.suffix.lower())
    text = _text(path, named_like_a_file=parse is not None or what != "pipeline", what=what)
    if parse is None:
        raise InputError.of(str(path), f"unknown kind of {what} file", repr(path.suffix), _PARSERS)
    try:
        document = parse(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        line, why = _reason(error, text)
        fault = f"not valid {path.suffix[1:].upper().replace('YML', 'YAML')}: {why}"
        raise InputError.of(f"{path}, line {line}", fault) from None
    if document is None and all(line.lstrip()[:1] in ("", "#") for line in text.splitlines()):
        return {}  # an empty file is the default pipeline; one that says null is none
    if not isinstance(document, dict):
        raise InputError.of(str(path), f"a {what} is a table of keys", type(document).__name__)
    return document


def _text(path: Path, named_like_a_file: bool, what: str) -> str:
    try:
        if path.exists() and not path.is_dir():
            if (size := regular_file(path)) > LARGEST:
                raise InputError.of(str(path), f"too large for a {what}", f"{size:,} bytes", (f"at most {LARGEST:,}",))
            return decoded(path, path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    raise InputError(_missing(path, named_like_a_file, what))


def _missing(path: Path, named_like_a_file: bool, what: str) -> Problem:
    if path.is_dir():
        return Problem(str(path), f"a {what} file is needed", "a folder")
    if not named_like_a_file and path.parent == Path():
        return unknown_name("pipeline", "neither a preset nor a file", str(path), PRESETS)
    folder = path.parent
    files = [file.name for file in folder.iterdir() if file.suffix in _PARSERS] if folder.is_dir() else []
    close = nearest(path.name, files)
    return Problem(str(path), "no such file", "", (), str(folder / close) if close else "")


def _changes(sets: Sequence[str]) -> dict[str, Any]:
    """`["a.b=1"]` as `{"a.b": 1}`; a later one of the same key wins."""
    changes, problems = {}, []
    for text in sets:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not all(key.split(".")) or key.count(".") >= DEEPEST:
            problems.append(Problem("--set", "the form is key=value", shown(text), ("prediction.kind=mse",)))
        else:
            changes[key] = _value(value)
    if problems:
        raise InputError(problems)
    return changes


def _value(text: str) -> Any:
    """A TOML value; anything else is a bare word."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # no TOML, more digits than Python turns into a number, or too deep
        return float(text) if NUMBER.fullmatch(text) else text
    return found["value"] if len(found) == 1 else text


def _unusable(value: Any, place: str = "", depth: int = 0) -> Iterator[Problem]:
    """What no pipeline can hold: too many tables inside each other, numbers beyond 64 bits, and half characters."""
    if isinstance(value, Mapping | list | tuple):
        if depth == DEEPEST:
            yield Problem(place, "nested too deeply", "", (f"at most {DEEPEST} tables and lists inside each other",))
            return
        named = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in named:
            where = f"{place}.{key}".removeprefix(".")
            if isinstance(key, str) and HALF.search(key):
                yield Problem(where, "a key with half a character (a lone surrogate)", shown(key))
            yield from _unusable(part, where, depth + 1)
    elif isinstance(value, str) and HALF.search(value):
        yield Problem(place, "has half a character (a lone surrogate)", shown(value))
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield Problem(place, "too large a number", shown(value), ("at most 64 bits",))


def _apply(changes: Mapping[str, Any], document: dict[str, Any]) -> None:
    """Puts `changes` into `document`: kinds first, outer ones before inner ones."""
    problems, before = [], usual_mapping(_kind(document, "intermediate"))
    for key in sorted(changes, key=lambda key: (key.rsplit(".", 1)[-1] != TAG, key.count("."))):
        problems += _put(document, key.split("."), changes[key])
    if problems:
        raise InputError(problems)
    if any(key.split(".")[0] == "augmentation" for key in changes):
        weights = document.get("weights")
        weights = weights if isinstance(weights, dict) else {}
        for name, default in WITH_AUGMENTATION.items():  # the pipeline brings the defaults that fit
            if f"weights.{name}" not in changes and weights.get(name) in (0.0, default):
                weights.pop(name)
    chosen = {"intermediate", "intermediate.kind"} & changes.keys()
    if chosen and not any(key.split(".")[0] == "mapping" for key in changes):
        usual, mapping = usual_mapping(_kind(document, "intermediate")), _kind(document, "mapping")
        if (usual == "none") != (mapping == "none") or mapping == before != usual:
            document.pop("mapping", None)  # the pipeline brings the one that fits


def _kind(document: Mapping[str, Any], part: str) -> Any:
    table = document.get(part, {})
    if names_layers(table):
        return "manual"
    return table.get("kind", "none") if isinstance(table, Mapping) else None


def _put(document: dict[str, Any], keys: list[str], value: Any) -> list[Problem]:
    table = document
    for depth, key in enumerate(keys[:-1], start=1):
        if table.get(key) is None:
            table[key] = {}
        if isinstance(table[key], str) and keys[:depth] == ["augmentation"]:
            table[key] = {"operators": table[key]}
        table = table[key]
        if not isinstance(table, dict):
            place = ".".join(keys[:depth])
            return [Problem(f"--set {'.'.join(keys)}", f"{place} is a value, not a table", shown(table))]
    if keys[-1] == TAG and len(keys) > 1 and table.get(keys[-1]) != value:
        table.clear()
    table[keys[-1]] = value
    return []
