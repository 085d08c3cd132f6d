"""DATA → a `Source`: whatever the user named, as raw splits.

Decided here: what a name means (`demo`, a path, a benchmark, a hub name, in this order), which files of a folder are
which split, and what splits are called (`dev.tsv` is `validation`, `test_matched.jsonl` is `test_matched`). Neither
pandas nor datasets is imported before an object of theirs appears.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from engine.base.errors import InputError, Problem, nearest, shown, unknown_name
from engine.base.machine import check_memory
from engine.base.mapped import mapped_table
from engine.base.text import HALF, expanded, read_json, read_text, regular_file, unreadable
from engine.data import benchmarks, demo, hub
from engine.data.cells import are_names, column_of
from engine.data.files import SUFFIXES, from_arrow, read_file
from engine.data.rows import Declared, Findings, RawSplit, Source, joined
from engine.data.task import TASK_KINDS

if TYPE_CHECKING:
    import datasets
    import pandas

    Table: TypeAlias = pandas.DataFrame | datasets.Dataset
    Data: TypeAlias = str | Path | Table | datasets.DatasetDict | Mapping[str, Table]

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}
SHARD = r"-\d+-of-\d+$"
DESCRIPTION = "dataset.json"


def read_source(data: Data) -> Source:
    """Everything that `data` holds, unchecked but for what cannot be read.

    Raises:
        InputError: Nothing of this name, nothing readable, or damaged rows, each with its place.
    """
    if isinstance(data, str | Path):
        try:
            return _named(str(data))
        except OSError as error:  # a name that is too long, a folder that may not be read
            raise unreadable(Path(str(error.filename or data)), error) from error
    if isinstance(data, Mapping):
        splits = {split_name(str(name)) or str(name): _table(table, str(name)) for name, table in data.items()}
        return Source("data", splits)
    return Source("data", {"train": _table(data, "train")})


def with_test(source: Source, test: Data) -> Source:
    """The source with other test sets: `test`'s only split, or that which is called so.

    Raises:
        InputError: `test` has several other splits, or cannot be read.
    """
    given = read_source(test)
    names = [split for split in given.splits if split == "test"] or list(given.splits)
    if len(names) != 1:
        raise InputError.of("--test", "several splits, and none is called test", ", ".join(names), ("one file",))
    others = {split: rows for split, rows in source.splits.items() if split.split("_")[0] != "test"}
    return replace(source, splits={**others, "test": given.splits[names[0]]})


def split_name(stem: str) -> str:
    """The normal name of a split, or nothing where `stem` names none.

    Example:
        >>> split_name("dev"), split_name("test-matched"), split_name("train-00000-of-00002")
        ('validation', 'test_matched', 'train')
        >>> split_name("reviews")
        ''
    """
    stem = re.sub(SHARD, "", stem)
    for name, words in SPLIT_NAMES.items():
        if match := re.fullmatch(rf"({'|'.join(words)})(?:[._-](.+))?", stem, flags=re.IGNORECASE):
            return f"{name}_{match[2]}" if match[2] else name
    return ""


def _named(name: str) -> Source:
    if name == "demo":
        return demo.read()
    path = expanded(name)
    if name and path.is_dir():
        return _folder(path)
    if name and path.exists():
        findings = Findings()
        split = read_file(path, findings)
        findings.check()
        return Source(path.resolve().parent.name if split_name(path.stem) else path.stem, {"train": split})
    if benchmark := benchmarks.find(name):
        return benchmarks.read(benchmark)
    parts = _on_hub(name)
    try:
        splits = hub.read(*parts)
    except InputError as error:
        problem = error.problems[0]
        hint = _no_such_path(name, path).suggestion or benchmarks.nearest_name(name) or problem.suggestion
        what = f"no such file or folder; as a hub name: {problem.what}"
        raise InputError(replace(problem, what=what, suggestion=hint)) from error
    named = {split_name(key) or key: split for key, split in splits.items()}
    return Source(parts[0].rsplit("/")[-1], named, hub=name)


def check_there(name: str) -> None:
    """Raises an `InputError` where a name of data is a path that leads nowhere; nothing is read or asked of the hub."""
    if name != "demo" and not (name and expanded(name).exists()) and not benchmarks.find(name):
        _on_hub(name)


def files_of(name: str) -> list[Path] | None:
    """The files that decide what is read of data; None of `demo`, of a hub name, and of what leads nowhere."""
    path = expanded(name)
    if name == "demo" or not name or not path.exists():
        return None
    if not path.is_dir():
        return [path]
    if _is_saved(path):
        return _saved_files(path)
    return [*_data_files(path), *_data_files(path / "data"), *filter(Path.exists, [path / DESCRIPTION])]


def _on_hub(name: str) -> tuple[str, str | None]:
    """The parts of a name on the hub; an `InputError` where it is a path, which leads nowhere."""
    path = expanded(name)
    is_path = path.suffix.lower() in SUFFIXES or (path.parent != Path() and path.parent.is_dir())
    if is_path or not (parts := hub.parts(name)):
        raise InputError(_no_such_path(name, path))
    return parts


def _no_such_path(name: str, path: Path) -> Problem:
    """The problem of a path that leads nowhere, with what lies near it."""
    folder = path.parent
    while not folder.is_dir():
        path, folder = folder, folder.parent
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if close := nearest(path.name, names):
        return Problem(name, "no such file or folder", suggestion=str(folder / close))
    readable = [str(folder / entry) for entry in names if Path(entry).suffix.lower() in SUFFIXES]
    return Problem(name or "DATA", "no such file or folder", allowed=tuple(readable[:8]))


def _folder(folder: Path) -> Source:
    name = folder.resolve().name
    if _is_saved(folder):
        return Source(name, _saved(folder))
    groups = _split_files(folder) or _split_files(folder / "data")
    if not groups:
        files = _data_files(folder)
        if len(files) != 1:
            got = ", ".join(file.name for file in files[:8]) or "no data file"
            allowed = [f"train{suffix}" for suffix in SUFFIXES]
            raise InputError.of(str(folder), "this folder has no file of training rows", got, allowed)
        groups = {"train": files}
    findings = Findings()
    declared, given_name = _description(folder / DESCRIPTION, findings)
    splits = {}
    for split, files in groups.items():
        different = sorted({re.sub(SHARD, "", file.stem) + file.suffix for file in files})
        if len(different) > 1:
            findings.add(Problem(str(folder), f"several files for one split, {split}", ", ".join(different)))
        else:
            splits[split] = joined([read_file(file, findings) for file in files])
    findings.check()
    return Source(given_name or name, splits, declared)


def _data_files(folder: Path) -> list[Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in files if file.suffix.lower() in SUFFIXES and file.name != DESCRIPTION]


def _split_files(folder: Path) -> dict[str, list[Path]]:
    """Data files by split, in the order of their names."""
    groups: dict[str, list[Path]] = {}
    for file in _data_files(folder):
        if split := split_name(file.stem):
            groups.setdefault(split, []).append(file)
    return groups


def _is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote it."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _saved_files(folder: Path) -> list[Path]:
    return sorted([*folder.rglob("*.json"), *folder.rglob("*.arrow")])


def _saved(folder: Path) -> dict[str, RawSplit]:
    """The splits of a folder that `save_to_disk` wrote."""
    import datasets

    check_memory(str(folder), sum(map(regular_file, _saved_files(folder))))
    try:  # in memory, where offsets that lead out of a damaged file are an error; in a mapped file they end the process
        loaded = datasets.load_from_disk(str(folder), keep_in_memory=True)
    except Exception as error:  # whatever stands in its files is taken for what it should be
        reason = shown(str(error).split("\n")[0])
        raise InputError.of(str(folder), "a folder of save_to_disk, but damaged", reason) from error
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    return {split_name(name) or name: _table(rows, f"{folder}/{name}") for name, rows in splits.items()}


def _description(file: Path, findings: Findings) -> tuple[Declared, str]:
    """What a folder's `dataset.json` declares, and its name; unknown keys are comments."""
    if not file.exists():
        return Declared(), ""
    try:
        keys = read_json(read_text(file))
    except json.JSONDecodeError as error:
        raise InputError.of(f"{file}:{error.lineno}", f"not JSON: {error.msg}") from error
    if not isinstance(keys, dict):
        raise InputError.of(str(file), "must hold one JSON object", shown(keys))
    kind, labels, metric = keys.get("task"), keys.get("label_names"), keys.get("metric")
    if kind is not None and kind not in TASK_KINDS:
        findings.add(unknown_name(f"{file}: task", "unknown kind of task", shown(kind).strip("'"), TASK_KINDS))
    if labels is not None and not are_names(labels):
        findings.add(Problem(f"{file}: label_names", "must be a list of different names", shown(labels)))
    if metric is not None and not isinstance(metric, str):
        findings.add(Problem(f"{file}: metric", "must be a name", shown(metric)))
    name = keys.get("name") or ""
    if not isinstance(name, str) or HALF.search(name):
        findings.add(Problem(f"{file}: name", "must be a text", shown(name)))
    findings.check()
    return Declared(str(file), kind, tuple(labels or ()), metric), name


