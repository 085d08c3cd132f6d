"""On a GPU: every precision learns the same, the cache equals the teacher, every task runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import distill
from engine.base.machine import choose_precision, device_name, machine_for, peak_memory_mb
from engine.base.options import FineTuning, RunOptions
from engine.evaluation.inference import logits_of
from engine.models.forward import TeacherNeeds
from engine.models.load import build, for_task
from engine.run.predictor import load_predictor
from engine.run.result import RunResult
from engine.signals.signals import OnlineSignals, signals_for
from engine.signals.store import SignalStore
from engine.tokens.examples import encode
from tests.records import lasting
from tests.tokenizers import wordpiece
from tests.toys import ROWS, perturb, tiny_config, toy_task

pytestmark = pytest.mark.gpu
KINDS = [name for name in ROWS if name != "pair"]
TRAINING = {"epochs": 6, "batch_size": 8, "learning_rate": 1e-3}
CRITIC = {"kind": "transformer", "width": 16, "layers": 1, "feed_forward": 32, "heads": 2}
LEARNED = {"single": 0.75, "pair": 0.85, "regression": 0.6, "tagging": 0.9, "question_answering": 0.8}


@pytest.fixture
def on_gpu(options: RunOptions) -> RunOptions:
    return options.model_copy(update={"device": "cuda"})


def run(name: str, options: RunOptions, out: Path, **components: Any) -> RunResult:
    chosen = {"intermediate": {"kind": "mi_alpha", "critic": CRITIC}, "mapping": {"kind": "emd"}, **components}
    return distill(
        toy_task(name),
        teacher="scratch:layers=2,hidden=64,heads=2",
        student="layers:1",
        pipeline={**chosen, "training": TRAINING},
        out=out,
        fine_tuning=FineTuning(epochs=6, batch_size=8, learning_rate=1e-3),
        options=options,
    )


@pytest.mark.parametrize("name", ROWS)
def test_every_task_is_learned(name: str, on_gpu: RunOptions, tmp_path: Path) -> None:
    result = run(name, on_gpu.model_copy(update={"precision": "auto"}), tmp_path / "out")
    assert result.device.startswith("cuda")
    assert result.precision == choose_precision("auto", torch.device("cuda"))
    assert result.teacher_score > LEARNED[name]
    assert result.student_score > LEARNED[name]
    assert result.teacher_examples == len(toy_task(name).train)
    assert result.peak_memory_mb > 0
    task = toy_task(name)
    fields = {"tagging": ("tokens",), "question_answering": ("question", "context"), "pair": ("text", "text_pair")}
    rows = [{field: row[field] for field in fields.get(name, ("text",))} for row in task.validation["validation"]]
    on_cpu, on_cuda = (load_predictor(tmp_path / "out", RunOptions(device=d)).indices(rows) for d in ("cpu", "cuda"))
    assert on_cuda == (pytest.approx(on_cpu, abs=1e-2) if name == "regression" else on_cpu)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["single", "tagging"])
def test_mixed_precision_scores_like_float32(name: str, precision: str, on_gpu: RunOptions, tmp_path: Path) -> None:
    exact = run(name, on_gpu, tmp_path / "float32")
    mixed = run(name, on_gpu.model_copy(update={"precision": precision}), tmp_path / precision)
    assert (exact.precision, mixed.precision) == ("float32", precision)
    assert mixed.teacher_score == pytest.approx(exact.teacher_score, abs=0.1)
    assert mixed.student_score == pytest.approx(exact.student_score, abs=0.1)
    assert all(math.isfinite(value) for entry in mixed.history for value in entry["loss"].values())


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("name", KINDS)
def test_cached_equals_online(name: str, precision: str, on_gpu: RunOptions) -> None:
    machine = machine_for(on_gpu.model_copy(update={"precision": precision}))
    task = toy_task(name, rows=70, held_out=1)
    teacher = build(for_task(tiny_config(), task, wordpiece()), task.kind, 0)
    perturb(teacher)
    encoded = encode(task.train, task, wordpiece(), 32, 8 if name == "question_answering" else None)
    online = OnlineSignals(teacher, task.kind, encoded, TeacherNeeds((2, 4), "all"), machine.accelerator)
    store = SignalStore(machine.options.cache / "signals" / "a", encoded.lengths, task.outputs, task.token_level, 16)
    cached = signals_for(online, store, machine)
    ids = np.array([0, 50, 3])
    read, said = cached.view(cached.fetch(ids)), online.view(online.fetch(ids))
    assert (cached.source, read.logits.device.type, read.mask.device.type) == ("cached", "cuda", "cuda")
    assert torch.equal(read.mask, said.mask)
    tolerance = 2e-3 if precision == "float32" else 3e-2
    real = said.mask[..., None]
    values = [(read.logits, said.logits, real if task.token_level else 1)]
    values += [(read.hidden[layer], said.hidden[layer], real) for layer in (2, 4)]
    for one, other, mask in values:
        torch.testing.assert_close(one.float() * mask, other.float() * mask, rtol=tolerance, atol=tolerance)


def test_online_and_cached_learn_the_same(on_gpu: RunOptions, tmp_path: Path) -> None:
    cached, online = (
        run("single", on_gpu.model_copy(update={"signals": signals}), tmp_path / signals, intermediate={"kind": "mse"})
        for signals in ("auto", "online")
    )
    assert (cached.signals, online.signals) == ("cached", "online")
    assert online.teacher_examples == 6 * cached.teacher_examples
    assert online.history[0]["loss"] == pytest.approx(cached.history[0]["loss"], rel=0.02)


@pytest.mark.parametrize(
    "team",
    [
        {"kind": "average"},
        {"kind": "assistants"},
        {"kind": "weighted"},
        {"kind": "stochastic"},
        {"kind": "autoskd", "candidates": 2},
        {"kind": "autoskd", "candidates": 2, "update": "cr", "second_order": True},
    ],
    ids=lambda team: " ".join(map(str, team.values())),
)
@pytest.mark.parametrize("name", ["single", "tagging"])
def test_a_team_teaches(name: str, team: dict[str, Any], on_gpu: RunOptions, tmp_path: Path) -> None:
    team = team | {"members": ["layers:1", "scratch:layers=1,hidden=32,heads=1"]}
    plain = {"intermediate": {"kind": "none"}, "mapping": {"kind": "none"}}
    result = run(name, on_gpu, tmp_path / "out", team=team, **plain)
    lost = 0.2 if team["kind"] == "assistants" else 0.1
    assert result.student_score > LEARNED[name] - lost
    assert len(result.team.teachers) == 3


def test_a_gpu_agrees_with_the_cpu(options: RunOptions, on_gpu: RunOptions) -> None:
    task = toy_task("single", rows=4, held_out=20)
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, 0)
    encoded = encode(task.validation["validation"], task, wordpiece(), 32)
    found = [logits_of(model, encoded, task.kind, machine_for(each).accelerator) for each in (options, on_gpu)]
    np.testing.assert_allclose(np.stack(found[0]), np.stack(found[1]), atol=2e-3)


def test_a_finished_run_is_known_again(on_gpu: RunOptions, tmp_path: Path) -> None:
    first = run("regression", on_gpu, tmp_path / "out", prediction={"kind": "mse"})
    again = run("regression", on_gpu, tmp_path / "out", prediction={"kind": "mse"})
    assert lasting(again.model_dump()) == lasting(first.model_dump())


def test_the_device_is_named_and_measured() -> None:
    device = torch.device("cuda")
    assert device_name(device) == f"cuda: {torch.cuda.get_device_name()}"
    ballast = torch.ones(50_000_000, device=device)
    assert peak_memory_mb(device) >= ballast.numel() * 4 / 1e6
