"""`export_model`: from a finished student to a folder that answers without torch.

    out/    model.onnx, model.int8.onnx, tokenizer.json and the other files of the tokenizer, config.json,
            model.json (what answering takes), export.json (what was measured), predict.py, README.md

Decided here: the order of the work, and what is refused. A graph that does not answer as PyTorch does is never left;
int8 is left out where its score falls by more than a margin, or where no labelled rows can say so, unless it is forced.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base import version_of
from engine.base.checks import check_place
from engine.base.errors import InputError, RunError, counted
from engine.base.files import folder_written_atomically, hash_of_files, write_text
from engine.base.machine import cores
from engine.base.notebook import usual_reporter
from engine.base.options import RunOptions
from engine.base.progress import Reporter
from engine.base.text import expanded
from engine.data.load import load_task
from engine.data.own_metric import is_own
from engine.data.task import KINDS, Task
from engine.export.card import add_section, write_export_card
from engine.export.graph import PACKAGES, check_packages, write_graph, write_int8
from engine.export.record import ABOUT_FILE, EXPORT_FILE, GRAPH, INT8_GRAPH, About, Export
from engine.models.forward import accepted_inputs
from engine.models.load import quiet_transformers, size_mb
from engine.run.predictor import Predictor, load_predictor
from engine.run.record import versions
from engine.run.result import Record, RunResult, metric_in_words
from engine.tokens.examples import INPUTS

if TYPE_CHECKING:
    from engine.export.figures import Rows

EQUAL = 1e-4
"""By how much the logits of ONNX may differ from PyTorch's; relative where they are above 1."""
FOLDER = "onnx"  # in the model's own, where none is named
PROGRAM = "predict.py"
MARGIN = 1.0  # points, hundredths of a score


@dataclass
class _Work:
    """An export under way: the model, what it is asked, and what is known of it so far."""

    predictor: Predictor
    about: About
    task: Task | None
    rows: Rows
    folder: Path
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    size_mb: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def score(self, form: str, answers: list[Any]) -> None:
        """Scores the answers of a form, where the rows have labels."""
        from engine.export.figures import scores_of_answers

        if self.task is not None:
            self.scores[form] = scores_of_answers(self.task, answers, self.predictor.labels)


def export_model(
    model: str | Path,
    out: str | Path | None = None,
    *,
    data: Any = None,
    margin: float = MARGIN,
    force: bool = False,
    reporter: Reporter | None = None,
    **columns: Any,
) -> Export:
    """Writes a finished student as ONNX, in float32 and in 8-bit integers, with all that is needed to answer texts.

    Args:
        model: Folder of a run, or any fine-tuned model.
        out: Folder of the export; `onnx` in the model's folder where none is named.
        data: Labelled rows that say what the forms reach, as `distill` takes them: the data of the run, best of all.
        margin: Points (hundredths) that the score of int8 may lie below that of ONNX in float32.
        force: Whether int8 is written whatever it loses, and where no rows say it.
        columns: `text`, `label` and others of `engine.data.load.load_task`; those of the run where none are named.

    Returns:
        The record of the export, which is also in `out/export.json`.

    Raises:
        InputError: A package is missing, or the model, the folder or the data cannot be used.
        RunError: The model cannot be written as ONNX, or the graph does not answer as PyTorch does.
    """
    check_packages()
    reporter, folder = reporter or usual_reporter(), _folder(str(model), out)
    if not 0 <= margin <= 100:
        raise InputError.of("--margin", "out of range", margin, ("0 to 100",))
    known = RunResult.read(model) if Path(model).is_dir() else None
    task = _task(data, columns, known, reporter)
    predictor = load_predictor(model, RunOptions(device="cpu"))
    with folder_written_atomically(folder) as aside:
        work = _begun(predictor, task, aside)
        reporter.message(f"{GRAPH} is written, and compared with PyTorch on {counted(len(work.rows), 'row')}")
        difference = _write_float(work)
        reporter.message(f"{INT8_GRAPH} is written, and the times are taken")
        _write_int8(work, margin, force)
        _compare_with_run(work, known)
        export = _record(work, Path(model).resolve().name if Path(model).is_dir() else str(model), difference)
        write_export_card(aside, export, predictor.kind)
        _write(aside / EXPORT_FILE, export)
    add_section(Path(model), export, folder)
    return export


