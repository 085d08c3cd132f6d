"""Weights that are held in fewer bits: what they are rounded to, what learns beside them, and what is taken of them."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from engine.base.errors import InputError
from engine.models.adapters import FILE, adapted, load_adapters, save_adapters
from engine.models.forward import forward
from engine.models.held import Held, has_library, held_in, linear_layers, whole_tensor
from engine.models.load import build, for_task, load_config, load_pretrained, parameter_count, save_model, size_mb
from engine.models.names import Scratch
from engine.models.scratch import scratch_config
from engine.models.shallow import layers_of, shallow_config
from tests.conftest import ROOT
from tests.engine.models.test_adapters import ENCODERS, INPUTS, built, step
from tests.tokenizers import wordpiece
from tests.toys import toy_task

needs_library = pytest.mark.skipif(not has_library(), reason="bitsandbytes is not installed")
LIBRARY = [pytest.param(bits, marks=needs_library) for bits in ("8bit", "4bit")]
of_any_width = pytest.mark.parametrize("bits", ["bf16", LIBRARY[0]])
each_kind = pytest.mark.parametrize("bits", ["bf16", *LIBRARY])
ROUNDED = {"bf16": 2**-8, "8bit": 0.005, "4bit": 0.2}
"""Largest error of a weight, as a share of the largest weight of its layer; NF4 is 0.15 from its neighbours, halved."""
CPU = torch.device("cpu")


def wide():
    task, tokenizer = toy_task("single", rows=8, held_out=8), wordpiece()
    config = scratch_config(Scratch(layers=2, hidden=64, heads=2), len(tokenizer), tokenizer.pad_token_id)
    return build(for_task(config, task, tokenizer), task.kind, 0).eval()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """By default wide enough for 4 bits."""
    architecture = getattr(request, "param", "")
    save_model(built(architecture)[0] if architecture else wide(), wordpiece(), tmp_path / "model")
    return tmp_path / "model"


def loaded(folder: Path, bits: str | None = None, device: torch.device = CPU, precision: str = "float32"):
    held = Held(bits, precision, device) if bits else None  # type: ignore[arg-type]
    config = load_config(str(folder), "teacher")
    return load_pretrained(str(folder), config, "classification", 0, "teacher", new_head=False, held=held)


def answers(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return forward(model.eval(), INPUTS, "classification").logits


@of_any_width
@pytest.mark.parametrize("folder", [*ENCODERS, "gpt2", "llama"], indirect=True)
def test_of_any_type_only_weights_of_linear_layers_are_rounded(folder: Path, bits: str) -> None:
    assert_only_weights_of_linear_layers_are_rounded(folder, bits)


@each_kind
def test_only_weights_of_linear_layers_are_rounded(folder: Path, bits: str) -> None:
    assert_only_weights_of_linear_layers_are_rounded(folder, bits)


def assert_only_weights_of_linear_layers_are_rounded(folder: Path, bits: str) -> None:
    plain, model = loaded(folder), loaded(folder, bits)
    inside = {f"{name}.weight" for name in linear_layers(plain)}
    assert inside == {f"{name}.weight" for name in linear_layers(model)}
    for name, weight in plain.state_dict().items():
        found = whole_tensor(model, name)
        assert found.dtype == weight.dtype
        assert found.shape == weight.shape
        if name in inside:
            assert not torch.equal(found, weight)
            assert (found - weight).abs().max() <= ROUNDED[bits] * weight.abs().max()
        else:
            assert torch.equal(found, weight)
    assert type(model) is type(plain)
    assert held_in(model) == bits
    assert parameter_count(model) == parameter_count(plain)
    assert size_mb(model) < size_mb(plain)


@each_kind
def test_it_answers_nearly_alike_and_in_float32(folder: Path, bits: str) -> None:
    said, exact = answers(loaded(folder, bits)), answers(loaded(folder))
    assert said.dtype == torch.float32
    assert not torch.equal(said, exact)
    torch.testing.assert_close(said, exact, atol=0.05, rtol=0.05)


def test_bf16_computes_in_what_is_asked_for(folder: Path) -> None:
    """The answer is that of float32 on weights that were rounded once."""
    model, rounded = loaded(folder, "bf16"), loaded(folder)
    for layer in linear_layers(rounded).values():
        layer.weight.data = layer.weight.data.bfloat16().float()
    torch.testing.assert_close(answers(model), answers(rounded), atol=0, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(answers(model), answers(rounded), atol=0, rtol=0)


@needs_library
@pytest.mark.parametrize("folder", ["bert"], indirect=True)
def test_widths_that_bitsandbytes_reads_wrongly_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"--teacher-weights: on a CPU .* no multiple of 64; got width \d+; allowed"):
        loaded(folder, "4bit")


@each_kind
def test_what_learns_beside_them_stays_and_is_all_that_is_kept(folder: Path, bits: str, tmp_path: Path) -> None:
    model = loaded(folder, bits).train()
    before = {name: whole_tensor(model, name).clone() for name in loaded(folder).state_dict()}
    untouched = answers(model)
    with adapted(model, 2, seed=0):
        torch.testing.assert_close(answers(model), untouched, atol=1e-5, rtol=1e-4)
        step(model.train())
    learned = answers(model)
    assert not torch.allclose(learned, untouched)
    base = {name: module for name, module in model.named_modules() if hasattr(module, "base_layer")}
    assert {f"{name}.weight" for name in base} == {f"{name}.weight" for name in linear_layers(loaded(folder))}
    kept = model.state_dict()
    assert all("lora_" in name or not name.startswith(model.base_model_prefix) for name in kept)
    assert all(values.dtype == torch.float32 for values in kept.values())
    assert save_adapters(model, tmp_path)
    assert (tmp_path / FILE).stat().st_size < (folder / "model.safetensors").stat().st_size
    again = loaded(folder, bits)
    load_adapters(again, tmp_path)
    assert torch.equal(answers(again), learned)
    moved = {name for name in before if not torch.allclose(whole_tensor(again, name), before[name])}
    assert {f"{name}.weight" for name in base} & moved


def test_an_ordinary_model_has_no_adapters_to_keep(folder: Path, tmp_path: Path) -> None:
    assert not save_adapters(loaded(folder), tmp_path)
    assert not (tmp_path / FILE).exists()


@each_kind
def test_a_student_takes_layers_with_what_was_learned_beside_them(folder: Path, bits: str, tmp_path: Path) -> None:
    """It is an ordinary model in float32, of which transformers knows no more than of any other."""
    model = loaded(folder, bits)
    with adapted(model.train(), 2, seed=0):
        step(model)
    student = layers_of(model.eval(), model.config.num_hidden_layers, shallow_config(model.config, 2))
    assert {values.dtype for values in student.parameters()} == {torch.float32}
    near = {"bf16": 1e-6, "8bit": 0.02, "4bit": 1e-5}[bits]  # 8 bits round the inputs, too
    torch.testing.assert_close(answers(student), answers(model), atol=near, rtol=near)
    save_model(student, wordpiece(), tmp_path / "student")
    assert "quantization" not in (tmp_path / "student" / "config.json").read_text("utf-8")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student")
    torch.testing.assert_close(answers(plain), answers(student))


def test_a_model_without_linear_layers_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.held.linear_layers", lambda _: {})
    with pytest.raises(InputError, match="--teacher-weights: this model has no linear layers of torch; got bert"):
        loaded(folder, "bf16")


@needs_library
def test_bitsandbytes_takes_no_code_from_the_hub(tmp_path: Path) -> None:
    """It would, on processors with AVX-512 for bf16, as soon as it is imported and `kernels` is installed."""
    asks = "def get_kernel(*_, **__): raise SystemExit('code of the hub is asked for')"
    (tmp_path / "kernels.py").write_text(asks, "utf-8")
    import bitsandbytes

    places = [str(ROOT), str(tmp_path), str(Path(bitsandbytes.__file__).parents[1])]
    code = "from engine.models.held import import_library; import_library(); import sys, peft; "
    code += "assert 'bitsandbytes' in sys.modules"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert "kernels" not in ended.stderr


@pytest.mark.gpu
@each_kind
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu(folder: Path, bits: str) -> None:
    there = torch.device("cuda", 0)
    model, plain = loaded(folder, bits, there, "bf16").to(there), loaded(folder).to(there)
    inputs = {name: values.to(there) for name, values in INPUTS.items()}
    with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16):
        said, exact = (forward(each.eval(), inputs, "classification").logits for each in (model, plain))
    torch.testing.assert_close(said, exact, atol=0.05, rtol=0.05)
    before = copy.deepcopy(said)
    with adapted(model.train(), 2, seed=0):
        forward(model, inputs, "classification").logits.square().sum().backward()
    assert torch.isfinite(before).all()
