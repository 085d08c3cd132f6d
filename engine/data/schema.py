"""Which column is what, and which kind of task that makes.

Decided here: lists of words with lists of tags are tagging; question, context and answers are question answering;
texts with lists of labels are multi-label (`engine.data.label_sets`); decimal labels are regression, whole numbers
with more than 50 different values, one for every two rows, too, everything else is classification. What the user
names goes before what the source declares, and that before what is inferred; every inference is said in a note. A
label is never guessed: where several columns could hold it, and none is called `label`, the user is asked. Of the
cells that are looked at most decide, so that a few damaged rows do not hide a column: they are named later, one by
one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import InputError, Problem, counted, listed, unknown_name
from engine.data.cells import are_tags, class_names, different, in_words, is_number, looks, numbers, present, values_of
from engine.data.label_sets import SURE, holds_lists, labels_of, separator_of
from engine.data.rows import Declared, Findings, RawSplit
from engine.data.task import KINDS, TASK_KINDS, TaskKind

MANY_LABELS = 50
SAMPLE = 200
MOST_CANDIDATES = 8
"""Columns that could hold the labels, of which a message says what they hold."""

# Well-known names of columns, in their order of preference.
PAIRS = (
    ("text", "text_pair"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"), ("question1", "question2"), ("text1", "text2"), ("text_a", "text_b"), ("s1", "s2"),
    ("question", "sentence"), ("question", "passage"), ("question", "context"), ("question", "answer"),
    ("query", "passage"), ("query", "document"), ("claim", "evidence"),
)  # fmt: skip
TEXTS = (
    "text", "sentence", "review", "content", "document", "comment", "tweet", "utterance", "message", "body", "article",
    "abstract", "description", "question", "query", "headline", "title",
)  # fmt: skip
LABELS = (
    "label", "labels", "target", "class", "category", "gold_label", "intent", "emotion", "sentiment", "polarity",
    "stars", "rating", "score", "similarity_score", "relatedness_score", "y", "output", "answer",
)  # fmt: skip
PLAIN = ("label", "labels", "tags", "answers")
"""Names that leave no doubt that their column holds the labels."""
TAGS = ("tags", "ner_tags", "ner", "labels", "label", "pos_tags", "upos", "pos", "chunk_tags")
IDENTIFIERS = re.compile(r"(.*_)?(id|idx|index|guid|uid|uuid|url|date|time|timestamp|split)", re.IGNORECASE)


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str)


def _are_words(cell: Any) -> bool:
    return isinstance(cell, list) and all(map(_is_text, cell))


def _are_answers(cell: Any) -> bool:
    """Answers as SQuAD has them, on the hub or in its own files."""
    if isinstance(cell, list):
        return all(isinstance(answer, dict) for answer in cell)
    return isinstance(cell, dict) and "text" in cell


FIELDS: Mapping[TaskKind, Mapping[str, tuple[Sequence[str], Callable[[Any], bool], str]]] = {
    "tagging": {
        "tokens": (("tokens", "words"), _are_words, "a list of words"),
        "tags": (TAGS, are_tags, "a list of tags"),
    },
    "question_answering": {
        "question": (("question", "query"), _is_text, "the question"),
        "context": (("context", "passage", "paragraph"), _is_text, "the text to answer from"),
        "answers": (("answers", "answer"), _are_answers, "answers with text and answer_start"),
    },
}
"""Field → names that its column may have, how its cells look, and what they are."""


@dataclass(frozen=True)
class Schema:
    """How raw rows become normal ones.

    Args:
        columns: Field of the normal form → column.
        labels: Class or tag names in the order of their indices.
        fixed_labels: Whether `labels` were declared, so that whole numbers are their indices.
        separator: What joins the labels of a row in a text; empty where nothing does.
    """

    kind: TaskKind
    columns: Mapping[str, str]
    labels: tuple[str, ...] = ()
    fixed_labels: bool = False
    separator: str = ""
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The field that is predicted."""
        return KINDS[self.kind].target


