"""A shallower model: some of the layers of another one, whatever its architecture."""

import copy

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from engine.models.held import whole_tensor
from engine.models.load import depth_and_width, parameter_count, quiet_transformers
from engine.models.output import answer_exactly


def layer_stack(model: PreTrainedModel) -> str | None:
    """Name of a model's transformer layers, the largest list as long as it is deep; None where all share weights."""
    depth, _ = depth_and_width(model.config)
    sizes = {
        name: parameter_count(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    }
    return max(sizes, key=lambda name: sizes[name], default=None)


def layers_of(teacher: PreTrainedModel, count: int, config: PretrainedConfig) -> PreTrainedModel:
    """A student of this shallower configuration that starts as `count` layers of its teacher, with its
    embeddings and head.

    Student layer i is a copy of teacher layer i·⌊teacher layers / count⌋, as the mapping `skip` pairs them
    (BERT-PKD, Sun et al. 2019).
    """
    name = layer_stack(teacher)
    step = depth_and_width(teacher.config)[0] // count
    with quiet_transformers():
        student = type(teacher)(config)

    def origin(key: str) -> str:
        if name is None or not key.startswith(f"{name}."):
            return key
        index, _, rest = key.removeprefix(f"{name}.").partition(".")
        return f"{name}.{(int(index) + 1) * step - 1}.{rest}"

    student.load_state_dict({key: whole_tensor(teacher, origin(key)) for key in student.state_dict()})
    return answer_exactly(student) if config.problem_type == "regression" else student


def shallow_config(config: PretrainedConfig, count: int) -> PretrainedConfig:
    """The teacher's configuration with `count` layers; per-layer lists are thinned alike.

    A list counts as one if it is as long as the teacher is deep and either speaks of layers or holds numbers.
    """
    depth, _ = depth_and_width(config)
    step = depth // count
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers = count
    for key, value in config.to_dict().items():
        as_deep = isinstance(value, list) and len(value) == depth
        if as_deep and ("layer" in key or not isinstance(value[0], str)):
            setattr(shallow, key, value[step - 1 :: step][:count])
    return shallow
