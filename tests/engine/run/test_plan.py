"""A run is settled and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModel

from engine.base import machine
from engine.base.errors import InputError
from engine.base.machine import machine_for
from engine.base.options import FineTuning, RunOptions
from engine.data.task import Task
from engine.models.load import save_model
from engine.pipeline import EMD, MSE, Attention, Manual, Pipeline, PredictionCE, PredictionMSE, Relations, Training
from engine.pipeline.presets import PRESETS
from engine.run.memory import weights_of
from engine.run.plan import RunPlan, check_trains, plan_run
from tests.tasks import make_task
from tests.tokenizers import bare_bpe, wordpiece
from tests.toys import ROWS, save_tiny, toy_task

TEACHER, STUDENT = "scratch:layers=4,hidden=16,heads=2", "scratch:layers=2,hidden=8,heads=1"


def plan(task="single", teacher=TEACHER, student=STUDENT, pipeline=None, **more) -> RunPlan:
    task = toy_task(task, rows=8, held_out=8) if isinstance(task, str) else task
    return plan_run(task, pipeline or Pipeline(), teacher, student, **more)


@pytest.mark.parametrize("name", ROWS)
def test_every_kind_of_task_has_a_plan_without_open_values(name: str) -> None:
    training = plan(name).pipeline.training
    assert training.epochs == 50  # of 8 rows
    lengths = {"single": 64, "regression": 64, "multi_label": 64, "question_answering": 320}
    assert training.max_length == lengths.get(name, 128)
    assert training.window_overlap == (128 if name == "question_answering" else None)
    assert training.learning_rate is not None
    assert plan(name).pipeline.prediction is not None


def test_the_identity_in_another_precision() -> None:
    single = toy_task("single", rows=8, held_out=8)
    own = plan(single)
    assert own.identity_in("float32") == own.identity
    assert own.identity_in("bf16") == plan(single, precision="bf16").identity != own.identity


def test_what_decides_the_identity() -> None:
    single = toy_task("single", rows=8, held_out=8)
    own = plan(single)
    assert plan(single).identity == own.identity
    others = [
        plan(replace(single, fingerprint="other")),
        plan(single, teacher="scratch:layers=5,hidden=16,heads=2"),
        plan(single, student="layers:2"),
        plan(single, student="layers:3"),
        plan(single, student="lstm"),
        plan(single, student="lstm:hidden=32"),
        plan(single, student="static"),
        plan(single, pipeline=Pipeline(prediction=PredictionMSE())),
        plan(single, pipeline=Pipeline(training=Training(epochs=3))),
        plan(single, seed=1),
        plan(single, precision="bf16"),
        plan(single, fine_tuning=FineTuning(epochs=9)),
        plan(single, fine_tuning=FineTuning(seed=1)),
    ]
    assert len({own.identity, *(other.identity for other in others)}) == 1 + len(others)
    # The defaults in words are the defaults.
    spelt = own.pipeline.training
    assert plan(single, pipeline=Pipeline(training=spelt)).identity == own.identity
    assert plan(single, fine_tuning=FineTuning(when="always")).identity == own.identity


def test_the_weights_are_part_of_the_identity_and_the_place_is_not(saved: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(saved(), tmp_path / "copy")
    one, copy, other = (plan(teacher=str(path)) for path in (saved(), tmp_path / "copy", saved(seed=1)))
    assert one.identity == copy.identity != other.identity


@pytest.mark.parametrize("student", [STUDENT, "layers:2"])
def test_a_model_with_its_head_is_not_the_one_without(student: str, saved: Callable[..., Path]) -> None:
    """Under these names its layers, and assistants that begin as it, are kept."""
    for_tuning = [FineTuning(when=when) for when in ("auto", "always")]
    as_it_is, anew = (plan(teacher=str(saved()), student=student, fine_tuning=each) for each in for_tuning)
    assert as_it_is.teacher.start.identity != anew.teacher.start.identity
    assert (as_it_is.student.identity != anew.student.identity) == (student == "layers:2")


def test_each_of_a_team_is_fine_tuned_as_suits_its_size(saved: Callable[..., Path], tmp_path: Path) -> None:
    """All had the rate of a large model, except those from scratch."""
    config = AutoConfig.for_model("bert", vocab_size=300, hidden_size=384, num_hidden_layers=1, intermediate_size=8)
    save_model(AutoModel.from_config(config), wordpiece(), tmp_path)
    team = {"kind": "average", "members": [str(tmp_path), "layers:2", "scratch:layers=1,hidden=8,heads=1"]}
    found = plan(teacher=str(saved()), pipeline=Pipeline.model_validate({"team": team})).team
    assert [each.fine_tuning.learning_rate for each in found] == [3e-4, 1e-4, 3e-4, 5e-4]
    assert all(each.fine_tuning.early_stopping for each in found)


@pytest.mark.parametrize(
    "more, words",
    [
        ({"teacher": "layers:2"}, "--teacher: layers:K is a way to start a student"),
        ({"student": "layers:5"}, "--student: the teacher has only 4 layers"),
        ({"student": ""}, "--student: no model was named"),
        (
            {"task": "regression", "pipeline": Pipeline(prediction=PredictionCE())},
            "prediction.kind: needs classes, and a regression task has none",
        ),
        (
            {"task": "pair", "pipeline": Pipeline(training=Training(window_overlap=8))},
            "training.window_overlap: these are pairs, and nothing says which piece",
        ),
        (
            {"task": "tagging", "pipeline": Pipeline(training=Training(window_overlap=8))},
            "training.window_overlap: only question answering and classification have windows",
        ),
        (
            {"pipeline": Pipeline(intermediate=MSE()), "student": "scratch:layers=5,hidden=8,heads=1"},
            "needs a student that is not deeper than its teacher",
        ),
        ({"pipeline": Pipeline(training=Training(max_length=513))}, "the teacher reads at most 512 tokens"),
        ({"fine_tuning": FineTuning(when="never")}, "--fine-tune: a teacher from scratch has to be trained"),
    ],
)
def test_what_does_not_go_together(more: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(**more)


@pytest.mark.parametrize(
    "architecture, sizes, words",
    [
        ("mamba", {"state_size": 4}, "transformers has no head for tagging for models of this type"),
        ("fnet", {"intermediate_size": 8}, "models of this type take no attention mask, so padding would"),
    ],
)
def test_a_model_that_cannot_do_this(architecture: str, sizes: dict, words: str, tmp_path: Path) -> None:
    config = AutoConfig.for_model(architecture, vocab_size=300, hidden_size=8, num_hidden_layers=2, **sizes)
    save_model(AutoModel.from_config(config), wordpiece(), tmp_path)
    with pytest.raises(InputError) as caught:
        plan("tagging", teacher=str(tmp_path), student=str(tmp_path))
    assert [problem.place for problem in caught.value.problems] == ["--teacher", "--student"]
    assert all(words in problem.what and problem.got == architecture for problem in caught.value.problems)


def test_mixup_needs_models_that_take_embeddings(tmp_path: Path) -> None:
    """ModernBERT's head for question answering takes words alone."""
    task = toy_task("question_answering")
    save_tiny(tmp_path, task, "modernbert")
    mixing = Pipeline.model_validate({"augmentation": "mixup", "training": {"max_length": 64}})
    with pytest.raises(InputError, match="--teacher: .*take no embeddings in place of words, which mixup mixes"):
        plan("question_answering", teacher=str(tmp_path), pipeline=mixing)
    plan("question_answering", teacher=str(tmp_path), pipeline=Pipeline(training=Training(max_length=64)))


