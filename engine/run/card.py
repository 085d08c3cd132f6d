"""The model card beside a student: what it is, how it was made, how good and how fast it is.

Decided here: what comes from data and names (labels, a folder's or a task's name, sentences that quote them) is text in
the card, never HTML or Markdown.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from engine.base.files import RESULT_FILE, write_text
from engine.base.hub import CONFIG
from engine.base.text import escaped
from engine.data.metrics import with_interval
from engine.data.task import KINDS, Task
from engine.models.files import read_object
from engine.models.load import HEADS
from engine.models.names import without_path
from engine.models.start import OWN
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.read import dump_pipeline
from engine.run.result import RunResult

MANY_CLASSES = 20
"""More do not fit into a table that is read."""
TEXT = """---
{data}
---

# {name}: a student of {teacher}{others}

Distilled with AutoDistiller from {teacher_code}{others} on {task}.

| | student | teacher |
| --- | --- | --- |
{rows}

Distillation ratio (student / teacher, {metric}), on {split}:
**{ratio}**.{baseline}
{calibration}{warnings}{verdict}{team}{classes}
Scores are of {split}, 0 to 1 (correlations −1 to 1), with 95 % intervals by the bootstrap over its
rows; the ratio's is paired. Latency is the median of one example,
throughput is at batch 32, both in float32 on {result.device}, tokenising not counted.

## Use

```python
{known}from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```

## How it was made

Training rows: {result.train_examples:,}{pool}; seed {result.seed}; student started as {student}; precision {precision}.