def infer(train: RawSplit, declared: Declared, named: Mapping[str, str], wanted: TaskKind | None) -> Schema:
    """The schema of a source, from its training rows; the user `named` columns by their roles, and `wanted` a kind.

    Raises:
        InputError: A named column or kind does not exist, or something cannot be told.
    """
    _check(train, declared, named, wanted)
    notes: list[str] = []
    kind = wanted or declared.kind or _kind_of_lists(train, named)
    if kind is not None and kind in FIELDS:
        columns = _list_columns(train, kind, declared, named, notes)
    else:
        columns = _text_columns(train, declared, named, notes)
    reason = declared.place if declared.kind and not wanted else ""
    if kind is None:
        kind, reason = _kind_of_labels(train, columns["label"])
    elif not (wanted or reason):
        reason = " and ".join(f"'{column}'" for column in columns.values())
    if reason:
        notes.insert(0, f"task: {kind.replace('_', ' ')} ({reason})")
    used = (*columns.values(), "id" if kind == "question_answering" else "idx")  # the latter numbers GLUE's rows
    unused = [column for column in train.names if column not in used]
    if unused:
        notes.append(f"columns that are not used: {listed(unused)}")
    schema = Schema(kind, columns, notes=tuple(notes))
    return schema if kind in ("regression", "question_answering") else _with_labels(train, schema, declared)


def _check(train: RawSplit, declared: Declared, named: Mapping[str, str], wanted: TaskKind | None) -> None:
    """Raises what can be known before anything is inferred."""
    if not len(train):
        raise InputError.of(train.where, "no rows")
    findings = Findings()
    for column in declared.columns.values():
        if column not in train.names:
            what = f"{declared.place} has a column '{column}', and it is not here"
            findings.add(Problem(train.where, what, listed(train.names)))
    for role, column in named.items():
        if column not in train.names:
            place = f"--{role.replace('_', '-')}"
            findings.add(unknown_name(place, f"{train.where} has no such column", column, train.names))
    if wanted is not None and wanted not in TASK_KINDS:
        findings.add(unknown_name("--task", "unknown kind of task", wanted, TASK_KINDS))
    if wanted == "tagging" and "text_pair" in named:
        findings.add(Problem("--text-pair", "tagging has one list of words", repr(named["text_pair"])))
    columns = list(named.values())
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        findings.add(Problem("--text, --text-pair and --label", "one column has two roles", repr(name)))
    findings.check()


def _kind_of_lists(train: RawSplit, named: Mapping[str, str]) -> TaskKind | None:
    """Tagging or question answering, where columns of the right name and form are there."""
    for kind, fields in FIELDS.items():
        given = {field: named[role] for role, field in KINDS[kind].columns.items() if role in named}
        if all(
            looks(train.table[given[field]], fits) if field in given else _candidates(train, names, fits)
            for field, (names, fits, _) in fields.items()
        ):
            return kind
    return None


def _by_name(columns: Iterable[str]) -> dict[str, str]:
    """Columns by their names in small letters; the first one of a name counts."""
    return {column.lower(): column for column in reversed(list(columns))}


def _candidates(train: RawSplit, names: Iterable[str], fits: Callable[[Any], bool]) -> list[str]:
    by_name = _by_name(train.names)
    return [by_name[name] for name in names if name in by_name and looks(train.table[by_name[name]], fits)]


