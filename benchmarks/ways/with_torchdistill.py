"""`torchdistill`: its DistillationBox, whose steps its users call one by one.

It reads hidden states by hooks and projects none, so the projections are parts of the student that its own wrapper for
such parts feeds.
"""

from __future__ import annotations

import logging
from itertools import islice

import torch
from torch import nn

# It needs torchvision, whose wheel knows CUDA's operators alone: beside a torch for CPUs it asks for these in vain.
# Transformers would import it too.
library = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchdistill.core.distillation import get_distillation_box  # noqa: E402
from torchdistill.core.interfaces.forward_proc import register_forward_proc_func  # noqa: E402
from torchdistill.datasets.registry import register_collate_func  # noqa: E402
from torchdistill.losses.registry import register_mid_level_loss  # noqa: E402
from torchdistill.models.registry import register_auxiliary_model_wrapper  # noqa: E402
from torchdistill.models.wrapper import AuxiliaryModelWrapper  # noqa: E402
from workload import RATE, TEMPERATURE, Turns, Workload, asked  # noqa: E402

LOGITS = "classifier"


@register_forward_proc_func
def by_name(model, batch, targets=None, supp_dict=None, **_):
    """Gives a model the tensors of a batch by their names."""
    return model(**batch)


@register_collate_func
def only_one(batches):
    """The data are batches already."""
    return batches[0]


@register_auxiliary_model_wrapper
class Projected(AuxiliaryModelWrapper):
    """A student and a projection for each of its mapped layers."""

    def __init__(self, student_model, device, device_ids, distributed, layers, widths, **_):
        super().__init__()
        self.student_model = student_model
        self.projections = nn.ModuleDict({str(layer): nn.Linear(*widths) for layer in layers})

    def forward(self, *args, **kwargs):
        return self.student_model(*args, **kwargs)

    def secondary_forward(self, seen):
        for layer, projection in self.projections.items():
            projection(states_of(seen, f"student_model.{path(int(layer))}"))


@register_mid_level_loss
class HiddenMSE(nn.Module):
    """Mean squared error of a projection's output and a layer's."""

    def __init__(self, student_path, teacher_path, **_):
        super().__init__()
        self.student_path, self.teacher_path = student_path, teacher_path

    def forward(self, student, teacher, *_, **__):
        return nn.functional.mse_loss(states_of(student, self.student_path), states_of(teacher, self.teacher_path))


def path(layer: int) -> str:
    """Where a model of transformers has a layer, counted from 1."""
    return f"bert.encoder.layer.{layer - 1}"


def states_of(seen, place):
    """What a hook has seen a module give."""
    output = seen[place]["output"]
    return output[0] if isinstance(output, tuple) else output


def configuration(workload: Workload) -> dict:
    """The training as torchdistill wants it declared."""
    layers, teacher_layers = zip(*workload.pairs, strict=True)
    projections = [f"projections.{layer}" for layer in layers]
    student = [f"student_model.{place}" for place in (LOGITS, *map(path, layers))]
    hooks = {"student": student + projections, "teacher": [LOGITS, *map(path, teacher_layers)]}
    logits = {"student_module_path": student[0], "teacher_module_path": LOGITS}
    logits |= {"student_module_io": "output", "teacher_module_io": "output", "temperature": TEMPERATURE, "alpha": 0.0}
    terms = {"logits": {"criterion": {"key": "KDLoss", "kwargs": logits}, "weight": 1.0}}
    for projection, layer in zip(projections, teacher_layers, strict=True):
        paths = {"student_path": projection, "teacher_path": path(layer)}
        terms[projection] = {"criterion": {"key": "HiddenMSE", "kwargs": paths}, "weight": 1.0}
    wrapper = {"layers": layers, "widths": (workload.student[1], workload.teacher[1])}
    models = {who: {"forward_proc": "by_name", "requires_grad": who == "student",
                    "forward_hook": {"input": [], "output": hooks[who]}} for who in hooks}  # fmt: skip
    models["student"]["auxiliary_model_wrapper"] = {"key": "Projected", "kwargs": wrapper}
    sampler = {"class_or_func": torch.utils.data.SequentialSampler, "kwargs": {}}
    loading = {"dataset_id": "train", "sampler": sampler, "kwargs": {"batch_size": 1, "num_workers": 0},
               "collate_fn": "only_one", "requires_supp": False}  # fmt: skip
    return {
        "num_epochs": 1,
        "train_data_loader": loading,
        "val_data_loader": {},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": RATE}},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
        **models,
    }


def main() -> None:
    """Takes steps when it is asked to."""
    logging.disable(logging.INFO)
    _, workload = asked()
    data = {"train": list(islice(workload.batches(), workload.steps + 1))}
    box = get_distillation_box(*workload.models(), data, configuration(workload), torch.device("cpu"), [], False, 1)
    box.pre_epoch_process(epoch=0)
    for batch in Turns(workload).before_each(iter(box.train_data_loader)):
        box.post_forward_process(loss=box.forward_process(batch, targets=None, supp_dict=None))


if __name__ == "__main__":
    main()
