"""How many steps per second the cached teacher signals give, against running the teacher along.

The workload is one that other toolkits were measured on: a BERT classifier of 12 layers and width
768 teaches one of 4 layers and width 312, batch 16, 64 tokens, cross-entropy of the logits at
temperature 4 and mean squared error on four hidden layers. Random weights; nothing is downloaded.
Both ways go through the whole engine, in turn, in one process, so that their ratio holds where
the machine's speed does not.

    python benchmarks/teacher_cache.py [--precision float32] [--steps 20] [--rounds 3]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from engine import FineTuning, Pipeline, RunOptions, distill
from engine.base.files import hash_of
from engine.data.task import Task
from engine.models.load import quiet_transformers, save_model
from engine.models.vocabulary import SPECIAL
from engine.pipeline import MSE, PredictionCE, Training

BATCH, TOKENS, VOCABULARY = 16, 64, 30522
WORDS = [a + b + c for a in "bcdfgklmnprst" for b in "aeiou" for c in "bcdfgklmnprst"]


def made_up_task(rows: int) -> Task:
    """Texts of exactly 64 tokens once the two special ones are added."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=TOKENS - 2)) for _ in range(rows)]
    data = Dataset.from_dict({"text": texts, "label": [index % 2 for index in range(rows)]})
    held_out = {"validation": data.select(range(BATCH))}
    return Task("made_up", "classification", False, ("no", "yes"), "accuracy", ("accuracy",), data, held_out,
                fingerprint=hash_of("made up", rows))  # fmt: skip


def make_models(folder: Path) -> None:
    """Teacher and student with random weights."""
    torch.manual_seed(0)
    tokens = [*SPECIAL, *WORDS]
    tokens += [f"[unused{number}]" for number in range(VOCABULARY - len(tokens))]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})
    sizes = {
        "teacher": {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072},
        "student": {"num_hidden_layers": 4, "hidden_size": 312, "intermediate_size": 1200},
    }
    for name, size in sizes.items():
        config = BertConfig(vocab_size=VOCABULARY, num_attention_heads=12, num_labels=2, **size)
        with quiet_transformers():
            save_model(BertForSequenceClassification(config), tokenizer, folder / name)


def steps_per_second(task: Task, folder: Path, signals: str, precision: str, run: str) -> float:
    """Speed of one run through the engine."""
    result = distill(
        task,
        teacher=str(folder / "teacher"),
        student=str(folder / "student"),
        pipeline=Pipeline(intermediate=MSE(), prediction=PredictionCE(temperature=4.0), training=Training(epochs=1)),
        out=folder / run,
        fine_tuning=FineTuning(when="never"),
        options=RunOptions(signals=signals, precision=precision, cache_dir=str(folder / "cache")),
    )
    assert result.signals == ("cached" if signals == "auto" else "online")
    assert result.examples_per_second is not None
    return result.examples_per_second / BATCH


def main() -> None:
    """Prints the two speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    task = made_up_task(given.steps * BATCH)
    speeds: dict[str, list[float]] = {"online": [], "auto": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder)
        for round_ in range(given.rounds + 1):  # the first one warms up and fills the cache
            for signals, found in speeds.items():
                speed = steps_per_second(task, folder, signals, given.precision, f"{signals}{round_}")
                if round_:
                    found.append(speed)
    ratios = [cached / online for online, cached in zip(*speeds.values(), strict=True)]
    print(f"threads {torch.get_num_threads()}, {given.precision}, batch {BATCH}, {TOKENS} tokens")
    print(f"teacher along   {statistics.median(speeds['online']):.3f} steps/s")
    print(f"teacher cached  {statistics.median(speeds['auto']):.3f} steps/s")
    print(f"ratio           {statistics.median(ratios):.2f} (of {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
