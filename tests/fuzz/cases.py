"""Bad inputs, made by chance from good ones: pipelines, data files of every kind, and options.

A case is decided by its seed alone. Mutations are of bytes and of words that are known to be hard: depth, digits, half
characters, escapes, names that lead nowhere.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as parquet
import yaml
from click.testing import Result

from autodistill.commands.options import OPTIONS, READING, dashed
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import Format, dump_pipeline, load_pipeline

HARD = (
    *("", " ", *"\0\r\n\t\"',;\\[]{}", "&a ", "*a", "<<: ", "!!int ", "---"),
    *("[" * 3000, "{a: " * 300, '{"a":' * 3000, "9" * 5000, "9" * 400, "-", "1e999", "nan", "-inf", "0x" + "f" * 9000),
    *("\\ud800", "\ufeff", "\u2028", "\x1b[2J", "\x9b31m", "\u202e", "[red]", "é", "好", "👩\u200d🚀"),
    *("true", "null", "010", "2020-99-99", "text", "label", "kind", "names", "features"),
    *("a" * 300, "../..", "/dev/zero", "/proc/self/mem", "~"),
)
ROWS = [
    {"text": f"the soup was {word} {number}", "label": label}
    for number in range(20)
    for word, label in (("warm", "good"), ("cold", "bad"))
]
TAGGED = [{"tokens": ["the", "soup", str(number)], "tags": ["D", "N", "X"]} for number in range(40)]
ASKED = [
    {
        "id": str(n),
        "question": "Who?",
        "context": f"{n}, Ada",
        "answers": {"text": ["Ada"], "answer_start": [len(f"{n}, ")]},
    }
    for n in range(40)
]
METADATA = b'{"info": {"features": {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}}}'


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _delimited(sign: str) -> bytes:
    rows = [{"text": "text", "label": "label"}, *ROWS]
    return "".join(f'"{row["text"]}"{sign}{row["label"]}\n' for row in rows).encode()


def _parquet() -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS).replace_schema_metadata({"huggingface": METADATA}), out)
    return out.getvalue()


DATA: dict[str, Callable[[], bytes]] = {
    "rows.csv": lambda: _delimited(","),
    "rows.tsv": lambda: _delimited("\t"),
    "rows.jsonl": lambda: _lines(ROWS),
    "tagged.jsonl": lambda: _lines(TAGGED),
    "asked.jsonl": lambda: _lines(ASKED),
    "rows.json": lambda: json.dumps(ROWS).encode(),
    "rows.parquet": _parquet,
}
"""Kind of file → a good one."""
COUNTS: dict[str, Callable[[Path], set[int]]] = {
    ".csv": lambda path: {_delimited_rows(path)},
    ".tsv": lambda path: {_delimited_rows(path, "\t"), _delimited_rows(path, "\t", csv.QUOTE_NONE)},
    ".jsonl": lambda path: {sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))},
    ".json": lambda path: {len(json.loads(path.read_text("utf-8-sig")))},
    ".parquet": lambda path: {parquet.read_table(path).num_rows},
}
"""How many rows a reader that checks nothing finds; of tabs, whose quotes may be letters, one of two numbers."""


def _delimited_rows(path: Path, sign: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> int:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return sum(bool(row) for row in csv.reader(file, delimiter=sign, quoting=quoting)) - 1


@dataclass(frozen=True)
class Case:
    """What is typed in a folder that holds what it names."""

    arguments: tuple[str, ...]
    fault: Callable[[Result], str] = lambda _: ""
    """What is wrong with an answer that was given; empty where nothing is."""
    writes: bool = False
    """Whether the command may change files."""


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut, doubled or put in; or something else altogether."""
    if chance.random() < 0.03:
        return chance.choice(HARD).encode()
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        first = chance.randrange(len(data) + 1)
        last = min(len(data), first + chance.choice((0, 1, 2, 8, 100, 1000)))
        hard = chance.choice(HARD).encode()
        what = chance.choice(
            (
                bytes(each ^ 1 << chance.randrange(8) for each in data[first:last]),
                b"",
                data[first:last] * chance.choice((2, 50)),
                hard,
                hard + data[first:last],
                bytes([chance.randrange(256)]),
            )
        )
        data = data[:first] + what + data[last:]
    if chance.random() < 0.05:
        form = chance.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"))
        data = data.decode(errors="replace").encode(form, errors="replace")
    return data


