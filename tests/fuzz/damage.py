"""Damaged folders: a file of a model, of what is kept, or of a run, that is not as it was written.

Everything is made once (`whole`), copied for a case, damaged in one place, and read by a command. What the command then
says or leaves must be what it says or leaves of the undamaged folder, unless it refuses. Left out are changes that make
another valid model or record of it, which docs/security.md says are not noticed: numbers and words in the JSON files of
a model, values of its weights, a record that is not sealed, and what was planted in the cache with checksums that fit.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from autodistill.recommend.race import distilled
from cli import app
from engine.base.cache import SUMS, keeping
from tests.fuzz.cases import DATA, HARD, Case, mutated
from tests.records import lasting

TEACHER = ("--teacher", "scratch:layers=1,hidden=16,heads=1", "--teacher-epochs", "1")
USUAL = ("rows.csv", *TEACHER, "--precision", "float32", "--device", "cpu")
RUN = ("run", *USUAL, "--pipeline", "vanilla_kd", "--set", "training.epochs=2", "--out")
LAYERS = ("--student", "layers:1")
RECOMMEND = ("recommend", *USUAL, "--predictor", "mean_rank", "--out")
EVALUATE = ("evaluate", "--predictor", "mean_rank", "--meta-data")
TEXTS = ("--json", "--text", "the soup was warm 3", "--text", "cold soup", "--text", "?")
OTHER = ("--teacher-seed", "1")
"""Another teacher, which is not kept, but whose vocabulary is."""
SHARDS = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
PASSED = {"teacher_examples"}
"""Key of the record of a run that follows from what was kept."""
WRITING = ("run", "recommend", "evaluate")
"""Commands that may change files; of the others none may."""
TIMED = {"costs", "picks", "pareto", "students"}
"""Keys of a recommendation that follow from measured times."""


@dataclass(frozen=True)
class Reading:
    """A command and the files that it reads; one of `share` cases in the sum of all.

    Args:
        writes: The folder that it writes, and which is compared; else what it says is.
        alike: Whether it must answer as without damage, or refuse; else sizes and what is gone show in its answer.
        said: Whether damage must be said.
    """

    share: int
    arguments: tuple[str, ...]
    files: tuple[str, ...]
    writes: str = ""
    alike: bool = True
    said: bool = False


READINGS = (
    Reading(40, ("predict", "out", *TEXTS), ("out/*.json", "out/model.safetensors")),
    Reading(20, ("predict", "sharded", *TEXTS), ("sharded/*.json", "sharded/*.safetensors")),
    Reading(8, ("show", "out", "--json"), ("out/*",)),
    Reading(8, ("show", "paused", "--json"), ("paused/result.json",), alike=False),
    Reading(6, ("show", "under_way", "--json"), ("under_way/.work/*.json",)),
    Reading(6, ("show", "under_way", "--json"), ("under_way/.work/student/*",), alike=False),
    Reading(3, ("doctor",), ("cache/*/*", "cache/*/*/*"), alike=False),
    Reading(8, (*EVALUATE, "store"), ("store.db",)),
    Reading(8, (*EVALUATE, "out"), ("out/result.json",)),
    Reading(6, (*RUN, "out", *LAYERS), ("out/result.json",), "out"),
    Reading(4, (*RUN, "under_way", *LAYERS), ("under_way/.work/*", "under_way/.work/student/*"), "under_way"),
    Reading(3, (*RUN, "again", *LAYERS), ("cache/teachers/*/*", "cache/signals/*/*"), "again", said=True),
    Reading(1, (*RUN, "again", *LAYERS, *OTHER), ("cache/vocabularies/*/*",), "again", said=True),
    Reading(1, (*RUN, "again", *LAYERS), ("store.db",), "again"),
    Reading(6, ("run", "rows.csv", "--out", "picks", "--pick", "1"), ("picks/*.json", "picks/*/result.json"), "picks"),
    Reading(1, (*RECOMMEND, "again", *LAYERS), ("cache/fits/*/*", "cache/costs/*/*", "cache/gold_scores/*/*"), "again"),
)


@dataclass(frozen=True)
class Whole:
    """The undamaged folder, and what each command says and leaves there."""

    folder: Path
    left: dict[Reading, Any] = field(default_factory=dict)


def invoked(home: Path, arguments: Sequence[str]) -> Result:
    """A command in a folder, with cache and store of its own; the folder must be the one that is worked in."""
    own = {"AUTODISTILLER_CACHE": str(home / "cache"), "AUTODISTILLER_STORE": str(home / "store.db")}
    return CliRunner(env={"COLUMNS": "200", **own}).invoke(app, list(arguments))


def whole(folder: Path) -> Whole:
    """Trains what the cases damage, in seconds."""
    (folder / "rows.csv").write_bytes(DATA["rows.csv"]())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _made(folder, *RUN, "out", *LAYERS)
        _made(folder, *RECOMMEND, "picks", *LAYERS)
        _made(folder, "run", "rows.csv", "--out", "picks", "--pick", "1")
        patch.setattr("autodistill.commands.run.distilled", partial(distilled, until_epoch=1))
        _made(folder, *RUN, "paused", *LAYERS)
    shutil.copytree(folder / "paused", folder / "under_way", ignore=lambda *_: {"result.json"})
    shutil.copytree(folder / "out", folder / "sharded")
    _shard(folder / "sharded")
    return Whole(folder)


def _made(folder: Path, *arguments: str) -> None:
    answer = invoked(folder, arguments)
    assert answer.exit_code == 0, answer.output


def _shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = {name: SHARDS[number % 2] for number, name in enumerate(sorted(weights))}
    for shard in SHARDS:
        save_file({name: weights[name] for name in names if names[name] == shard}, folder / shard, {"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def damaged(chance: random.Random, home: Path, undamaged: Whole) -> Case:
    """A command that reads what is damaged in one place."""
    reading = chance.choices(READINGS, [each.share for each in READINGS])[0]
    if reading not in undamaged.left:
        undamaged.left[reading] = _undamaged(undamaged, reading, home)
    _copied(undamaged, reading, home)
    files = sorted(path for pattern in reading.files for path in home.glob(pattern) if path.suffix != ".lock")
    path, manner = chance.choice(files), chance.choice(list(MANNERS))
    before = _content(path)
    MANNERS[manner](chance, path)
    planted = (path.parent / SUMS).is_file() and chance.random() < 0.3
    if planted:
        _plant(path.parent)
    name = str(path.relative_to(home))
    said = reading.said and not planted and path.exists() and _content(path) != before
    valid = not reading.alike or planted or (manner in SAME_KIND and path.suffix in (".json", ".md", ".db"))

    def fault(answer: Result) -> str:
        lines = sum("damaged" in line for line in answer.stderr.splitlines())
        if lines > 1 or (said and not lines):
            return f"{name} ({manner}): damage is said {lines} times"
        if not valid and _left(reading, home, answer) != undamaged.left[reading]:
            return f"{name} ({manner}): another answer"
        return ""

    return Case(reading.arguments, fault, writes=reading.arguments[0] in WRITING)


def _undamaged(undamaged: Whole, reading: Reading, home: Path) -> Any:
    """What the command leaves of the undamaged folder."""
    place = home / "undamaged"
    place.mkdir()
    _copied(undamaged, reading, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        left = _left(reading, place, invoked(place, reading.arguments))
    shutil.rmtree(place)
    return left


def _copied(undamaged: Whole, reading: Reading, home: Path) -> None:
    """What the command needs."""
    roots = {file.split("/")[0] for file in reading.files} | {"rows.csv"} | ({"cache"} if reading.writes else set())
    for root in roots:
        copy = shutil.copytree if (undamaged.folder / root).is_dir() else shutil.copy
        copy(undamaged.folder / root, home / root)


def _left(reading: Reading, home: Path, answer: Result) -> Any:
    """What a command says; or, where it writes a folder, the weights and the records that it leaves there."""
    if not reading.writes:
        return answer.exit_code, answer.stdout
    files = sorted(path for path in (home / reading.writes).rglob("*") if path.is_file() and ".work" not in path.parts)
    return {str(path.relative_to(home)): _lasting(path) for path in files}


def _lasting(path: Path) -> Any:
    if path.name == "result.json":
        return {name: value for name, value in lasting(json.loads(path.read_text())).items() if name not in PASSED}
    if path.name == "recommendation.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMED | {"checksum"}}
    return path.read_bytes() if path.suffix == ".safetensors" else None


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


# --- manners -----------------------------------------------------------------------------------------


def _change(chance: random.Random, path: Path) -> None:
    """Bytes; of weights those of their names, shapes and places."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little") if path.suffix == ".safetensors" else len(data)
    path.write_bytes(mutated(chance, data[:end]) + data[end:])