def _list_columns(
    train: RawSplit, kind: TaskKind, declared: Declared, named: Mapping[str, str], notes: list[str]
) -> dict[str, str]:
    """The columns of tagging and question answering."""
    columns: dict[str, str] = {}
    findings = Findings()
    roles = {field: role for role, field in KINDS[kind].columns.items()}
    for field, (names, fits, what) in FIELDS[kind].items():
        if given := named.get(roles[field]) or declared.columns.get(field):
            columns[field] = given
            continue
        free = [column for column in train.names if column not in (*columns.values(), *named.values())]
        found = [column for column in _candidates(train, names, fits) if column in free]
        found = found or [column for column in free if looks(train.table[column], fits)]
        if found and field == KINDS[kind].target:
            columns[field] = _label(train, found, notes, field)
        elif found:
            columns[field] = _chosen(field, found, notes)
        else:
            advice = f"Name the column with --{roles[field].replace('_', '-')}."
            got = listed(train.names)
            findings.add(Problem(train.where, f"no column for {field} ({what})", got, suggestion=advice))
    findings.check()
    return columns


def _chosen(field: str, columns: Sequence[str], notes: list[str], why: str = "") -> str:
    """The first of the columns; a note names the others too."""
    also = f"; also possible: {listed(columns[1:])}" if len(columns) > 1 else ""
    notes.append(f"{field}: column '{columns[0]}'{why}{also}")
    return columns[0]