@pytest.mark.parametrize(
    "task, student, pipeline, words",
    [
        ("single", "lstm", {"intermediate": {"kind": "pkd"}}, "does not stand at its first token; got 'pkd'"),
        ("single", "static", {"intermediate": {"kind": "pkd"}}, "no layers that could learn from the teacher's"),
        ("pair", "static", {"intermediate": {"kind": "mi_alpha"}}, "no layers that could learn; got 'mi_alpha'"),
        ("tagging", "static", {}, "knows no order of words, and tagging asks about single ones"),
        ("question_answering", "static", {}, "knows no order of words, and question answering asks"),
        ("single", "static:width=32", {}, "have only 16"),
        ("single", "layers:2", {"team": {"kind": "average", "members": ["lstm"]}}, "lstm is a student"),
    ],
)
def test_what_a_student_that_is_no_transformer_cannot_do(task: str, student: str, pipeline: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(task, student=student, pipeline=Pipeline.model_validate(pipeline))
    assert len(caught.value.problems) == 1
    assert words.split(";")[0] in str(caught.value)


def test_two_texts_with_nothing_between_them_are_no_pair(tmp_path: Path) -> None:
    """A transformer learns where the second begins; what has no layers cannot."""
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    config = AutoConfig.for_model("bert", vocab_size=400, **sizes)
    save_model(AutoModel.from_config(config), bare_bpe(), tmp_path)
    plan("pair", teacher=str(tmp_path), student="layers:1")
    plan("single", teacher=str(tmp_path), student="lstm")
    with pytest.raises(InputError, match="--student: the tokenizer puts nothing between two texts"):
        plan("pair", teacher=str(tmp_path), student="lstm")


def test_a_deeper_student_under_transport_is_fine() -> None:
    found = plan(student="scratch:layers=5,hidden=8,heads=1", pipeline=Pipeline(intermediate=MSE(), mapping=EMD()))
    assert found.student.layers == 5


def test_all_that_is_wrong_at_once() -> None:
    pipeline = Pipeline(intermediate=MSE(), training=Training(max_length=1000))
    with pytest.raises(InputError) as caught:
        plan(student="scratch:layers=9,hidden=8,heads=1", pipeline=pipeline)
    assert [problem.place for problem in caught.value.problems] == ["mapping.kind", *["training.max_length"] * 2]


# --- values of any size ------------------------------------------------------------------------------


def valued(*values: float) -> Task:
    rows = [{"text": "a great house", "label": value} for value in values]
    return make_task("regression", rows)


def test_a_head_that_cannot_hold_the_unit_is_refused(tmp_path: Path) -> None:
    config = AutoConfig.for_model("gpt2", vocab_size=300, n_embd=8, n_layer=2, n_head=1)
    save_model(AutoModel.from_config(config), wordpiece(), tmp_path)
    words = "--student: the head of models of this type has no bias, .*unit of the values; got gpt2"
    with pytest.raises(InputError, match=words):
        plan(valued(1, 2), student=str(tmp_path))
    assert plan("single", student=str(tmp_path)).student.layers == 2


def test_values_that_float32_cannot_tell_apart_are_refused() -> None:
    words = r"--label: these values differ too little for float32.*got 1.7e\+09 ± 10"
    with pytest.raises(InputError, match=words):
        plan(valued(1.7e9 - 10, 1.7e9 + 10))
    plan(valued(1990, 2020))


def test_the_length_is_what_all_models_can_read(tmp_path: Path) -> None:
    task = toy_task("single", rows=8, held_out=8)
    task = replace(task, train=task.train.map(lambda row: {"text": 90 * row["text"]}))
    assert plan(task).pipeline.training.max_length == 256
    save_tiny(tmp_path, task, max_position_embeddings=100)
    assert plan(task, teacher=str(tmp_path)).pipeline.training.max_length == 96


@pytest.mark.parametrize(
    "more",
    [
        {"teacher": "scratch:layers=1000,hidden=100000,heads=10"},
        {"teacher": "scratch:layers=999999999,hidden=64"},
        {"student": "scratch:layers=1000,hidden=100000,heads=10"},
    ],
)
def test_models_that_no_memory_holds_are_not_built(more: dict) -> None:
    with pytest.raises(InputError, match=r"does not suffice: [\d.,]+ GB are needed at least, and .* are free"):
        plan(**more)


def test_weights_are_those_that_are_loaded(tmp_path: Path) -> None:
    """Models are often kept in several precisions side by side."""
    save_tiny(tmp_path, toy_task("single", rows=8, held_out=8))
    whole = tmp_path / "model.safetensors"
    (tmp_path / "model.fp16.safetensors").write_bytes(whole.read_bytes())
    assert weights_of(plan(teacher=str(tmp_path)).teacher.start) == whole.stat().st_size


def test_what_trains_takes_four_times_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    found, on_cpu = plan(), machine_for(RunOptions(device="cpu"))
    weights = weights_of(found.teacher.start)
    monkeypatch.setattr(machine, "SURELY_FREE", 0)
    monkeypatch.setattr(machine, "free_memory", lambda: 4 * weights)
    check_trains(found, on_cpu)
    monkeypatch.setattr(machine, "free_memory", lambda: 4 * weights - 1)
    with pytest.raises(InputError, match="--teacher: the memory does not suffice"):
        check_trains(found, on_cpu)


# --- attention ---------------------------------------------------------------------------------------


ON_ATTENTION = {"tinybert": PRESETS["tinybert"].pipeline, "minilm": PRESETS["minilm"].pipeline}
each_on_attention = pytest.mark.parametrize("pipeline", ON_ATTENTION.values(), ids=ON_ATTENTION)


@each_on_attention
@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "electra"])
def test_attention_of_models_like_bert_is_compared(
    pipeline: Pipeline, architecture: str, saved: Callable[..., Path]
) -> None:
    teacher = str(saved("single", architecture))
    assert plan(teacher=teacher, student="layers:2", pipeline=pipeline).student.layers == 2
    assert plan(student=teacher, pipeline=pipeline).student.layers == 4