def _pipeline(chance: random.Random, home: Path) -> Case:
    form = chance.choice(get_args(Format))
    text = dump_pipeline(chance.choice([preset.pipeline for preset in PRESETS.values()]), form)
    path, shown = home / f"pipeline.{form}", chance.choice(get_args(Format))
    path.write_bytes(mutated(chance, text.encode()))
    if chance.random() < 0.2:
        return Case(("validate", str(path)))

    def fault(answer: Result) -> str:
        """Every value is the one that a plain reader finds, and what is shown is read back as the same."""
        again = home / f"shown.{shown}"
        again.write_text(answer.stdout, "utf-8")
        pipeline = load_pipeline(path)
        if load_pipeline(again) != pipeline:
            return "what is shown is another pipeline"
        read = PLAIN[form](path.read_text("utf-8-sig"))  # None of an empty file
        return (
            ""
            if _holds(pipeline.model_dump(), {} if read is None else read)
            else "another pipeline than a plain reader finds"
        )

    return Case(("show", str(path), "--format", shown), fault)


PLAIN: dict[str, Callable[[str], Any]] = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}
"""Form of a pipeline → a reader that checks nothing."""


def _holds(ours: Any, theirs: Any) -> bool:
    """Whether all that a table says stands in the other one."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return all(key in ours and _holds(ours[key], value) for key, value in theirs.items())
    if isinstance(theirs, list) and isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(_holds, ours, theirs))
    return bool(ours == theirs)


def _data(chance: random.Random, home: Path) -> Case:
    name = chance.choice(list(DATA))
    path = home / name
    path.write_bytes(mutated(chance, DATA[name]()))

    def fault(answer: Result) -> str:
        """No row is lost or made up, as far as a plain reader can tell."""
        task = json.loads(answer.stdout)["task"]
        rows, found = COUNTS[path.suffix](path), task["train"] + sum(task["held_out"].values())
        return "" if found in rows else f"{found} rows, and a plain reader finds {rows}: {task['notes']}"

    return Case(("validate", "vanilla_kd", "--data", str(path), "--json"), fault)


def _folder(chance: random.Random, home: Path) -> Case:
    name = chance.choice(list(DATA))
    (home / f"train{Path(name).suffix}").write_bytes(DATA[name]())
    second = home / chance.choice(
        ("dataset.json", "validation.csv", "test.jsonl", "train-00001-of-00002.csv", "state.json")
    )
    kind = chance.random()
    if kind < 0.2:
        os.mkfifo(second)
    elif kind < 0.3:
        second.mkdir()
    elif kind < 0.4:
        second.symlink_to(chance.choice((second, home / "nowhere", Path("/dev/zero"), Path("/proc/self/mem"))))
    else:
        good = b'{"task": "classification", "label_names": ["bad", "good"], "metric": "accuracy", "name": "soup"}'
        second.write_bytes(mutated(chance, good if second.suffix == ".json" else DATA["rows.csv"]()))
    return Case(("validate", "vanilla_kd", "--data", str(home)))


def _hard(chance: random.Random) -> str:
    """A value as it may be typed: without zeros, which no command line can hold."""
    return (chance.choice(HARD) + chance.choice(("", "", chance.choice(HARD)))).replace("\0", "\udcff")


def _options(chance: random.Random, home: Path) -> Case:
    (home / "rows.csv").write_bytes(DATA["rows.csv"]())
    names = [dashed(name) for name in READING if OPTIONS[name].type is not bool]
    chosen = [part for _ in range(chance.choice((1, 2))) for part in (chance.choice(names), _hard(chance))]
    data = str(home / "rows.csv") if chance.random() < 0.8 else _hard(chance)
    return Case(("validate", chance.choice(("vanilla_kd", _hard(chance))), "--data", data, *chosen))


def _sets(chance: random.Random, home: Path) -> Case:
    keys = (
        "training.epochs",
        "intermediate",
        "intermediate.kind",
        "team.members",
        "augmentation",
        "weights.prediction",
    )
    sets = (f"{chance.choice((*keys, _hard(chance)))}={_hard(chance)}" for _ in range(chance.choice((1, 3))))
    return Case(("validate", chance.choice(list(PRESETS)), *(part for each in sets for part in ("--set", each))))


TYPED: dict[Callable[[random.Random, Path], Case], int] = {_pipeline: 2, _data: 3, _folder: 1, _options: 1, _sets: 1}
"""What makes a case of something typed or read once → its share."""
