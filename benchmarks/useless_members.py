"""How often the search for θ finds the teacher that knows something among members with random weights.

python benchmarks/useless_members.py DATA --teacher MODEL [--student layers:3] [--useless 3] [--seeds 10]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerBase, set_seed

from engine import Pipeline, RunOptions, distill
from engine.base.machine import machine_for
from engine.data.load import load_task
from engine.data.task import Task
from engine.models.start import tokenizer_of
from engine.run.plan import plan_run

SEARCHES = {"distillation loss": {}, "gold labels": {"validation": "hard_label", "second_order": True}}


def main() -> None:
    """Prints a line a search, and how many of them found the teacher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--useless", type=int, default=3, help="members with random weights")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, help="of the student; the task's default where absent")
    parser.add_argument("--max-train", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("runs/useless"))
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    options = RunOptions(cache_dir=given.cache_dir)
    task = load_task(given.data, max_train=given.max_train)
    plan = plan_run(task, Pipeline(), given.teacher, given.student)
    tokenizer = tokenizer_of(plan.teacher.start, task, machine_for(options))
    members = [str(given.out / f"member-{seed}") for seed in range(given.useless)]
    for seed, folder in enumerate(members):
        _useless(Path(folder), task, tokenizer, seed)
    rows = []
    for loss, how in SEARCHES.items():
        for seed in range(given.seeds):
            team = {"kind": "autoskd", "members": members, "candidates": 1, "dropped": given.useless, **how}
            out = given.out / f"{loss.split()[0]}-{seed}"
            result = distill(
                task,
                teacher=given.teacher,
                student=given.student,
                pipeline={"team": team, "training": {"epochs": given.epochs, "learning_rate": given.learning_rate}},
                out=out,
                seed=seed,
                options=options,
            )
            history = pd.read_csv(out / "theta.csv").drop(columns=["search", "step"])
            shares = history.iloc[len(history) // 2 - 1].tolist()
            stages = result.stage_seconds
            rows.append(
                {
                    "loss": loss,
                    "found": history.iloc[-1, 0] == 1,
                    "share": shares[0],
                    "next": max(shares[1:]),
                    "trainings": stages["search"] / stages["student"],
                }
            )
            print(f"seed {seed}", *rows[-1].values(), flush=True)
    table = pd.DataFrame(rows).groupby("loss", sort=False)
    found = table.agg(
        found=("found", "sum"),
        of=("found", "size"),
        least=("share", "min"),
        most=("share", "max"),
        trainings=("trainings", "median"),
    )
    print(found.round(3).to_string())


def _useless(folder: Path, task: Task, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Saves a BERT with random weights that passes for a fine-tuned member, since it knows the labels."""
    if (folder / "config.json").is_file():
        return
    set_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        id2label=dict(enumerate(task.labels)),
        label2id={label: place for place, label in enumerate(task.labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