def _table(table: Any, where: str) -> RawSplit:
    pandas, datasets = (sys.modules.get(module) for module in ("pandas", "datasets"))  # no need to import them
    if pandas and isinstance(table, pandas.DataFrame):
        if not table.columns.is_unique:
            raise InputError.of(where, "two columns have the same name", ", ".join(map(str, table.columns)))
        return _checked(pa.table({str(name): _column(table[name]) for name in table.columns}), where)
    if datasets and isinstance(table, datasets.Dataset):
        return _checked(table.with_format("arrow")[:], where)
    allowed = ("a name or path", "pandas.DataFrame", "datasets.Dataset", "datasets.DatasetDict")
    raise InputError.of(where, "cannot read data of this type", type(table).__name__, allowed)


def _checked(table: pa.Table, where: str) -> RawSplit:
    """The rows of a table that may be in memory, which need not stay there once they are checked."""
    split = from_arrow(table, where)
    return replace(split, table=mapped_table(split.table.to_batches(), split.table.schema))


def _column(cells: pandas.Series) -> pa.Array:
    if getattr(cells.dtype, "categories", cells).dtype != object:
        with suppress(pa.ArrowException, UnicodeEncodeError, OverflowError):  # a type of pandas' own, half a character
            return pa.array(cells, from_pandas=True)
    return column_of(cells.astype(object).where(cells.notna(), None).tolist())
