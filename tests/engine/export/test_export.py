"""The export of students of every kind: what it answers, what it refuses, and what it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification

from engine.base.errors import InputError, RunError
from engine.base.machine import machine_for
from engine.base.options import RunOptions
from engine.data.load import load_task
from engine.export import export as module
from engine.export import figures
from engine.export.export import EQUAL, export_model
from engine.export.predict import Model
from engine.export.record import EXPORT_FILE, GRAPH, INT8_GRAPH
from engine.models.load import save_model
from engine.models.start import begin
from engine.run.predictor import load_predictor
from tests.ear import Ear
from tests.engine.models.scenes import starts
from tests.engine.runs import Finished
from tests.records import made_record
from tests.toys import ROWS, perturb, toy_task

CPU = RunOptions(device="cpu")
TEACHER = "scratch:layers=2,hidden=32,heads=2"
STUDENTS = ("scratch:layers=1,hidden=32,heads=2", "lstm:hidden=64", "static")
PER_TOKEN = ("tagging", "question_answering")
EVERY = [(name, each) for name in ROWS for each in STUDENTS if each != "static" or name not in PER_TOKEN]
LONG = "great " * 200
STRANGE = ("", " ", "漢字 🎉", LONG, "Anna\tsees\n the  house ", "the unusual unusually unusable house")
EXPECTED = {
    *(GRAPH, INT8_GRAPH, EXPORT_FILE, "model.json", "predict.py", "README.md"),
    *("tokenizer.json", "tokenizer_config.json", "config.json"),
}


@pytest.fixture(autouse=True)
def _few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are taken once here; they are not what is tested."""
    monkeypatch.setattr(figures, "BATCHES", {1: 1, 8: 1})


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Gives the folder of a student of a toy task, with weights at random."""

    def made(name: str, student: str) -> Path:
        task, folder = toy_task(name, rows=24, held_out=24), tmp_path_factory.mktemp(name)
        model, tokenizer = begin(starts(TEACHER, student)[1], task, 0, machine_for(CPU))
        perturb(model)
        save_model(model, tokenizer, folder, 24)
        return folder

    return made


def rows_with(name: str, text: str) -> list[dict[str, object]]:
    """A text in every field of a row of a toy task, and beside a common one."""
    fields = {"pair": ["text", "text_pair"], "tagging": ["tokens"], "question_answering": ["question", "context"]}
    texts = [[text, text], [text, "Anna sees the house"], ["who is there", text]]
    rows = [dict(zip(fields.get(name, ["text"]), each, strict=False)) for each in texts]
    return [{"tokens": row["tokens"].split()} for row in rows] if name == "tagging" else rows


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start"), EVERY)
def test_what_is_exported_answers_as_the_student_does(name: str, start: str, student, tmp_path: Path) -> None:
    folder, task = student(name, start), toy_task(name, rows=24, held_out=24)
    export = export_model(folder, tmp_path / "out", data=task, force=True)
    assert 0 <= export.difference <= EQUAL
    assert {path.name for path in (tmp_path / "out").iterdir()} == EXPECTED
    assert {*export.files, EXPORT_FILE} == EXPECTED
    assert export.scores["onnx"] == pytest.approx(export.scores["pytorch"], abs=1e-3)
    assert {*export.scores["int8"]} == {*task.metrics}
    assert export.size_mb["int8"] < export.size_mb["onnx"]
    assert {*export.latency_ms} == {"pytorch", "onnx", "int8"}
    predictor, answers = load_predictor(folder, CPU), Model(tmp_path / "out")
    for row in [row for text in STRANGE for row in rows_with(name, text)]:
        (expected,), (found,) = predictor([row]), answers([row])
        for key, value in expected.items():
            assert found[key] == (pytest.approx(value, abs=EQUAL) if key.startswith("score") else value), (key, row)


def test_it_answers_where_there_is_no_torch(student, tmp_path: Path) -> None:
    folder = student("question_answering", "lstm:hidden=64")
    export_model(folder, tmp_path / "out")
    row = {"question": "who is there", "context": f"Anna sees the house {LONG}"}
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("torch", "transformers", "engine", "autodistill", "datasets"):
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is not here')")
    command = [sys.executable, str(tmp_path / "out" / "predict.py")]
    about = {"capture_output": True, "text": True, "check": True, "cwd": tmp_path, "env": {"PYTHONPATH": str(blocked)}}
    for arguments, given in (([*row.values()], ""), ([], json.dumps(row) + "\n\n")):
        said = subprocess.run([*command, *arguments], input=given, **about).stdout
        assert [json.loads(line) for line in said.splitlines()] == load_predictor(folder, CPU)([row])
    wrong = subprocess.run([*command, "one text alone"], **(about | {"check": False}))
    assert wrong.returncode == 2
    assert "question and context" in wrong.stderr


def test_the_export_of_a_run(finished: Callable[[str], Finished], tmp_path: Path) -> None:
    run = finished("single")
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    export = export_model(folder, data=run.task)
    assert export.scores["teacher"][run.task.metric] == run.result.teacher_score
    assert export.scores["pytorch"][run.task.metric] == pytest.approx(run.result.student_score)
    assert export.scores["onnx"][run.task.metric] - export.scores["int8"][run.task.metric] <= 0.01
    assert not export.notes
    assert (folder / "onnx" / INT8_GRAPH).is_file()
    card = (folder / "README.md").read_text("utf-8")
    assert card.count("## Exported") == 1
    assert "| ONNX, int8 |" in card
    assert "## How it was made" in card

    again = export_model(folder, data=toy_task("single", seed=1))
    assert "not divided as in the run" in " ".join(again.notes)
    assert "teacher" not in again.scores
    card = (folder / "README.md").read_text("utf-8")
    assert card.count("## Exported") == 1
    assert "not divided as in the run" in card


def test_rows_are_measured_as_the_run_did_it(tmp_path: Path) -> None:
    """With its metric and its positive class, but no function: a record may come from anybody, and that is code."""
    rows = Dataset.from_list(
        [{"text": f"text {number}", "label": "bad" if number % 3 else "good"} for number in range(60)]
    )
    (tmp_path / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\nscore = abs\n"
    )
    known = made_record(task_kind="classification", metric="f1", positive="bad", columns={})
    task, ear = module._task({"train": rows}, {}, known, Ear()), Ear()
    assert (task.metric, task.positive_label) == ("f1", "bad")
    assert module._task({"train": rows}, {"positive": "good"}, known, ear).positive_label == "good"
    assert not ear.messages
    own = known.model_copy(update={"metric": f"{tmp_path / 'evil.py'}:score"})
    assert module._task({"train": rows}, {}, own, ear).metric == "accuracy"
    assert not (tmp_path / "ran").exists()
    assert any("--metric" in said for said in ear.messages)
    module._task({"train": rows}, {"metric": own.metric}, own, Ear())
    assert (tmp_path / "ran").exists()


def test_scores_of_another_class_are_not_shown_beside_the_teachers(tmp_path: Path) -> None:
    rows = Dataset.from_list(
        [{"text": f"text {number}", "label": "bad" if number % 3 else "good"} for number in range(60)]
    )
    task = load_task({"train": rows}, metric="f1", positive="bad")
    scores = {"teacher": {task.split: {"f1": 0.9, "accuracy": 0.8}}}
    held_out = {"held_out_fingerprint": task.held_out_fingerprint, "dataset_fingerprint": "with texts"}
    known = made_record(positive="bad", scores=scores, split=task.split, **held_out)
    work = module._Work(None, None, task, None, tmp_path)
    module._compare_with_run(work, known)
    assert (work.scores, work.notes) == ({"teacher": scores["teacher"][task.split]}, [])
    other = replace(work, task=load_task({"train": rows}, metric="f1", positive="good"), scores={}, notes=[])
    module._compare_with_run(other, known)
    assert (other.scores, other.notes) == ({}, ["The run has no score of its teacher in f1 of good."])


def test_a_program_that_was_changed_is_not_replaced(student, tmp_path: Path) -> None:
    export_model(student("single", "static"), tmp_path / "out")
    export_model(student("single", "static"), tmp_path / "out")
    program = tmp_path / "out" / "predict.py"
    program.write_text(program.read_text() + "# mine\n")
    with pytest.raises(InputError, match=r"--out: predict\.py was changed since it was written there"):
        export_model(student("single", "static"), tmp_path / "out")
    assert program.read_text().endswith("# mine\n")


def test_int8_that_loses_too_much_is_left_out(finished: Callable[[str], Finished], tmp_path: Path) -> None:
    """A number that is huge, and that nothing reads, takes the scale of all that are rounded with it."""
    run, folder = finished("single"), tmp_path / "run"
    shutil.copytree(run.folder, folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:
            layer.attention.self.value.bias[0] = 1e6
            layer.attention.output.dense.weight[:, 0] = 0
    model.save_pretrained(folder)
    export = export_model(folder, data=run.task)
    assert export.scores["int8"][run.task.metric] < export.scores["onnx"][run.task.metric] - 0.01
    assert not (folder / "onnx" / INT8_GRAPH).exists()
    assert INT8_GRAPH not in export.files
    (note,) = export.notes
    assert f"{INT8_GRAPH} is left out, and {GRAPH} alone is there: it loses" in note
    assert "1 are allowed" in note
    forced = export_model(folder, data=run.task, force=True)
    assert (folder / "onnx" / INT8_GRAPH).is_file()
    assert "was forced" in forced.notes[0]
    assert not export_model(folder, data=run.task, margin=100).notes


def test_without_data_int8_needs_force(student, tmp_path: Path) -> None:
    folder, out = student("single", "static"), tmp_path / "out"
    export = export_model(folder, out)
    assert not export.scores
    assert export.difference <= EQUAL
    assert not (out / INT8_GRAPH).exists()
    assert "no labelled rows" in export.notes[0]
    assert "of made-up text" in export.sentences[0]
    export_model(folder, out, force=True)
    assert (out / INT8_GRAPH).is_file()


def test_weights_too_large_for_one_file_stand_beside_the_graph(
    student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.export.graph.LARGEST", 0)
    export = export_model(student("single", "static"), tmp_path / "out", force=True)
    assert f"{GRAPH}.data" in export.files
    beside = (tmp_path / "out" / f"{GRAPH}.data").stat().st_size
    assert export.size_mb["onnx"] > beside / 1e6 > export.size_mb["onnx"] / 2


def test_a_graph_that_answers_otherwise_is_not_left(student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EQUAL", -1.0)
    with pytest.raises(RunError, match="differ from PyTorch's by"):
        export_model(student("single", "static"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


# --- what cannot be exported -------------------------------------------------------------------------


def test_other_files_are_not_replaced(student, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="--out: this folder holds something else than an export; got mine.txt"):
        export_model(student("single", "static"), tmp_path)
    (tmp_path / "mine.txt").rename(tmp_path / EXPORT_FILE)
    with pytest.raises(InputError, match="not the record of an export"):
        export_model(student("single", "static"), tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": toy_task("regression")}, "for classification, these data for another kind of task; got regression"),
        ({"data": toy_task("pair")}, "its labels are not the model's; got bad, good; allowed: bad, dull, good"),
        ({"label": "stars"}, "--data: nothing is named that these would be of; got label"),
        ({"margin": -1.0}, "--margin: out of range; got -1.0; allowed: 0 to 100"),
        ({"margin": float("nan")}, "--margin: out of range"),
    ],
)
def test_what_does_not_fit(given: dict[str, object], words: str, student, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        export_model(student("single", "static"), tmp_path / "out", **given)
    assert not list(tmp_path.iterdir())


def test_a_model_of_the_hub_has_no_folder_for_it() -> None:
    with pytest.raises(InputError, match="--out: the model lies in no folder of yours"):
        export_model("somebody/a-model")


@pytest.mark.shared
@pytest.mark.slow
def test_a_real_encoder(shared: Path, tmp_path: Path) -> None:
    task = toy_task("pair", rows=24, held_out=24)
    encoder = str(shared / "models" / "all-MiniLM-L6-v2")
    start = starts(encoder, "static")[0]
    model, tokenizer = begin(start, task, 0, machine_for(CPU))
    save_model(model, tokenizer, tmp_path / "model")
    export = export_model(tmp_path / "model", data=task, force=True)
    assert export.difference <= EQUAL
    assert export.size_mb["int8"] < 0.3 * export.size_mb["onnx"]
