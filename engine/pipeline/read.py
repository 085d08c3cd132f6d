"""A pipeline from what a person wrote: a TOML, YAML or JSON file, a preset's name, and `--set a.b=c`.

Decided here: how a change from the command line meets a file. A changed `kind` starts that component
afresh, because the file's other keys belong to the other kind; keys that are set beside it are kept.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import tomli_w
import yaml
from pydantic import BaseModel

from engine.base.errors import InputError, Problem, nearest, unknown_name
from engine.pipeline.explain import NUMBER, TAG, checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.presets import PRESETS
from engine.pipeline.training import WITH_AUGMENTATION

Format = Literal["toml", "yaml", "json"]


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
    _apply(changes, document)
    try:
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
    """Safe YAML in which `5e-5` is a number, as in YAML 1.2, and a key twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for at, _ in node.value:
            key = self.construct_object(at, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(None, None, f"the key {key} stands twice", at.start_mark)
            seen.append(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^{NUMBER.pattern}$"), list("-+.0123456789"))


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def _json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise json.JSONDecodeError(f"the key {twice} stands twice", text, text.rindex(f'"{twice}"'))
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique)


_PARSERS: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".yaml": _yaml, ".yml": _yaml, ".json": _json}


def _reason(error: Exception, text: str) -> tuple[int, str]:
    """The line at which a format cannot read a text, and why."""
    if isinstance(error, json.JSONDecodeError):
        return error.lineno, error.msg
    if isinstance(error, yaml.MarkedYAMLError):
        return error.problem_mark.line + 1 if error.problem_mark else 1, str(error.problem)
    if found := re.search(r"(.*) \(at line (\d+)", str(error)):
        return int(found[2]), found[1]
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


def _read(path: Path) -> dict[str, Any]:
    parse = _PARSERS.get(path.suffix.lower())
    if not path.is_file():
        raise InputError(_missing(path, named_like_a_file=parse is not None))
    if parse is None:
        raise InputError.of(str(path), "unknown kind of pipeline file", repr(path.suffix), _PARSERS)
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = parse(text)
    except UnicodeDecodeError as error:
        raise InputError.of(str(path), f"not UTF-8 text at byte {error.start}") from None
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        line, why = _reason(error, text)
        what = f"not valid {path.suffix[1:].upper().replace('YML', 'YAML')}: {why}"
        raise InputError.of(f"{path}, line {line}", what) from None
    if not isinstance(document, dict | None):
        raise InputError.of(str(path), "a pipeline is a table of keys", type(document).__name__)
    return document or {}


def _missing(path: Path, named_like_a_file: bool) -> Problem:
    if path.is_dir():
        return Problem(str(path), "a pipeline file is needed", "a folder")
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
        if not equals or not all(key.split(".")):
            problems.append(Problem("--set", "the form is key=value", repr(text), ("prediction.kind=mse",)))
        else:
            changes[key] = _value(value)
    if problems:
        raise InputError(problems)
    return changes


def _value(text: str) -> Any:
    """A TOML value; anything else is a bare word."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return float(text) if NUMBER.fullmatch(text) else text
    return found["value"] if len(found) == 1 else text


def _apply(changes: Mapping[str, Any], document: dict[str, Any]) -> None:
    """Puts `changes` into `document`: kinds first, outer ones before inner ones."""
    problems = []
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
        without = [_kind(document, part) == "none" for part in ("intermediate", "mapping")]
        if without[0] != without[1]:
            document.pop("mapping", None)  # the pipeline brings the one that fits


def _kind(document: Mapping[str, Any], part: str) -> Any:
    table = document.get(part, {})
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
            return [Problem(f"--set {'.'.join(keys)}", f"{place} is a value, not a table", repr(table))]
    if keys[-1] == TAG and len(keys) > 1 and table.get(keys[-1]) != value:
        table.clear()
    table[keys[-1]] = value
    return []