@each_on_attention
@pytest.mark.parametrize("architecture", ["modernbert", "deberta-v2", "albert"])
def test_attention_of_other_models_is_not_known(
    pipeline: Pipeline, architecture: str, saved: Callable[..., Path]
) -> None:
    folder = str(saved("single", architecture))
    for places, models in {
        ("--teacher", "--student"): {"teacher": folder, "student": "layers:2"},
        ("--teacher",): {"teacher": folder, "student": STUDENT},
        ("--student",): {"teacher": TEACHER, "student": folder},
    }.items():
        with pytest.raises(InputError, match="queries and keys, which are not known of models of this type") as caught:
            plan(**models, pipeline=pipeline)
        assert tuple(problem.place for problem in caught.value.problems) == places
        assert {problem.got for problem in caught.value.problems} == {architecture}
        assert "bert" in caught.value.problems[0].allowed
    unused = pipeline.model_copy(update={"weights": pipeline.weights.model_copy(update={"intermediate": 0.0})})
    assert plan(teacher=folder, student=STUDENT, pipeline=unused)


@each_on_attention
@pytest.mark.parametrize("student", ["lstm", "static"])
def test_students_that_are_no_transformers_have_no_attention(pipeline: Pipeline, student: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(student=student, pipeline=pipeline)
    first, *others = caught.value.problems
    assert (first.place, first.got) == ("intermediate.kind", f"'{pipeline.intermediate.kind}'")
    assert {other.place for other in others} <= {"mapping.kind"}


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        (Pipeline(intermediate=Relations(heads=5)), "must divide the widths of student and teacher, 8 and 16; got 5"),
        (Pipeline(intermediate=MSE(), mapping=Manual(pairs=((3, 4),))), "the student has only 2 layers; got 3"),
        (Pipeline(intermediate=Attention(), mapping=Manual(pairs=((1, 5),))), "the teacher has only 4 layers; got 5"),
    ],
    ids=["heads", "student", "teacher"],
)
def test_heads_and_layers_that_are_not_there(pipeline: Pipeline, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(pipeline=pipeline)


IDENTITIES = {
    "mi_alpha": "86e211f08455eee2",
    "vanilla_kd": "a13879368b918fff",
    "mixkd": "32f033e9de0724e5",
    "bert_emd": "fa0c5cbe0536cc3b",
    "bert_pkd": "1b1fa7320600d228",
}
"""Preset → the identity of its run on a toy task, by which a store and a study know it again."""


@pytest.mark.parametrize("name", IDENTITIES)
def test_past_runs_keep_their_identity(name: str) -> None:
    task = toy_task("single")
    assert plan_run(task, PRESETS[name].pipeline, "scratch:layers=4,hidden=64", "layers:2").identity == IDENTITIES[name]
