"""`textbrewer`: its GeneralDistiller, which has a loop of its own."""

from __future__ import annotations

import logging
import tempfile

import torch
from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
from workload import RATE, TEMPERATURE, Turns, asked

NEVER = 10**9  # steps


def main() -> None:
    """Takes steps when it is asked to."""
    logging.disable(logging.INFO)
    _, workload = asked()
    teacher, student = workload.models()
    projection = ["linear", workload.student[1], workload.teacher[1]]
    matches = [
        {"layer_T": theirs, "layer_S": ours, "feature": "hidden", "loss": "hidden_mse", "weight": 1, "proj": projection}
        for ours, theirs in workload.pairs
    ]

    def adaptor(batch, outputs):
        return {"logits": outputs.logits, "hidden": outputs.hidden_states, "inputs_mask": batch["attention_mask"]}

    with tempfile.TemporaryDirectory() as folder:
        training = TrainingConfig(device="cpu", output_dir=folder, log_dir=None, ckpt_steps=NEVER)
        distillation = DistillationConfig(temperature=TEMPERATURE, kd_loss_type="ce", intermediate_matches=matches)
        distiller = GeneralDistiller(training, distillation, teacher, student, adaptor, adaptor)
        optimizer = torch.optim.AdamW(student.parameters(), lr=RATE)
        with distiller:
            distiller.train(optimizer, Turns(workload).before_each(workload.batches()), num_steps=NEVER)


if __name__ == "__main__":
    main()
