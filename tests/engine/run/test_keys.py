"""Keys of what is kept: whatever decides it is part of its key, so that alone it makes another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from autodistill.datasets import bilstm
from engine.base.machine import Machine
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import SilentReporter
from engine.data.task import Task
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.training import Training
from engine.run import fine_tuning, prepare, teacher
from engine.run.plan import RunPlan, TeacherPlan, plan_run
from engine.team import members
from tests.toys import toy_task

TRAINING = Training(epochs=3, learning_rate=1e-4, max_length=32)
TUNING = FineTuning(epochs=2, early_stopping=1, batch_size=8, learning_rate=1e-4)
OTHER_TRAINING = {
    "epochs": 4,
    "early_stopping": 1,
    "batch_size": 8,
    "gradient_accumulation": 2,
    "learning_rate": 2e-4,
    "weight_decay": 0.1,
    "warmup": 0.2,
    "max_grad_norm": 2.0,
    "max_length": 40,
    "window_overlap": 9,
    "calibrate": True,
    "class_weights": "balanced",
}
OTHER_TUNING = {"epochs": 3, "early_stopping": 2, "batch_size": 4, "learning_rate": 2e-4, "seed": 1, "lora": 4}
ASKED = {"prompt": "{text}", "label_words": "negative=bad", "uncalibrated": True}
"""What a language model is asked, in place of being fine-tuned: it is in the identity of its start."""


IN_NO_KEY = {"when", "gradient_checkpointing", "weights"}
"""Fields that decide nothing, or, as what weights are held in, the identity of the start."""


class KeyFoundError(Exception):
    """Carries a key out of the function that asks the cache for it."""


def key_of(made: Callable[[], Any]) -> Any:
    """What the cache is asked for."""
    with pytest.raises(KeyFoundError) as caught:
        made()
    return caught.value.args[0]


def found(*key: Any, about: str = "") -> Any:
    """Stands in for what reads the cache."""
    raise KeyFoundError(key)


def plan_of(task: Task, tuning: FineTuning = TUNING) -> RunPlan:
    pipeline = Pipeline(training=TRAINING)
    return plan_run(task, pipeline, "scratch:layers=2,hidden=16", "scratch:layers=1,hidden=16", fine_tuning=tuning)


def machine(precision: str = "float32", int8_teacher: bool = False) -> Machine:
    accelerator: Any = SimpleNamespace(mixed_precision=precision, is_main_process=True, device=torch.device("cpu"))
    return Machine(accelerator, RunOptions(cache_dir="cache", int8_teacher=int8_teacher), SilentReporter())


def assert_each_makes_another(made: Callable[..., Any], usual: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """Each of the ingredients alone, and the same ones the same key."""
    keys = [made(**usual), *(made(**{**usual, name.partition(":")[0]: value}) for name, value in others.items())]
    names = ["usual", *others]
    assert keys[0] == made(**usual)
    same = [(a, b) for i, a in enumerate(names) for j, b in enumerate(names) if i < j and keys[i] == keys[j]]
    assert not same


@pytest.fixture(name="task", scope="module")
def _task() -> Task:
    return toy_task("single", rows=20, held_out=10)


def changed(tuning: FineTuning) -> dict[str, FineTuning]:
    """The same with another value of each field."""
    return {f"tuning:{name}": tuning.model_copy(update={name: value}) for name, value in OTHER_TUNING.items()}


def test_the_lists_above_name_every_field() -> None:
    assert OTHER_TUNING.keys() | ASKED.keys() == FineTuning.model_fields.keys() - IN_NO_KEY
    assert OTHER_TRAINING.keys() == Training.model_fields.keys() - {"paper"}  # which settles others


def test_a_teacher(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "kept_teacher", lambda key, *_, **__: found(key))

    def made(identity: str, fine_tune: bool, tuning: FineTuning, data: str, reading: Training, precision: str) -> Any:
        own = plan_of(task).teacher
        own = TeacherPlan(replace(own.start, identity=identity), fine_tune, tuning)
        there = replace(task, fingerprint=data)
        return key_of(lambda: teacher.prepare_teacher(own, there, reading, machine(precision)))

    usual = {"identity": "m", "fine_tune": True, "tuning": TUNING, "data": "d"}
    usual |= {"reading": TRAINING, "precision": "float32"}
    others = {"identity": "n", "fine_tune": False, "data": "e", "precision": "bf16", **changed(TUNING)}
    readings = {name: TRAINING.model_copy(update={name: value}) for name, value in OTHER_TRAINING.items()}
    shared = ("max_length", "window_overlap", "class_weights")
    others |= {f"reading:{name}": readings[name] for name in shared}
    assert_each_makes_another(made, usual, others)
    for name in readings.keys() - {*shared}:  # of the student's training alone
        assert made(**{**usual, "reading": readings[name]}) == made(**usual)
    ready = {**usual, "fine_tune": False}  # which learns from no labels
    assert made(**{**ready, "reading": readings["class_weights"]}) == made(**ready)
    recomputed = TUNING.model_copy(update={"gradient_checkpointing": True})  # the same teacher, in less memory
    assert made(**{**usual, "tuning": recomputed}) == made(**usual)


def test_an_assistant(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "kept_teacher", lambda key, *_, **__: found(key))

    def made(
        before: str, identity: str, tuning: FineTuning, parts: Mapping[str, Any], reading: Training, int8: bool
    ) -> Any:
        plan = plan_of(task)
        pipeline = Pipeline.model_validate({"training": reading.model_dump(), **parts})
        run = SimpleNamespace(plan=replace(plan, pipeline=pipeline), machine=machine(int8_teacher=int8))
        own = replace(plan.teacher, start=replace(plan.teacher.start, identity=identity), fine_tuning=tuning)
        return key_of(lambda: members._assistant(run, own, SimpleNamespace(key=before), "b"))  # type: ignore[arg-type]

    usual = {"before": "t", "identity": "m", "tuning": TUNING, "parts": {}, "reading": TRAINING, "int8": False}
    parts = {
        "loss": {"prediction": {"kind": "kl"}},
        "temperature": {"prediction": {"kind": "kl", "temperature": 3.0}},
        "prediction": {"weights": {"prediction": 0.5}},
        "labels": {"weights": {"hard_label": 0.5}},
    }
    others = {"before": "u", "identity": "n", "int8": True, **changed(TUNING)}
    others |= {f"parts:{name}": part for name, part in parts.items()}
    others |= {"reading:length": TRAINING.model_copy(update={"max_length": 40})}
    others |= {"reading:weights": TRAINING.model_copy(update={"class_weights": "balanced"})}
    assert_each_makes_another(made, usual, others)


def test_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "kept", found)

    def made(key: str, length: int, tokens: list[int], precision: str, int8: bool) -> Any:
        training = SimpleNamespace(max_length=length)
        names = {"task": SimpleNamespace(name="toy"), "teacher_name": "org/big"}
        plan = SimpleNamespace(pipeline=SimpleNamespace(training=training), **names)
        run: Any = SimpleNamespace(plan=plan, machine=machine(precision, int8))
        values = SimpleNamespace(values=np.array(tokens))
        online: Any = SimpleNamespace(encoded=SimpleNamespace(tokens=values))
        own: Any = SimpleNamespace(key=key)
        return key_of(lambda: prepare.cached_signals(online, own, run))

    usual = {"key": "t", "length": 32, "tokens": [1, 2], "precision": "float32", "int8": False}
    others = {"key": "u", "length": 40, "tokens": [2, 1], "precision": "bf16", "int8": True}
    assert_each_makes_another(made, usual, others)


def test_a_student_alone(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "begin", lambda *_: None)
    monkeypatch.setattr(fine_tuning, "gold_scores", lambda *given: found(given[5]))
    monkeypatch.setattr(TeacherPlan, "begin", lambda *_: None)

    def made(student: str, big: str, tune: bool, tuned: int, reading: Training, seed: int, data: str, how: str) -> Any:
        plan = plan_of(task, TUNING.model_copy(update={"seed": tuned}))
        start = replace(plan.teacher.start, identity=big)
        plan = replace(
            plan,
            task=replace(task, fingerprint=data),
            student=replace(plan.student, identity=student),
            teacher=replace(plan.teacher, start=start, fine_tune=tune),
            pipeline=plan.pipeline.model_copy(update={"training": reading}),
            seed=seed,
        )
        run: Any = SimpleNamespace(plan=plan, machine=machine(how))
        return key_of(lambda: fine_tuning.student_alone_scores(run.plan, run.machine))

    usual = {"student": "s", "big": "t", "tune": True, "tuned": 0, "reading": TRAINING, "seed": 0, "data": "d"}
    usual |= {"how": "float32"}
    others = {"student": "r", "big": "u", "tune": False, "tuned": 1, "seed": 7, "data": "e", "how": "bf16"}
    readings = {f"reading:{name}": TRAINING.model_copy(update={name: value}) for name, value in OTHER_TRAINING.items()}
    calibrated = readings.pop("reading:calibrate")  # which comes after what is measured here
    assert_each_makes_another(made, usual, {**others, **readings})
    assert made(**{**usual, "reading": calibrated}) == made(**usual)


def test_a_bilstm(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bilstm, "_start", lambda *_: (None, None))
    monkeypatch.setattr(bilstm, "change_unit", lambda *_: None)
    monkeypatch.setattr(bilstm, "gold_scores", lambda *given: found(given[5]))

    def made(data: str, settings: bilstm.BiLSTMSettings, precision: str) -> Any:
        there = replace(task, fingerprint=data)
        return key_of(lambda: bilstm.bilstm_measures(there, machine(precision), settings))

    usual = {"data": "d", "settings": bilstm.DEFAULTS, "precision": "float32"}
    others: dict[str, Any] = {"data": "e", "precision": "bf16"}
    for name, value in vars(bilstm.DEFAULTS).items():
        more = {name: value * 2 if value else 1}
        others[f"settings:{name}"] = replace(bilstm.DEFAULTS, **more)
    assert_each_makes_another(made, usual, others)