def _retype(chance: random.Random, path: Path) -> None:
    """A value of a JSON file becomes one of another type, or is gone."""
    try:
        record = json.loads(path.read_text())
    except ValueError:
        record = None
    if not record or not isinstance(record, dict | list):
        _change(chance, path)
        return
    places = _places(record)
    holder, key = chance.choice(places[:20] if chance.random() < 0.5 else places)
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = chance.choice((None, True, -1, 0, 1e308, 2**70, "", "\ud800", [], {}, [[]], {"a": []}))
    path.write_text(json.dumps(record))


def _places(table: Any) -> list[tuple[Any, Any]]:
    """Every key with what it is in, those of a table before what they hold."""
    keys = list(table) if isinstance(table, dict) else list(range(len(table)))
    held = [table[key] for key in keys if isinstance(table[key], dict | list)]
    return [(table, key) for key in keys] + [place for each in held for place in _places(each)]


def _become(chance: random.Random, path: Path) -> None:
    others = [file for file in path.parent.iterdir() if file.is_file()]
    path.write_bytes(chance.choice([chance.choice(others).read_bytes(), *(hard.encode() for hard in HARD)]))


def _link(chance: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(chance.choice((path, path.parent / "nowhere", Path("/dev/zero"))))


def _pipe(chance: random.Random, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(chance: random.Random, path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_text("")


def _on_files(manner: Callable[[random.Random, Path], object]) -> Callable[[random.Random, Path], None]:
    """Of a folder, one of its files; where it holds none, nothing is changed."""

    def act(chance: random.Random, path: Path) -> None:
        files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        if files:
            manner(chance, chance.choice(files))

    return act


MANNERS: dict[str, Callable[[random.Random, Path], None]] = {
    "changed": _on_files(_change),
    "retyped": _on_files(_retype),
    "other content": _on_files(_become),
    "cut": _on_files(lambda chance, path: os.truncate(path, chance.randrange(path.stat().st_size + 1))),
    "gone": _on_files(lambda chance, path: path.unlink()),
    "a link": _on_files(_link),
    "a pipe": _on_files(_pipe),
    "a folder": _on_files(_folder),
}
SAME_KIND = ("changed", "retyped", "other content")
"""Manners that may leave a valid file."""


def _plant(folder: Path) -> None:
    """Writes checksums that fit what lies in a folder of the cache."""
    with keeping(folder) as aside:
        for file in folder.iterdir():
            if file.is_file() and not file.is_symlink() and file.name != SUMS:
                shutil.copy(file, aside)