def _folder(model: str, out: str | Path | None) -> Path:
    """Where the export goes: a folder that is new, empty, or holds nothing but an earlier export."""
    if out is None and not Path(model).is_dir():
        raise InputError.of("--out", "the model lies in no folder of yours; name one for the export", repr(model))
    folder = Path(model) / FOLDER if out is None else expanded(out)
    check_place("--out", folder)
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    earlier = Export.read(folder) if there else None
    if earlier and earlier.program and PROGRAM in there and earlier.program != hash_of_files([folder / PROGRAM]):
        what = f"{PROGRAM} was changed since it was written there"
        raise InputError.of("--out", what, str(folder), (), "Name a new folder, or move your program away.")
    if others := sorted(there - {EXPORT_FILE, "__pycache__", *(earlier.files if earlier else [])}):
        what = "this folder holds something else than an export"
        raise InputError.of("--out", what, ", ".join(others[:3]), (), "Name a new folder.")
    return folder


def _task(data: Any, columns: dict[str, Any], known: RunResult | None, reporter: Reporter) -> Task | None:
    """The rows that say what the forms reach, read and measured as the run did it.

    A metric that is a function is code, which no record may name, whoever wrote it.
    """
    if data is None and columns:
        raise InputError.of("--data", "nothing is named that these would be of", ", ".join(columns))
    if data is None or isinstance(data, Task):
        return data
    as_before: dict[str, Any] = {}
    if known is not None:
        roles = KINDS[known.task_kind].columns.items()
        as_before = {role: known.columns[name] for role, name in roles if name in known.columns}
        as_before |= {"kind": known.task_kind, "positive": known.positive}
        if not is_own(known.metric):
            as_before["metric"] = known.metric
        elif "metric" not in columns:
            reporter.message(f"the run's own metric is not used, as it is code: --metric {known.metric} names it")
    return load_task(data, **(as_before | columns))


def _begun(predictor: Predictor, task: Task | None, folder: Path) -> _Work:
    """The rows; and all but the graphs in the folder."""
    from engine.export import figures

    if task is not None:
        figures.check_data(task, predictor)
    pair = task.pair if task else "text_pair" in predictor.columns
    rows = figures.rows_of(task) if task else figures.made_up_rows(predictor, pair)
    shutil.copyfile(Path(__file__).with_name(PROGRAM), folder / PROGRAM)
    with quiet_transformers():
        predictor.tokenizer.save_pretrained(folder)
        predictor.model.config.save_pretrained(folder)
    about = _about(predictor, pair)
    _write(folder / ABOUT_FILE, about)
    return _Work(predictor, about, task, rows, folder, size_mb={"pytorch": size_mb(predictor.model)})


def _about(predictor: Predictor, pair: bool) -> About:
    tokenizer, accepted = predictor.tokenizer, accepted_inputs(predictor.model)
    taken = [name for name in INPUTS if name in accepted]
    pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, 0)
    return About(
        kind=predictor.kind,
        labels=list(predictor.labels),
        pair=pair,
        columns=dict(predictor.columns),
        max_length=predictor.max_length,
        window_overlap=predictor.window_overlap,
        null_threshold=predictor.null_threshold,
        inputs=[name for name in taken if name != "token_type_ids" or name in tokenizer.model_input_names],
        pad=next(token for token in pads if token is not None),
    )


