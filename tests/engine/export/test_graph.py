"""Graphs of ONNX: which models have one, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from transformers import BertForSequenceClassification

from engine.base.errors import InputError, RunError
from engine.export import graph
from engine.export.graph import check_packages, write_graph, write_int8
from engine.models.forward import accepted_inputs, forward
from engine.tokens.examples import encode
from tests.tokenizers import wordpiece
from tests.toys import ARCHITECTURES, save_tiny, tiny_config, toy_task


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batch_and_tokens_are_free(architecture: str, tmp_path: Path) -> None:
    task, path = toy_task("pair", rows=4, held_out=9), tmp_path / "model.onnx"
    model = save_tiny(tmp_path, task, architecture).eval()
    encoded = encode(task.validation["validation"], task, wordpiece(), 32)
    accepted = accepted_inputs(model)
    example = encoded.inputs(range(2), accepted=accepted)
    if architecture == "roberta":
        example["token_type_ids"] = torch.zeros_like(example["token_type_ids"])
    write_graph(model, task.kind, example, path)
    session = onnxruntime.InferenceSession(path)
    for ids, length in (([0], None), (range(9), None), ([0, 1], 40)):
        inputs = encoded.inputs(ids, length, accepted=accepted)
        if architecture == "roberta":
            inputs["token_type_ids"] = torch.zeros_like(inputs["token_type_ids"])
        (found,) = session.run(None, {name: values.numpy() for name, values in inputs.items()})
        with torch.no_grad():
            expected = forward(model, inputs, task.kind).logits
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-5)
    assert not model.training
    write_int8(path, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < path.stat().st_size


class Undecided(BertForSequenceClassification):
    """Goes another way for other tokens, which no graph can."""

    def forward(self, input_ids, **inputs):
        return super().forward(input_ids if input_ids.sum() > 3 else input_ids + 1, **inputs)


def test_a_model_that_cannot_be_followed(tmp_path: Path) -> None:
    model = Undecided(tiny_config())
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    with pytest.raises(RunError, match="cannot write a bert as ONNX: "):
        write_graph(model, "classification", example, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    assert model.training


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    check_packages()
    monkeypatch.setattr(graph, "PACKAGES", (*graph.PACKAGES, "no_such_package"))
    with pytest.raises(InputError, match=r"pip install 'autodistiller-nlp\[export\]'; got no_such_package"):
        check_packages()
