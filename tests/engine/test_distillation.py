"""Whole runs: every kind of task is learned for real, and what is left is what was promised."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from engine import Pipeline, distill
from engine.base.errors import InputError, RunError
from engine.base.machine import machine_for
from engine.base.options import FineTuning, RunOptions
from engine.data.task import Task
from engine.evaluation.scores import scores
from engine.models.load import HEADS
from engine.pipeline.read import load_pipeline
from engine.pipeline.training import Training
from engine.run.plan import plan_teacher
from engine.run.predictor import load_predictor
from engine.run.result import RunResult
from engine.run.teacher import prepare_teacher
from tests.engine.runs import LEARNED, TEACHER, TRAINING, TUNING, Finished, again, small
from tests.records import lasting
from tests.toys import ROWS, save_tiny, toy_task

# --- every kind of task ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_the_student_has_learned(name: str, finished: Callable[[str], Finished]) -> None:
    result = finished(name).result
    assert result.status == "ok"
    assert result.teacher_score > LEARNED[name]
    assert result.student_score > LEARNED[name]
    assert (result.trivial_score or 0) < 0.6
    assert result.distillation_ratio == pytest.approx(result.student_score / result.teacher_score)
    assert not result.warnings
    assert result.best_epoch == 1 + int(np.argmax([entry["scores"][result.metric] for entry in result.history]))


@pytest.mark.parametrize("name", ROWS)
def test_the_record_is_complete(name: str, finished: Callable[[str], Finished]) -> None:
    run = finished(name)
    text = (run.folder / "result.json").read_text("utf-8")
    record = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} in result.json"))
    assert RunResult.model_validate(record) == run.result
    demanded = {
        "teacher_score",
        "student_score",
        "student_alone_score",
        "metric",
        "distillation_ratio",
        "parameters",
        "teacher_parameters",
        "latency_ms",
        "teacher_latency_ms",
        "seconds",
        "teacher_examples",
        "pipeline",
        "seed",
        "status",
    }
    assert demanded <= record.keys()
    assert {key for key in demanded if record[key] is None} == {"student_alone_score"}
    assert record["ratio_interval"][0] <= record["distillation_ratio"] <= record["ratio_interval"][1]
    assert {key for key, value in record.items() if value is None} <= {
        *(["agreement"] if name == "regression" else []),
        "paused_after",
        "positive",
        "predicted_ratio",
        "student_alone_score",
        "reason",
        "team",
        "trivial_score",
    }
    assert record["seconds"] == pytest.approx(sum(record["stage_seconds"].values()))
    linear = {"linear"} if run.task.kind in ("classification", "regression", "multi_label") else set()
    assert record["scores"].keys() == {"teacher", "student"} | linear
    assert record["student_score"] == record["scores"]["student"]["validation"][record["metric"]]
    assert [entry["epoch"] for entry in record["history"]] == [1, 2, 3, 4, 5, 6]
    assert len(record["epoch_seconds"]) == 6
    assert record["epoch_seconds"][0] > 0
    assert record["epoch_seconds"] == sorted(record["epoch_seconds"])
    assert record["epoch_seconds"][-1] <= record["stage_seconds"]["student"]
    config = json.loads((run.folder / "config.json").read_text())
    assert (record["layers"], record["hidden_size"]) == (config["num_hidden_layers"], config["hidden_size"])
    assert (record["teacher_layers"], record["teacher_hidden_size"]) == (2, 64)
    assert record["labels"] == list(run.task.labels)
    assert record["precision"] == "float32"
    assert Pipeline.model_validate(record["pipeline"]) == load_pipeline(run.folder / "pipeline.toml")
    assert (run.folder / "model.safetensors").stat().st_size == pytest.approx(1e6 * record["size_mb"], rel=0.1)


@pytest.mark.parametrize("name", ROWS)
def test_nothing_but_the_student_and_its_record_is_left(name: str, finished: Callable[[str], Finished]) -> None:
    names = {path.name for path in finished(name).folder.iterdir()}
    model = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names == model | {"result.json", "answers.json", "pipeline.toml", "README.md"}


@pytest.mark.parametrize("name", ROWS)
def test_the_teacher_saw_each_example_once(name: str, finished: Callable[[str], Finished]) -> None:
    run = finished(name)
    assert run.result.signals == "cached"
    assert run.result.teacher_examples == run.stages["teacher signals"] == len(run.task.train)
    assert run.stages["student"] == 6 * math.ceil(len(run.task.train) / 8)


@pytest.mark.parametrize("name", ROWS)
def test_plain_transformers_load_the_student(name: str, finished: Callable[[str], Finished]) -> None:
    """Its answers, made by hand with its own tokenizer, are those of the predictor and of the score."""
    run = finished(name)
    rows = run.task.validation["validation"]
    model = HEADS[run.task.kind].from_pretrained(run.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    texts = {"tagging": ("tokens",), "question_answering": ("question", "context"), "pair": ("text", "text_pair")}
    fields = texts.get(name, ("text",))
    by_hand, confidence = [], []
    for row in rows:
        inputs = tokenizer(
            *[row[field] for field in fields], is_split_into_words=name == "tagging", return_tensors="pt"
        )
        offsets = inputs.encodings[0]
        with torch.no_grad():
            output = model(**inputs)
        if name == "tagging":
            first = {word: place for place, word in reversed([*enumerate(offsets.word_ids)]) if word is not None}
            by_hand.append([output.logits[0, first[word]].argmax().item() for word in range(len(row["tokens"]))])
        elif name == "question_answering":
            inside = [place for place, text in enumerate(offsets.sequence_ids) if text == 1]
            start, end = output.start_logits[0], output.end_logits[0]
            _, first, last = max((start[a] + end[b], a, b) for a in inside for b in inside if a <= b)
            by_hand.append(row["context"][offsets.offsets[first][0] : offsets.offsets[last][1]])
        elif name == "regression":
            by_hand.append(output.logits[0, 0].item())
        elif name == "multi_label":
            by_hand.append((output.logits[0].sigmoid() > 0.5).nonzero().flatten().tolist())
        else:
            by_hand.append(output.logits[0].argmax().item())
            confidence.append(output.logits[0].softmax(0).max().item())
    predictor = load_predictor(run.folder, RunOptions(device="cpu"))
    asked = [{field: row[field] for field in fields} for row in rows]
    indices = predictor.indices(asked)
    assert indices == (pytest.approx(by_hand, abs=1e-4) if name == "regression" else by_hand)
    assert scores(run.task, rows, indices)[run.task.metric] == pytest.approx(run.result.student_score, abs=1e-4)
    if confidence:
        assert [answer["score"] for answer in predictor(asked)] == pytest.approx(confidence, abs=1e-4)
        assert [answer["label"] for answer in predictor(asked)] == [run.task.labels[index] for index in by_hand]


@pytest.mark.parametrize("name", ROWS)
def test_the_configuration_says_what_the_outputs_are(name: str, finished: Callable[[str], Finished]) -> None:
    run = finished(name)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["architectures"][0].endswith(HEADS[run.task.kind].__name__.removeprefix("AutoModel"))
    if run.task.labels:
        assert config["id2label"] == {str(index): label for index, label in enumerate(run.task.labels)}
        assert config["label2id"] == {label: index for index, label in enumerate(run.task.labels)}
    assert config["vocab_size"] == len(AutoTokenizer.from_pretrained(run.folder))


@pytest.mark.parametrize("name", ROWS)
def test_the_model_card(name: str, finished: Callable[[str], Finished]) -> None:
    run = finished(name)
    card = ModelCard.load(run.folder / "README.md")
    (evaluation,) = card.data.eval_results
    assert evaluation.metric_value == run.result.student_score
    assert evaluation.metric_type == run.result.metric
    assert evaluation.dataset_name == run.task.name
    assert card.data.library_name == "transformers"
    assert f"{run.result.student_score:.4f}" in card.text
    assert f"{run.result.teacher_score:.4f}" in card.text
    assert f"{run.result.parameters:,}" in card.text
    assert HEADS[run.task.kind].__name__ in card.text
    pipeline = card.text.split("```toml\n")[1].split("```")[0]
    assert pipeline.strip() == (run.folder / "pipeline.toml").read_text().strip()


# --- the same run again, and other runs on the same teacher ------------------------------------------


def test_a_finished_run_is_never_repeated(finished: Callable[[str], Finished], warm: RunOptions, ear) -> None:
    run = finished("single")
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert again(run, warm, run.folder, ear) == run.result
    assert not ear.stages
    assert "finished" in ear.messages[-1]
    assert {path: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_another_run_in_the_same_folder(finished: Callable[[str], Finished], warm: RunOptions) -> None:
    run = finished("single")
    for changes in ({"seed": 1}, {"student": "layers:2"}, {"fine_tuning": TUNING.model_copy(update={"seed": 1})}):
        with pytest.raises(InputError, match="this folder holds another run"):
            again(run, warm, run.folder, **changes)
    assert RunResult.read(run.folder) == run.result


@pytest.mark.parametrize("name", ["single", "tagging"])
def test_the_same_run_elsewhere_is_the_same_bit_for_bit(
    name: str, finished: Callable[[str], Finished], options: RunOptions, tmp_path: Path
) -> None:
    """With nothing in the cache, not even the vocabulary."""
    run = finished(name)
    repeated = again(run, options, tmp_path / "out")
    assert lasting(repeated.model_dump()) == lasting(run.result.model_dump())
    for file in ("model.safetensors", "tokenizer.json", "config.json", "pipeline.toml"):
        assert (tmp_path / "out" / file).read_bytes() == (run.folder / file).read_bytes()


def test_what_the_cache_knew_changes_nothing(
    finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path, ear
) -> None:
    """Neither the teacher nor its signals are made again; projections and critics start alike."""
    run = finished("single")
    repeated = again(run, warm, tmp_path / "out", ear)
    assert ear.worked.keys() == {"student"}
    known, found = lasting(run.result.model_dump()), lasting(repeated.model_dump())
    assert {key for key in known if known[key] != found[key]} == {"teacher_examples"}
    for file in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "out" / file).read_bytes() == (run.folder / file).read_bytes()


def test_another_seed_is_another_student_of_the_same_teacher(
    finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path, ear
) -> None:
    run = finished("single")
    other = again(run, warm, tmp_path / "out", ear, seed=1)
    assert other.teacher_examples == 0
    assert ear.worked.keys() == {"student"}
    assert other.teacher_score == run.result.teacher_score
    assert other.history != run.result.history
    one, two = (load_file(folder / "model.safetensors") for folder in (run.folder, tmp_path / "out"))
    assert any(not torch.equal(value, two[key]) for key, value in one.items())


# --- the student without a teacher -------------------------------------------------------------------


def test_a_baseline_is_added_to_a_finished_run(
    finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path, ear
) -> None:
    run = finished("pair")
    pipeline = {"training": TRAINING | {"epochs": 2}}
    first = again(run, warm, tmp_path, pipeline=pipeline)
    weights = (tmp_path / "model.safetensors").read_bytes()
    second = again(run, warm, tmp_path, ear, pipeline=pipeline, student_alone=True)
    assert ear.worked.keys() == {"student alone"}
    assert second.student_alone_score is not None
    known, added = lasting(first.model_dump()), lasting(second.model_dump())
    assert {key for key in known if known[key] != added[key]} == {
        "calibration_error",
        "student_alone_score",
        "scores",
        "intervals",
        "verdict",
    }
    assert second.latency_ms == first.latency_ms
    assert second.seconds > first.seconds
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert "without a teacher reaches" in (tmp_path / "README.md").read_text()
    assert again(run, warm, tmp_path, pipeline=pipeline) == second


def test_a_baseline_that_fails_leaves_the_finished_run(
    options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small(options, tmp_path / "run")

    def fail(*_: object) -> None:
        raise RunError("out of luck")

    monkeypatch.setattr("engine.distillation.student_alone_scores", fail)
    with pytest.raises(RunError, match="out of luck"):
        small(options, tmp_path / "run", student_alone=True)
    assert RunResult.read(tmp_path / "run") == first
    assert small(options, tmp_path / "run") == first


def test_bf16_on_the_cpu(finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path) -> None:
    run = finished("regression")
    result = again(run, warm.model_copy(update={"precision": "bf16"}), tmp_path / "out")
    assert result.precision == "bf16"
    assert result.identity != run.result.identity
    assert result.student_score > LEARNED["regression"]
    assert {value.dtype for value in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.float32}
    assert len(load_predictor(tmp_path / "out", RunOptions(device="cpu"))([{"text": "great"}])) == 1


@pytest.mark.parametrize("name", ["pair", "tagging"])
def test_a_teacher_in_8_bit_integers(
    name: str, finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path, ear
) -> None:
    """It says something else of the training examples; what it is, and how good, stays as it was."""
    run = finished(name)
    result = again(run, warm.model_copy(update={"int8_teacher": True}), tmp_path / "out", ear)
    assert result.precision == "float32, teacher int8"
    assert result.identity != run.result.identity
    assert ear.worked.keys() == {"teacher signals", "student"}
    assert (result.teacher_score, result.teacher_size_mb) == (run.result.teacher_score, run.result.teacher_size_mb)
    losses = [each.history[0]["loss"]["prediction"] for each in (run.result, result)]
    assert losses[0] != losses[1]
    assert losses == pytest.approx([losses[0]] * 2, rel=0.05)
    assert result.student_score > LEARNED[name]


def test_a_test_set_reports_what_validation_selected(options: RunOptions, tmp_path: Path) -> None:
    """Whatever its labels are, they change no weight and no epoch; the ratio is of it alone."""
    task = toy_task("pair", rows=24, held_out=8)
    other = toy_task("pair", rows=40, held_out=1, seed=1).train
    flipped = other.map(lambda row: {"label": 1 - row["label"]})
    results = []
    for number, rows in enumerate((other, flipped)):
        data = replace(task, test={"test": rows}, fingerprint="")
        out, training = tmp_path / str(number), {"training": TRAINING | {"epochs": 3}}
        results.append(small(options, out, data=data, pipeline=training, student_alone=True))
    first, second = results
    assert first.history == second.history
    assert (tmp_path / "0/model.safetensors").read_bytes() == (tmp_path / "1/model.safetensors").read_bytes()
    assert (first.split, first.selected_on) == ("test", "validation")
    for role in ("teacher", "student", "student_alone"):
        assert first.scores[role].keys() == first.intervals[role].keys() == {"validation", "test"}
        assert first.scores[role]["validation"] == second.scores[role]["validation"]
        accuracies = [each.scores[role]["test"]["accuracy"] for each in results]
        assert sum(accuracies) == pytest.approx(1)
    assert first.student_score == first.scores["student"]["test"]["accuracy"]
    assert first.distillation_ratio == first.student_score / first.teacher_score
    assert first.ratio_interval[0] <= first.distillation_ratio <= first.ratio_interval[1]
    assert first.selection_score == max(entry["scores"]["accuracy"] for entry in first.history)
    assert sum(each.rows for each in first.classes) == sum(map(sum, first.confusion)) == 40
    assert sum(first.confusion[index][index] for index in range(2)) / 40 == first.student_score


# --- values of any size ------------------------------------------------------------------------------


def prices(task: Task) -> Task:
    """The task with values of mean about 50,000 and deviation about 10,000."""

    def scaled(row: dict[str, float]) -> dict[str, float]:
        return {"label": 5e4 + 1e4 * row["label"]}

    sets = {name: rows.map(scaled) for name, rows in task.validation.items()}
    return replace(task, train=task.train.map(scaled), validation=sets, fingerprint="prices")


SEARCHED = {"validation": "hard_label", "second_order": True}  # as θ of regression has to be


@pytest.mark.parametrize(
    "parts",
    [
        {"augmentation": "mixup", "weights": {"hard_label": 0.5}},
        {"team": {"kind": "assistants", "members": ["layers:1"]}},
        {"team": {"kind": "weighted", "members": ["layers:1"]}},
        {"team": {"kind": "autoskd", "members": ["layers:1"], "update": "cr", "candidates": 1} | SEARCHED},
    ],
    ids=["one teacher", "assistants", "weighted", "autoskd"],
)
def test_values_far_from_0_are_learned_and_answered(parts: dict[str, Any], options: RunOptions, tmp_path: Path) -> None:
    """Teacher, members, student and student alone; before, a correlation of about 0 remained."""
    task = prices(toy_task("regression"))
    result = distill(
        task,
        teacher=TEACHER,
        student="layers:1",
        pipeline={"prediction": {"kind": "mse"}, "training": TRAINING} | parts,
        out=tmp_path / "out",
        student_alone="augmentation" in parts,
        fine_tuning=TUNING,
        options=options,
    )
    found = [scores["validation"]["spearman"] for scores in result.scores.values()]
    found += [member.score("spearman") for member in result.team.teachers] if result.team else []
    assert min(found) > LEARNED["regression"]
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    rows = task.validation["validation"]
    inputs = AutoTokenizer.from_pretrained(tmp_path / "out")(rows["text"][:], padding=True, return_tensors="pt")
    with torch.no_grad():
        answers = plain.eval()(**inputs).logits.squeeze(-1).numpy()
    assert np.abs(answers - np.array(rows["label"][:])).mean() < 5e3  # always answering the mean: 7e3
    said = load_predictor(tmp_path / "out", options)([{"text": text} for text in rows["text"][:]])
    np.testing.assert_allclose([answer["score"] for answer in said], answers, rtol=1e-4)


def test_a_teacher_that_was_fine_tuned_before_answers_in_its_own_unit(options: RunOptions, tmp_path: Path) -> None:
    task = toy_task("regression", rows=24, held_out=8)
    model = save_tiny(tmp_path / "teacher", task)
    machine = machine_for(options)
    plan = plan_teacher(str(tmp_path / "teacher"), prices(task), TUNING)
    ready = prepare_teacher(plan, prices(task), Training(max_length=24), machine)
    for mine, its in zip(model.parameters(), ready.model.parameters(), strict=True):
        assert torch.equal(mine, its)


# --- long texts --------------------------------------------------------------------------------------


def long_task() -> Task:
    """Texts of about 100 words whose last word decides."""
    task = toy_task("single", rows=48, held_out=16)

    def longer(row: dict[str, Any]) -> dict[str, str]:
        return {"text": f"{'the day ' * 48}{row['text']}"}

    sets = {name: rows.map(longer) for name, rows in task.validation.items()}
    return replace(task, train=task.train.map(longer), validation=sets, fingerprint="long")


@pytest.mark.parametrize("max_length, cut", [(None, 0), (64, 48)])
def test_nothing_is_cut_in_silence(max_length: int | None, cut: int, options: RunOptions, tmp_path: Path, ear) -> None:
    pipeline = {"training": TRAINING | {"epochs": 1} | ({"max_length": max_length} if max_length else {})}
    tuning = FineTuning(epochs=1, learning_rate=1e-3)
    result = small(options, tmp_path, data=long_task(), pipeline=pipeline, fine_tuning=tuning, reporter=ear)
    length = result.pipeline["training"]["max_length"]
    assert (length > 100) == (max_length is None)
    sentence = f"{cut} of 48 training texts (100.0%) are longer than 64 tokens, and what follows is not read; "
    sentence += "--set training.max_length=512 reads more."
    assert [sentence in " ".join(ear.messages), sentence in " ".join(result.warnings)] == [cut > 0] * 2
    assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == length
    with_another = small(options, tmp_path, data=long_task(), pipeline=pipeline, fine_tuning=tuning, student_alone=True)
    assert with_another.student_alone_score is not None
    assert with_another.warnings == result.warnings