def _text_columns(train: RawSplit, declared: Declared, named: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The columns of classification and regression."""
    both = {**declared.columns, **named}
    given: dict[str, str] = {role: both[role] for role in ("text", "text_pair", "label") if role in both}
    if "text" in named and "text_pair" not in named:
        given.pop("text_pair", None)
    label_notes: list[str] = []
    label = given.pop("label", None)
    likely = [label] if label else _labels_by_name(train, given.values())
    taken = (*likely[:1], given.get("text_pair"))
    texts = [
        name
        for name in train.names
        if name not in taken and not IDENTIFIERS.fullmatch(name) and looks(train.table[name], _is_text)
    ]
    columns = given if "text" in given else {**_texts_by_name(train, texts, () if given else PAIRS, notes), **given}
    label = label or _one_label(train, likely, list(columns.values()), label_notes)
    notes += label_notes
    return {**columns, "label": label}


def _texts_by_name(
    train: RawSplit, texts: Sequence[str], pairs: Sequence[tuple[str, str]], notes: list[str]
) -> dict[str, str]:
    """One text column or two: well-known names first, then the column with the longest texts."""
    by_name = _by_name(texts)
    for first, second in pairs:
        if first in by_name and second in by_name:
            found = {"text": by_name[first], "text_pair": by_name[second]}
            notes.append(f"two texts: columns '{found['text']}' and '{found['text_pair']}'")
            return found
    if not texts:
        advice = "Name it with --text."
        raise InputError.of(train.where, "no column holds texts", listed(train.names), suggestion=advice)
    if known := [by_name[name] for name in TEXTS if name in by_name]:
        return {"text": _chosen("text", known, notes)}
    some = {column: filter(_is_text, values_of(train.table[column][:SAMPLE])) for column in texts}
    lengths = {column: np.mean([*map(len, found)] or [0]) for column, found in some.items()}
    longest, *rest = sorted(texts, key=lambda column: -lengths[column])
    fitting = [longest, *(column for column in rest if lengths[column] > 20)]
    return {"text": _chosen("text", fitting, notes, ", the longest one" if rest else "")}


def _labels_by_name(train: RawSplit, taken: Iterable[str]) -> list[str]:
    """The columns that are called like labels, and could be some."""
    by_name = _by_name(column for column in train.names if column not in taken)
    found = [by_name[name] for name in LABELS if name in by_name]
    return [column for column in found if column.lower() in PLAIN or _few_or_numbers(train, column)]


def _one_label(train: RawSplit, likely: Sequence[str], taken: Sequence[str], notes: list[str]) -> str:
    """The column whose name leaves no doubt, or the one that could hold labels; one that never changes is no other."""
    if likely and likely[0].lower() in PLAIN:
        return _label(train, likely, notes)
    columns = [column for column in train.names if column not in taken and not IDENTIFIERS.fullmatch(column)]
    found = [*likely, *(column for column in columns if column not in likely and _few_or_numbers(train, column))]
    found = found or [column for column in columns if holds_lists(train.table[column])]
    found = [column for column in found if len(class_names(different(train.table[column]))) > 1] or found
    if not found:
        advice = "Name it with --label."
        got = f"columns {listed(train.names)}"
        raise InputError.of(train.where, "cannot tell which column holds the labels", got, suggestion=advice)
    return _label(train, found, notes)


def _label(train: RawSplit, columns: Sequence[str], notes: list[str], field: str = "label") -> str:
    """The column of the labels; an `InputError` where it could be another one as well."""
    if len(columns) > 1 and columns[0].lower() not in PLAIN:
        got = "; ".join(f"'{column}' ({in_words(train.table[column])})" for column in columns[:MOST_CANDIDATES])
        got += f" and {len(columns) - MOST_CANDIDATES} more" if len(columns) > MOST_CANDIDATES else ""
        what = f"{len(columns)} columns could hold the labels"
        advice = "Name the right one with --label; of labels that are columns of 0 and 1 all: --label a,b."
        raise InputError.of(train.where, what, got, suggestion=advice)
    return _chosen(field, columns, notes)


def _few_or_numbers(train: RawSplit, column: str) -> bool:
    """Whether a column has numbers, or few different values: at most one for every two cells, and `MANY_LABELS` where
    its name is none of labels."""
    cells = train.table[column]
    if pa.types.is_nested(cells.type):
        return False
    if looks(train.table[column], is_number):
        return True
    half = sum(map(len, present(cells))) // 2
    few = max(2, half if column.lower() in LABELS else min(MANY_LABELS, half))
    found: set[str] = set()
    for cell in different(cells):
        found.update(class_names([cell]))
        if isinstance(cell, list | dict) or len(found) > few:
            return False
    return bool(found)


def _kind_of_labels(train: RawSplit, column: str) -> tuple[TaskKind, str]:
    """Classification, of one label or several, or regression, and why."""
    if holds_lists(train.table[column]):
        return "multi_label", "labels are lists"
    if column in train.class_names:
        return "classification", "the source names its classes"
    count, found = 0, [np.empty(0)]
    for piece in present(train.table[column]):
        count += len(piece)
        found.append(numbers(piece).drop_null().to_numpy())
    values = np.concatenate(found)
    if len(values) < count and (sign := separator_of(different(train.table[column]), SURE)):
        return "multi_label", f"labels are joined by {sign}"
    if 10 * len(values) < 9 * count or not count:
        return "classification", "labels are words"
    if not (np.isfinite(values) & (values == np.floor(values))).all():
        return "regression", "labels are decimal numbers"
    distinct = len(np.unique(values))
    many = distinct > MANY_LABELS and 2 * distinct > len(values)
    reason = f"labels are whole numbers with {counted(distinct, 'different value')}"
    return "regression" if many else "classification", reason


def _with_labels(train: RawSplit, schema: Schema, declared: Declared) -> Schema:
    """The same schema with the names of the classes or tags."""
    column = schema.columns[schema.target]
    if schema.kind == "multi_label":
        return replace(schema, **labels_of(train, column, declared)._asdict())
    if known := declared.labels or train.class_names.get(column, ()):
        return replace(schema, labels=known, fixed_labels=True)
    cells = train.table[column]
    if schema.kind == "tagging" and pa.types.is_list(cells.type):
        labels = class_names(different(pc.list_flatten(cells)))
    elif schema.kind == "tagging":
        labels = class_names(tag for tags in different(cells) if isinstance(tags, list) for tag in tags)
    else:
        labels = class_names(different(cells))
    if schema.kind == "classification" and len(labels) > max(MANY_LABELS, len(train) // 2):
        got = f"{len(labels):,} different values in {len(train):,} rows"
        advice = "Name another column with --label, or say --task regression for numbers."
        place = f"{train.where}: column '{column}'"
        raise InputError.of(place, "too many different labels to be classes", got, suggestion=advice)
    return replace(schema, labels=labels)
