"""How sure the members of a team are of the rows that they were fine-tuned on, and how often they are right.

python benchmarks/sureness.py DATA … --teacher MODEL --members NAME … [--max-train 1000]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch

from engine import Pipeline, RunOptions
from engine.base.machine import machine_for
from engine.data.load import load_task
from engine.evaluation.inference import logits_of
from engine.pipeline import AverageTeam
from engine.run.plan import plan_run
from engine.run.teacher import prepare_teacher
from engine.tokens.examples import encode


def main() -> None:
    """Prints a row a dataset and member; of classification."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--members", nargs="+", required=True)
    parser.add_argument("--max-train", type=int, default=1000)
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    machine = machine_for(RunOptions(cache_dir=given.cache_dir))
    rows = []
    for data in given.data:
        task = load_task(data, max_train=given.max_train)
        team = Pipeline(team=AverageTeam(members=tuple(given.members)))
        plan = plan_run(task, team, given.teacher, given.teacher, precision=machine.precision)
        training = plan.pipeline.training
        labels = torch.tensor(task.train["label"])
        plans = zip([given.teacher, *given.members], [plan.teacher, *plan.members], strict=True)
        for name, each in plans:
            member = prepare_teacher(each, task, training, machine, label=name)
            encoded = encode(task.train, task, member.tokenizer, training.max_length or 0)
            logits = torch.from_numpy(np.stack(logits_of(member.model, encoded, task.kind, machine.accelerator)))
            said = torch.distributions.Categorical(logits=logits)
            rows.append(
                {
                    "dataset": task.name,
                    "member": name,
                    task.metric: next(iter(member.scores.values()))[task.metric],
                    "entropy": said.entropy().mean().item(),
                    "cross-entropy": -said.log_prob(labels).mean().item(),
                    "right": (logits.argmax(-1) == labels).float().mean().item(),
                }
            )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