def _write_float(work: _Work) -> float:
    """Writes the graph; the largest difference between its logits and PyTorch's.

    Raises:
        RunError: It is above `EQUAL`.
    """
    import torch

    from engine.export.figures import largest_difference
    from engine.export.predict import Model

    predictor, (answers, expected) = work.predictor, work.predictor.answered(work.rows)
    example = {name: torch.full((2, 8), int(name != "token_type_ids")) for name in work.about.inputs}
    write_graph(predictor.model, predictor.kind, example, work.folder / GRAPH)
    found, logits = Model(work.folder).answered(work.rows)
    difference = largest_difference(logits, expected)
    if not difference <= EQUAL:
        raise RunError(f"{GRAPH} is not kept: its logits differ from PyTorch's by {difference:.1g}, above {EQUAL:.0e}")
    work.score("pytorch", answers)
    work.score("onnx", found)
    return difference


def _write_int8(work: _Work, margin: float, force: bool) -> None:
    """Writes the graph in 8-bit integers, scores it, and leaves it out where nobody can want it."""
    from engine.export.predict import Model

    write_int8(work.folder / GRAPH, work.folder / INT8_GRAPH)
    if work.task is None:
        why, hint = "no labelled rows say what it loses", "--data names some, --force keeps it all the same"
    else:
        work.score("int8", Model(work.folder, INT8_GRAPH).answered(work.rows)[0])
        lost = 100 * (work.scores["onnx"][work.task.metric] - work.scores["int8"][work.task.metric])
        if lost <= margin:
            return
        metric = metric_in_words(work.task.metric, work.task.positive_label)
        why = f"it loses {lost:.1f} points of {metric}, and {margin:g} are allowed"
        hint = "--force keeps it, --margin allows more"
    if force:
        work.notes.append(f"{INT8_GRAPH} was forced: {why}.")
    else:
        (work.folder / INT8_GRAPH).unlink()
        work.notes.append(f"{INT8_GRAPH} is left out, and {GRAPH} alone is there: {why}; {hint}.")


def _compare_with_run(work: _Work, known: RunResult | None) -> None:
    """Puts the teacher's score beside the others, where the rows are those that it was scored on."""
    if known is None:
        return
    if known.teacher_size_mb is not None:
        work.size_mb["teacher"] = known.teacher_size_mb
    if work.task is None:
        return
    of_teacher = known.scores.get("teacher", {}).get(work.task.split, {})
    if not known.reports_on(work.task):
        what = "These rows are not divided as in the run, so the student may have been trained on some of them"
        work.notes.append(f"{what}; with the options that the run was given they are divided alike.")
    elif work.task.metric in of_teacher and known.positive == work.task.positive_label:
        work.scores["teacher"] = of_teacher
    else:
        metric = metric_in_words(work.task.metric, work.task.positive_label)
        work.notes.append(f"The run has no score of its teacher in {metric}.")


def _record(work: _Work, model: str, difference: float) -> Export:
    """What was measured, the times among it."""
    from engine.export.figures import latencies
    from engine.export.predict import Model

    files = {"onnx": GRAPH, "int8": INT8_GRAPH}
    there = {form: name for form, name in files.items() if (work.folder / name).is_file()}
    of_task: dict[str, Any] = {}
    if task := work.task:
        of_task = {"task": task.name, "split": task.split, "metric": task.metric, "positive": task.positive_label}
    return Export(
        model=model,
        files=sorted([*(path.name for path in work.folder.iterdir()), "README.md"]),
        program=hash_of_files([work.folder / PROGRAM]),
        **of_task,
        rows=len(work.rows),
        scores=work.scores,
        difference=difference,
        size_mb=work.size_mb | {form: _megabytes(work.folder, name) for form, name in there.items()},
        latency_ms=latencies(
            work.predictor, {form: partial(Model, work.folder, there[form]) for form in there}, work.rows
        ),
        device=f"cpu, {counted(cores(), 'core')}",
        versions=versions() | {name: version_of(name) or "not installed" for name in PACKAGES},
        notes=work.notes,
    )


def _megabytes(folder: Path, graph: str) -> float:
    """Of a graph, with the weights that stand in a file beside it."""
    return sum(path.stat().st_size for path in folder.glob(f"{graph}*")) / 1e6


def _write(path: Path, record: Record) -> None:
    write_text(path, record.model_dump_json(indent=2) + "\n")
