"""Benchmarks that bring their own columns, labels, metric and splits: GLUE and SQuAD, by hub name.

Decided here: facts alone. GLUE (Wang et al. 2019, table 1, and the submission format of gluebenchmark.com) and SQuAD
(Rajpurkar et al. 2016; 2.0, with questions without an answer: 2018). Where GLUE averages two scores, the first one
named there decides: F1 for MRPC and QQP; for STS-B Spearman.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.base.errors import InputError, nearest, unknown_name
from engine.data import hub
from engine.data.rows import Declared, Source
from engine.data.task import TaskKind

GLUE = "nyu-mll/glue"
DIAGNOSTICS = "test_ax"
"""The split under which MNLI carries GLUE's diagnostic set, which has no training rows of its own."""


@dataclass(frozen=True)
class Benchmark:
    """One published task; most of it as in `Declared`.

    Args:
        name: Short name.
        files: Test split → its file on the GLUE leaderboard.
        words: Whether the leaderboard wants class names instead of indices.
        repo: Repository on the hub.
    """

    name: str
    columns: Mapping[str, str]
    metric: str
    labels: tuple[str, ...] = ()
    kind: TaskKind = "classification"
    files: Mapping[str, str] = field(default_factory=dict)
    words: bool = False
    repo: str = GLUE

    @property
    def config(self) -> str | None:
        """Configuration on the hub."""
        return self.name if self.repo == GLUE else None

    @property
    def hub(self) -> str:
        """Its full name on the hub."""
        return f"{self.repo}/{self.config}" if self.config else self.repo


ENTAILMENT = ("entailment", "not_entailment")
INFERENCE = ("entailment", "neutral", "contradiction")
MNLI_FILES = {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv", DIAGNOSTICS: "AX.tsv"}
SQUAD = {"question": "question", "context": "context", "answers": "answers"}


def _glue(file: str, texts: str, metric: str, *labels: str, **more: Any) -> Benchmark:
    """A row of GLUE's table; the name of its file gives its own."""
    fields = ("text", "label") if len(texts.split()) == 1 else ("text", "text_pair", "label")
    columns = dict(zip(fields, (*texts.split(), "label"), strict=True))
    given = {"files": {"test": f"{file}.tsv"}, **more}
    return Benchmark(file.replace("-", "").lower(), columns, metric, labels, **given)


BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        _glue("CoLA", "sentence", "mcc", "unacceptable", "acceptable"),
        _glue("SST-2", "sentence", "accuracy", "negative", "positive"),
        _glue("MRPC", "sentence1 sentence2", "f1", "not_equivalent", "equivalent"),
        _glue("QQP", "question1 question2", "f1", "not_duplicate", "duplicate"),
        _glue("STS-B", "sentence1 sentence2", "spearman", kind="regression"),
        _glue("MNLI", "premise hypothesis", "accuracy", *INFERENCE, files=MNLI_FILES, words=True),
        _glue("QNLI", "question sentence", "accuracy", *ENTAILMENT, words=True),
        _glue("RTE", "sentence1 sentence2", "accuracy", *ENTAILMENT, words=True),
        _glue("WNLI", "sentence1 sentence2", "accuracy", *ENTAILMENT[::-1]),
        Benchmark("squad", SQUAD, "squad_f1", kind="question_answering", repo="rajpurkar/squad"),
        Benchmark("squad_v2", SQUAD, "squad_f1", kind="question_answering", repo="rajpurkar/squad_v2"),
    )
}

NAMES: Mapping[str, str] = {
    alias: name
    for name, benchmark in BENCHMARKS.items()
    for alias in ((f"glue/{name}", f"{GLUE}/{name}") if benchmark.repo == GLUE else (name, benchmark.repo))
}
"""Accepted hub names → short names."""


def find(name: str) -> Benchmark | None:
    """The benchmark of this hub name; None where it is not GLUE or SQuAD.

    Raises:
        InputError: It is GLUE, but not one of its trainable tasks.

    Example:
        >>> find("glue/sst2").metric, find("stanfordnlp/imdb")
        ('accuracy', None)
    """
    if name in NAMES:
        return BENCHMARKS[NAMES[name]]
    if name.removeprefix("nyu-mll/").split("/")[0] != "glue":
        return None
    if name.endswith("/ax"):
        what = "the diagnostic set has no training rows; the task glue/mnli brings it as a test set"
        raise InputError.of(name, what, suggestion="glue/mnli")
    tasks = [alias for alias in NAMES if alias.startswith("glue/")]
    raise InputError(unknown_name(name, "unknown GLUE task", name, tasks))


def nearest_name(name: str) -> str:
    """The accepted name of the benchmark that `name` may be short for; empty if there is none.

    Example:
        >>> nearest_name("sst2"), nearest_name("imdb")
        ('glue/sst2', '')
    """
    close = nearest(name, BENCHMARKS, 0.75)
    return next((alias for alias, short in NAMES.items() if short == close), "")


def read(benchmark: Benchmark) -> Source:
    """A benchmark's splits, with all that its table declares; an `InputError` without hub and local cache."""
    splits = hub.read(benchmark.repo, benchmark.config)
    notes: tuple[str, ...] = ()
    if DIAGNOSTICS in benchmark.files:
        try:
            splits[DIAGNOSTICS] = hub.read(GLUE, "ax")["test"]
        except InputError as error:
            notes = (f"the diagnostic set AX is left out: {error}",)
    place = f"the {'GLUE' if benchmark.repo == GLUE else 'SQuAD'} benchmark"
    declared = Declared(place, benchmark.kind, benchmark.labels, benchmark.metric, benchmark.columns, published=True)
    return Source(benchmark.name, splits, declared, notes, benchmark.hub)