```toml
{pipeline}
```
"""


KNOWN = "import engine.models.load  # of AutoDistiller, which brings this model type\n"
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(text: str) -> str:
    r"""A text in one line of Markdown that is shown as it is.

    Example:
        >>> plain("<b>ham</b>|[spam](x) *_a_* f1_macro")
        '&lt;b&gt;ham&lt;/b&gt;\\|\\[spam\\](x) \\*\\_a\\_\\* f1_macro'
    """
    marked = re.sub(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", escaped(text))
    return re.sub("[&<>]", lambda sign: ENTITIES[sign[0]], marked)


def code(text: str) -> str:
    """A name between backticks, with none in it."""
    return f"`{escaped(text).replace('`', chr(39)).replace('|', chr(166))}`"


def _rows(result: RunResult) -> str:
    """The lines of the table, those without figures left out."""
    lines: list[tuple[str, float | None, float | None, str]] = [
        ("parameters", result.parameters, result.teacher_parameters, "{:,}"),
        ("size (MB)", result.size_mb, result.teacher_size_mb, "{:.1f}"),
        ("latency (ms)", result.latency_ms, result.teacher_latency_ms, "{:.2f}"),
        ("throughput (examples/s)", result.throughput, result.teacher_throughput, "{:.0f}"),
    ]
    known = [
        (name, *("" if each is None else form.format(each) for each in (a, b)))
        for name, a, b, form in lines
        if a is not None and (b is not None or result.signals == "given")
    ]
    scores = [
        (plain(result.named(metric)), *(_score(result, role, metric) for role in ("student", "teacher")))
        for metric in result.on_split("student")
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (*scores, *known))


def _score(result: RunResult, role: str, metric: str) -> str:
    score = result.on_split(role).get(metric)
    return "" if score is None else with_interval(score, result.interval(role, metric))


def _team(result: RunResult) -> str:
    """The table of a team: who taught, how good they are, and how often each was drawn."""
    if result.team is None:
        return ""
    table = [["who taught", "parameters", plain(result.metric)], ["---"] * 3]
    table += [
        [code(without_path(each.name)), f"{each.parameters:,}", f"{each.score(result.metric, result.split):.4f}"]
        for each in result.team.teachers
    ]
    if shares := result.team.distribution:
        for line, share in zip(table, ["share", "---", *(f"{share:.3f}" for share in shares)], strict=True):
            line.append(share)
    return f"\n{_table(table)}"


def _classes(result: RunResult) -> str:
    """The table of the classes, or labels, and the confusion matrix; of many a sentence that says where they are."""
    if not result.classes:
        return ""
    if len(result.classes) > MANY_CLASSES:
        matrix = " and their confusion matrix" if result.confusion else ""
        named = "labels" if result.task_kind == "multi_label" else "classes"
        return f"\nThe scores of the {len(result.classes)} {named}{matrix} are in `{RESULT_FILE}`.\n"
    labels = [plain(each.label) for each in result.classes]
    scores = [
        [label, *(f"{value:.3f}" for value in (each.precision, each.recall, each.f1)), f"{each.rows:,}"]
        for label, each in zip(labels, result.classes, strict=True)
    ]
    tables = [(["class" if result.confusion else "label", "precision", "recall", "F1", "rows"], scores)]
    if result.confusion:
        counts = [[f"{count:,}" for count in row] for row in result.confusion]
        confusion = [[label, *row] for label, row in zip(labels, counts, strict=True)]
        tables.append((["class ↓ answer →", *labels], confusion))
    return "".join(f"\n{_table([head, ['---'] * len(head), *rows])}" for head, rows in tables)


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _pipeline(result: RunResult) -> Pipeline:
    """The pipeline with its members named as others may see them."""
    pipeline = Pipeline.model_validate(result.pipeline)
    if not pipeline.team.members:
        return pipeline
    members = tuple(without_path(name) for name in pipeline.team.members)
    return pipeline.model_copy(update={"team": pipeline.team.model_copy(update={"members": members})})


def _is_own(folder: Path) -> bool:
    """Whether the student is no transformer, and so of no type that transformers brings."""
    own = {config.model_type for config in OWN}
    return (folder / CONFIG).is_file() and read_object(folder / CONFIG).get("model_type") in own


def write_card(folder: Path, result: RunResult, task: Task) -> None:
    """Writes `README.md` with the figures of `result` into the student's folder."""
    tag, tags, name = KINDS[task.kind].hub_tag, ["autodistiller", "knowledge-distillation"], folder.resolve().name
    score = EvalResult(tag, task.name, task.name, result.metric, result.student_score)
    data = ModelCardData(
        library_name="transformers", pipeline_tag=tag, tags=tags, model_name=name, eval_results=[score]
    )
    ratio, without = result.distillation_ratio, result.student_alone_score
    of_ratio = "undefined" if ratio is None else with_interval(ratio, result.ratio_interval)
    card = TEXT.format(
        result=result,
        metric=plain(result.named(result.metric)),
        data=data.to_yaml(),
        name=plain(name),
        task=code(result.task),
        split=plain(result.split_in_words),
        teacher=plain(without_path(result.teacher)),
        teacher_code=code(without_path(result.teacher)),
        others=f" and {len(result.team.teachers) - 1} more" if result.team else "",
        verdict="".join(f"\n- {plain(sentence)}" for sentence in result.verdict) + "\n" * bool(result.verdict),
        team=_team(result),
        classes=_classes(result),
        rows=_rows(result),
        ratio=of_ratio,
        pool=f", and {result.unlabelled_examples:,} without labels" if result.unlabelled_examples else "",
        baseline="" if without is None else f" The same student without a teacher reaches {without:.4f}.",
        calibration="".join(f"\n- {plain(sentence)}\n" for sentence in result.calibration_in_words),
        warnings="".join(f"\n> {plain(warning)}\n" for warning in result.warnings),
        known=KNOWN if _is_own(folder) else "",
        auto=HEADS[task.kind].__name__,
        student=code(without_path(result.student)),
        precision=result.precision,
        pipeline=dump_pipeline(_pipeline(result), "toml").strip(),
    )
    write_text(folder / "README.md", str(ModelCard(card, ignore_metadata_errors=True)))
