"""The model card says what the record says, in every case."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from engine.models.load import HEADS
from engine.pipeline.presets import PRESETS
from engine.run.card import write_card
from engine.run.result import RunResult
from tests.toys import ROWS, toy_task

FACTS = {
    "status": "ok",
    "identity": "i",
    "dataset_fingerprint": "f",
    "labels": [],
    "train_examples": 12345,
    "seed": 7,
    "split": "test",
    "selected_on": "validation",
    "student_score": 0.81234,
    "teacher_score": 0.9,
    "distillation_ratio": 0.9026,
    "parameters": 1_000_000,
    "teacher_parameters": 4_000_000,
    "size_mb": 4.0,
    "teacher_size_mb": 16.0,
    "latency_ms": 1.25,
    "teacher_latency_ms": 5.0,
    "throughput": 100.0,
    "teacher_throughput": 25.0,
    "device": "cpu, 2 threads",
    "precision": "bf16",
}


def card_for(folder: Path, name: str = "single", **facts: object) -> ModelCard:
    task = toy_task(name, rows=4, held_out=4)
    own = {
        "task": task.name,
        "task_kind": task.kind,
        "metric": task.metric,
        "scores": {who: {"test": {task.metric: score}} for who, score in (("student", 0.81234), ("teacher", 0.9))},
        "intervals": {"student": {"test": {task.metric: [0.79, 0.83]}}},
        "teacher": "org/big",
        "student": "layers:3",
    }
    pipeline = PRESETS["tinybert"].pipeline.for_task(task).model_dump()
    result = RunResult.model_validate({**FACTS, **own, "pipeline": pipeline, **facts})
    folder.mkdir(exist_ok=True)
    write_card(folder, result, task)
    return ModelCard.load(folder / "README.md")


@pytest.mark.parametrize("name", ROWS)
def test_the_figures(name: str, tmp_path: Path) -> None:
    card, task = card_for(tmp_path / "student", name), toy_task(name)
    tags = {"tagging": "token-classification", "question_answering": "question-answering"}
    assert card.data.pipeline_tag == tags.get(name, "text-classification")
    assert (card.data.eval_results[0].metric_type, card.data.eval_results[0].metric_value) == (task.metric, 0.81234)
    assert f"| {task.metric} | 0.8123 (0.790 to 0.830) | 0.9000 |" in card.text
    assert "Scores are of test, 0 to 1" in card.text
    assert "| parameters | 1,000,000 | 4,000,000 |" in card.text
    assert "| latency (ms) | 1.25 | 5.00 |" in card.text
    assert "**0.9026**" in card.text
    assert "Training rows: 12,345; seed 7; student started as `layers:3`; precision bf16." in card.text
    assert f"{HEADS[task.kind].__name__}.from_pretrained" in card.text
    assert 'kind = "attention"' in card.text
    assert "None" not in card.text


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    card = card_for(tmp_path / "student", distillation_ratio=None, latency_ms=None, teacher_size_mb=None)
    assert "**undefined**" in card.text
    assert "latency (ms)" not in card.text
    assert "size (MB)" not in card.text
    assert "without a teacher" not in card.text


def test_scores_of_rows_that_also_selected_say_so(tmp_path: Path) -> None:
    card = card_for(tmp_path / "student", selected_on="test", ratio_interval=[0.88, 0.93])
    assert (
        f"teacher, {toy_task('single').metric}), on test (also used to select):\n**0.9026 (0.880 to 0.930)**"
        in card.text
    )


def test_classes_and_their_confusion(tmp_path: Path) -> None:
    classes = [
        {"label": label, "precision": 0.5, "recall": 0.25, "f1": 1 / 3, "rows": 1234} for label in ("ham", "a|b")
    ]
    card = card_for(tmp_path / "student", classes=classes, confusion=[[1200, 34], [0, 1234]])
    assert "| class | precision | recall | F1 | rows |" in card.text
    assert "| ham | 0.500 | 0.250 | 0.333 | 1,234 |" in card.text
    assert "| class ↓ answer → | ham | a\\|b |" in card.text
    assert "| ham | 1,200 | 34 |" in card.text
    many = card_for(tmp_path / "many", classes=classes * 11, confusion=[[0]])
    assert "The scores of the 22 classes and their confusion matrix are in `result.json`." in many.text
    assert "precision |" not in many.text


def test_labels_have_a_table_and_no_matrix(tmp_path: Path) -> None:
    lines = [{"label": label, "precision": 0.5, "recall": 0.25, "f1": 1 / 3, "rows": 12} for label in ("joy", "love")]
    card = card_for(tmp_path / "student", "multi_label", classes=lines)
    assert "| label | precision | recall | F1 | rows |" in card.text
    assert "| joy | 0.500 | 0.250 | 0.333 | 12 |" in card.text
    assert "answer →" not in card.text
    many = card_for(tmp_path / "many", "multi_label", classes=lines * 11)
    assert "The scores of the 22 labels are in `result.json`." in many.text


def test_f1_is_named_by_its_class(tmp_path: Path) -> None:
    scores = {who: {"test": {"f1": 0.5}} for who in ("student", "teacher")}
    card = card_for(tmp_path / "student", metric="f1", positive="spam", scores=scores)
    assert "| f1 of spam | 0.5000 | 0.5000 |" in card.text
    assert "(student / teacher, f1 of spam)" in card.text


def test_baseline_and_warnings_are_told(tmp_path: Path) -> None:
    card = card_for(tmp_path / "student", student_alone_score=0.7, warnings=["The ratio means {little} here: *so*."])
    assert "The same student without a teacher reaches 0.7000." in card.text
    assert "> The ratio means {little} here: \\*so\\*." in card.text


@pytest.mark.parametrize("name", ["plain", "with: colon", "#hash", "- dash", "'quote", "ümlaut {brace}"])
def test_any_name_makes_valid_metadata(name: str, tmp_path: Path) -> None:
    card = card_for(tmp_path / name, task=name)
    assert card.data.model_name == name
    assert f"# {name}: a student of org/big" in card.text


def test_local_models_are_named_without_their_paths(tmp_path: Path) -> None:
    for name in ("big", "small"):
        (tmp_path / name).mkdir()
    card = card_for(tmp_path / "student", teacher=str(tmp_path / "big"), student=str(tmp_path / "small"))
    assert "from `big`" in card.text
    assert "started as `small`" in card.text
    assert str(tmp_path) not in card.text


def test_who_taught_is_told(tmp_path: Path) -> None:
    homes = [tmp_path / name / "bert" for name in ("one", "other")]
    for home in homes:
        home.mkdir(parents=True)
    names = ["org/big", *map(str, homes)]
    members = [
        {"name": name, "parameters": 1000 * place, "scores": {"test": {"accuracy": place / 10}}}
        for place, name in enumerate(names, start=1)
    ]
    pipeline = {"team": {"kind": "stochastic", "members": names[1:]}}
    team = {"teachers": members, "distribution": [0.5, 0.5, 0.0]}
    card = card_for(tmp_path / "student", team=team, pipeline=pipeline)
    assert "from `org/big` and 2 more on" in card.text
    assert "| who taught | parameters | accuracy | share |" in card.text
    assert "| `org/big` | 1,000 | 0.1000 | 0.500 |" in card.text
    assert "| `bert` | 3,000 | 0.3000 | 0.000 |" in card.text
    assert str(tmp_path) not in card.text
    everyone = card_for(tmp_path / "student", team={**team, "distribution": None}, pipeline=pipeline)
    assert "| who taught | parameters | accuracy |\n| --- | --- | --- |\n| `org/big` |" in everyone.text


def test_nothing_from_data_or_names_is_html_or_markdown(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>[a](http://x)\n# b|`c`\x1b"
    classes = [{"label": label, "precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 2} for label in (hostile, "ham")]
    facts = {"classes": classes, "confusion": [[1, 1], [1, 1]], "verdict": [hostile], "warnings": [hostile]}
    scores = {who: {hostile: {"f1": 0.5}} for who in ("student", "teacher")}
    facts |= {"task": hostile, "metric": "f1", "positive": hostile, "split": hostile, "scores": scores, "intervals": {}}
    card = card_for(tmp_path / "a <b> [c](d)", teacher=hostile, student=hostile, **facts)
    text, _, _ = card.text.partition("```python")
    outside = re.sub(r"(?<!\\)`[^`\n]*`", "", text)
    assert not re.search(r"<\w|\]\(|\x1b|^# b", outside.replace("\\]\\(", "").replace("\\]", ""), re.MULTILINE)
    assert r"&lt;img src=x onerror=alert(1)&gt;\[a\](http://x)\\n# b\|\`c\`\\x1b" in text
    assert "# a &lt;b&gt; \\[c\\](d): a student of" in text
    assert text.count("\n# ") == 1
