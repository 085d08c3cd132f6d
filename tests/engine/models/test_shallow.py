"""Layers of a teacher as a student: which they are, whatever the architecture, and what gets shorter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from engine.models.forward import accepted_inputs, forward
from engine.models.shallow import shallow_config
from engine.tokens.examples import encode
from tests.engine.models.scenes import started
from tests.tokenizers import wordpiece
from tests.toys import ARCHITECTURES, perturb, save_tiny, tiny_config, toy_task

LAYERS = {
    "bert": "bert.encoder.layer.{}.",
    "roberta": "roberta.encoder.layer.{}.",
    "distilbert": "distilbert.transformer.layer.{}.",
    "electra": "electra.encoder.layer.{}.",
    "deberta-v2": "deberta.encoder.layer.{}.",
    "modernbert": "model.layers.{}.",
    "albert": None,
}
"""Architecture → where its layers are; ALBERT has one for all."""

ORIGIN = {1: [6], 2: [3, 6], 3: [2, 4, 6], 4: [1, 2, 3, 4], 6: [1, 2, 3, 4, 5, 6]}
"""Student layers → the layers of a teacher with 6 that they start from, by `i * (6 // count)`."""


@pytest.mark.parametrize("count", ORIGIN)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_of_the_teacher(architecture: str, count: int, tmp_path: Path) -> None:
    task = toy_task("single")
    teacher = save_tiny(tmp_path, task, architecture, layers=6)
    perturb(teacher)
    given = wordpiece()
    student, tokenizer = started(teacher, given, f"layers:{count}", task, tmp_path)
    of_teacher, of_student = teacher.state_dict(), student.state_dict()
    place = LAYERS[architecture]
    taken = {key: key for key in of_teacher}
    if place is not None:
        taken = {key: key for key in of_teacher if not key.startswith(place.split("{")[0])}
        for index, origin in enumerate(ORIGIN[count]):
            prefix = place.format(origin - 1)
            pairs = {
                place.format(index) + key.removeprefix(prefix): key for key in of_teacher if key.startswith(prefix)
            }
            taken |= {key: of for key, of in pairs.items() if key in of_student or architecture != "modernbert"}
    assert taken.keys() == of_student.keys()
    assert all(torch.equal(of_student[key], of_teacher[origin]) for key, origin in taken.items())
    assert student.config.num_hidden_layers == count
    assert tokenizer is given
    with torch.no_grad():  # its own copy, not the teacher's
        for parameter in student.parameters():
            parameter.zero_()
    assert any(parameter.any() for parameter in teacher.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_layers_are_the_teacher(architecture: str, tmp_path: Path) -> None:
    task = toy_task("single")
    teacher = save_tiny(tmp_path, task, architecture, layers=2).eval()
    student, tokenizer = started(teacher, wordpiece(), "layers:2", task, tmp_path)
    encoded = encode(task.train, task, tokenizer, 32)
    accepted = accepted_inputs(teacher)
    inputs = {name: value for name, value in encoded.inputs([0, 1, 2]).items() if name in accepted}
    found = [forward(model.eval(), inputs, task.kind).logits for model in (teacher, student)]
    assert torch.equal(*found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_what_is_per_layer_gets_shorter(architecture: str, tmp_path: Path) -> None:
    """A list in the configuration may be as long as the teacher is deep by chance."""
    task = toy_task("single")
    teacher = save_tiny(tmp_path / "teacher", task, architecture, layers=2)
    student, _ = started(teacher, wordpiece(), "layers:1", task, tmp_path / "teacher")
    student.save_pretrained(tmp_path / "student")
    whole, short = (AutoConfig.from_pretrained(tmp_path / name).to_dict() for name in ("teacher", "student"))
    changed = {key: (whole[key], short[key]) for key in whole if whole[key] != short.get(key)}
    changed.pop("_name_or_path", None)
    depth = {"distilbert": "n_layers"}.get(architecture, "num_hidden_layers")
    expected = {depth: (2, 1)}
    if architecture == "modernbert":
        expected["layer_types"] = (whole["layer_types"], whole["layer_types"][1:])
    assert changed == expected


def test_numbers_per_layer_are_thinned_alike() -> None:
    """As Longformer has them, under a name that does not say so."""
    config = tiny_config(layers=6)
    config.attention_window = [10, 20, 30, 40, 50, 60]
    config.languages = ["de", "en", "fr", "it", "rm", "sq"]
    shallow = shallow_config(config, 2)
    assert (shallow.attention_window, shallow.languages) == ([30, 60], config.languages)
    assert config.attention_window == [10, 20, 30, 40, 50, 60]
