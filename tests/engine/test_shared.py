"""Real models and real data from ../shared."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from engine import distill
from engine.base.options import FineTuning, RunOptions
from engine.models.forward import forward
from engine.models.load import depth_and_width, load_config, load_pretrained, load_tokenizer
from engine.pipeline.presets import PRESETS
from engine.run.plan import plan_run
from engine.run.predictor import load_predictor
from engine.tokens.examples import encode
from tests.tasks import shared_task

pytestmark = pytest.mark.shared
MINILM, STORIES = "all-MiniLM-L6-v2", "stories260K"


def test_minilm_is_what_it_says(shared: Path) -> None:
    name = str(shared / "models" / MINILM)
    config, tokenizer = load_config(name, "teacher"), load_tokenizer(name, "teacher")
    assert depth_and_width(config) == (6, 384)
    assert len(tokenizer) == 30522
    task = shared_task(shared / "datasets" / "sst2", limit=8)
    model = load_pretrained(name, config, task.kind, 0, "teacher").eval()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    encoded = encode(task.train, task, tokenizer, 64)
    with torch.no_grad():
        features = forward(model, encoded.inputs(range(8)), task.kind, layers=(6,))
    assert features.hidden[6].shape[2] == 384
    assert features.hidden[6].isfinite().all()


def test_minilm_teaches_three_of_its_layers(shared: Path, options: RunOptions, tmp_path: Path) -> None:
    task = shared / "datasets" / "sst2"
    training = {"epochs": 2, "learning_rate": 3e-4}
    result = distill(
        task,
        teacher=str(shared / "models" / MINILM),
        student="layers:3",
        pipeline={**PRESETS["mi_alpha"].pipeline.model_dump(), "training": training},
        out=tmp_path / "out",
        max_train=200,
        max_validation=150,
        fine_tuning=FineTuning(epochs=2, learning_rate=3e-4),
        options=options.model_copy(update={"precision": "auto"}),
    )
    assert result.teacher_score > 0.65
    assert result.student_score > 0.6
    assert result.teacher_examples == 200
    assert result.parameters < 0.8 * result.teacher_parameters
    assert all(math.isfinite(value) for entry in result.history for value in entry["loss"].values())
    answers = load_predictor(tmp_path / "out", options)([{"text": "a wonderful, moving film"}, {"text": "awful"}])
    assert {label for answer in answers for label in answer["scores"]} == set(result.labels)


@pytest.mark.parametrize("name", ["sst2", "mrpc", "stsb", "ud_ewt_pos", "squad", "trec"])
def test_every_dataset_has_a_plan(name: str, shared: Path) -> None:
    task = shared_task(shared / "datasets" / name, limit=20)
    plan = plan_run(task, PRESETS["mi_alpha"].pipeline, str(shared / "models" / MINILM), "layers:3")
    assert (plan.student.layers, plan.student.width) == (3, 384)


@pytest.mark.parametrize("name, kind", [("sst2", "mi_alpha"), ("ud_ewt_pos", "mi_alpha"), ("squad", "mse")])
def test_a_decoder_with_its_own_tokenizer_teaches(
    name: str, kind: str, shared: Path, options: RunOptions, tmp_path: Path
) -> None:
    """A Llama with SentencePiece tokens over a BERT from MiniLM's layers."""
    training = {"epochs": 1, "max_length": 64}
    if name == "squad":
        training["window_overlap"] = 16
    result = distill(
        shared_task(shared / "datasets" / name, limit=10),
        teacher=str(shared / "models" / STORIES),
        student=str(shared / "models" / MINILM),
        pipeline={"intermediate": {"kind": kind}, "mapping": {"kind": "emd"}, "training": training},
        out=tmp_path / "out",
        fine_tuning=FineTuning(epochs=1, learning_rate=1e-3),
        options=options,
    )
    assert result.status == "ok"
    assert all(math.isfinite(value) for value in result.history[0]["loss"].values())
    assert result.teacher_parameters < 300_000
