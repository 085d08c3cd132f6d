"""A model of PyTorch as a graph of ONNX, and that graph with weights in 8-bit integers.

Decided here: batch and number of tokens are free. PyTorch's exporter would write a loop over the tokens out, once for
each of the example's; in place of an LSTM the graph has ONNX's own. Integers are dynamic: the weights are rounded once,
what flows between layers with a scale that each batch finds, so nothing has to be calibrated.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.base.errors import InputError, RunError
from engine.data.task import TaskKind
from engine.evaluation.inference import evaluating
from engine.models.forward import forward
from engine.models.int8 import MOST, SMALLEST

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
LARGEST = 1.8e9
"""Bytes of weights up to which they stand in the graph's own file, which can be of 2 GiB."""
GATES = (0, 3, 1, 2)
"""PyTorch's gates input, forget, cell, output in the order of ONNX: input, output, forget, cell."""


def check_packages() -> None:
    """Raises an `InputError` where a package is missing that only an export needs."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        what = "needs packages that are not installed; pip install 'autodistiller-nlp[export]'"
        raise InputError.of("export", what, ", ".join(missing))


def write_graph(model: PreTrainedModel, kind: TaskKind, inputs: dict[str, Tensor], path: Path) -> None:
    """Writes a model's logits as a function of its inputs.

    Args:
        inputs: (B, N) of an example batch, by the names that the graph's inputs get; B and N of 2 at least.

    Raises:
        RunError: PyTorch's exporter cannot follow this type of model.
    """
    network = _Logits(_with_onnx_lstms(model), kind, tuple(inputs)).train(model.training)
    free = ({0: "batch", 1: "tokens"},) * len(inputs)
    large = sum(each.numel() * each.element_size() for each in model.parameters()) > LARGEST
    try:
        with _quiet(), evaluating(network):
            program = torch.onnx.export(
                network,
                tuple(inputs.values()),
                input_names=[*inputs],
                output_names=["logits"],
                dynamic_shapes=(free,),
                verbose=False,
            )
            assert program is not None
            program.save(path, external_data=large)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        raise RunError(f"PyTorch's exporter cannot write a {model.config.model_type} as ONNX: {cause}") from error


class _Logits(nn.Module):
    """A model as a function from its inputs, in their order, to its logits."""

    def __init__(self, model: nn.Module, kind: TaskKind, names: tuple[str, ...]):
        super().__init__()
        self.model, self.kind, self.names = model, kind, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return forward(self.model, dict(zip(self.names, inputs, strict=True)), self.kind).logits


class _OnnxLSTM(nn.Module):
    """An LSTM of one layer and direction as ONNX has it; it can be exported, and computes nothing itself."""

    given: Tensor
    states: Tensor
    bias: Tensor

    def __init__(self, lstm: nn.LSTM):
        super().__init__()
        self.width = lstm.hidden_size
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        given, states, *biases = (_in_onnx_order(getattr(lstm, name).detach()) for name in names)
        self.register_buffer("given", given.unsqueeze(0))
        self.register_buffer("states", states.unsqueeze(0))
        self.register_buffer("bias", torch.cat(biases).unsqueeze(0))

    def forward(self, words: Tensor) -> tuple[Tensor, None]:
        """Shapes: (B, N, E) → (B, N, width)."""
        batch, tokens, _ = words.shape
        found = torch.onnx.ops.symbolic(
            "LSTM",
            (words.transpose(0, 1), self.given, self.states, self.bias),
            {"hidden_size": self.width},
            dtype=words.dtype,
            shape=(tokens, 1, batch, self.width),
        )
        return found.squeeze(1).transpose(0, 1), None


def _in_onnx_order(weights: Tensor) -> Tensor:
    """(4 · width, …), the four gates one below the other."""
    gates = weights.chunk(len(GATES))
    return torch.cat([gates[index] for index in GATES])


def _with_onnx_lstms(model: PreTrainedModel) -> PreTrainedModel:
    """The same model with ONNX's LSTMs; all other weights are shared."""
    found = {name: each for name, each in model.named_modules() if isinstance(each, nn.LSTM)}
    if not found:
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    changed = copy.deepcopy(model, shared)
    for name, each in found.items():
        changed.set_submodule(name, _OnnxLSTM(each))
    return changed


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter and the quantiser from warning of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def write_int8(path: Path, into: Path) -> None:
    """Writes the graph at `path` with its weights in 8-bit integers."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    _round_embeddings(model.graph)
    with _quiet():
        quantize_dynamic(
            model, into, op_types_to_quantize=["MatMul", "Gemm", "LSTM"], weight_type=QuantType.QInt8, per_channel=True
        )


def _round_embeddings(graph: onnx.GraphProto) -> None:
    """Puts 8-bit integers in place of tables that vectors are looked up in, with a scale for each vector.

    onnxruntime has one scale for a whole table, in which vectors of frequent words, that are small, nearly vanish.
    """
    from onnx import TensorProto, helper, numpy_helper

    tables = {
        each.name: each for each in graph.initializer if each.data_type == TensorProto.FLOAT and len(each.dims) == 2
    }
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Gather" or node.input[0] not in tables or any(each.i for each in node.attribute):
            nodes.append(node)
            continue
        name, (ids, vectors) = node.input[0], (node.input[1], node.output[0])
        values = numpy_helper.to_array(tables[name])
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True), SMALLEST) / MOST
        rounded = {"int8": np.rint(values / scales).astype(np.int8), "scale": scales.astype(np.float32)}
        for part, array in rounded.items():
            graph.initializer.append(numpy_helper.from_array(array, f"{vectors}_table_{part}"))
            nodes.append(helper.make_node("Gather", [f"{vectors}_table_{part}", ids], [f"{vectors}_{part}"]))
        nodes.append(helper.make_node("Cast", [f"{vectors}_int8"], [f"{vectors}_whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{vectors}_whole", f"{vectors}_scale"], [vectors]))
    used = {name for node in nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    for field, values in ((graph.node, nodes), (graph.initializer, kept)):
        del field[:]
        field.extend(values)
