"""`engine_cached`, `engine_online` and `engine_int8`: the engine as a user calls it, whole, its teacher's signals kept,
not kept, and not kept with a teacher that answers in 8-bit integers."""

from __future__ import annotations

import tempfile
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase

import torch
from datasets import Dataset
from transformers import BertForSequenceClassification, BertTokenizer
from workload import FIRST_WORD, RATE, TEMPERATURE, VOCABULARY, Turns, Workload, asked

from engine import FineTuning, Pipeline, RunOptions, distill
from engine.base.files import hash_of
from engine.base.progress import SilentReporter
from engine.data.task import Task
from engine.models.load import quiet_transformers, save_model
from engine.models.vocabulary import SPECIAL
from engine.pipeline import MSE, PredictionCE, Skip, Training

WORDS = ["".join(letters) for letters in islice(product(ascii_lowercase, repeat=4), VOCABULARY - FIRST_WORD)]


class InTurns(SilentReporter):
    """Hears of the student's steps, and lets each begin when it is asked for."""

    def __init__(self, workload: Workload) -> None:
        self._turns = Turns(workload)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        if stage == "student":
            self._turns.step()

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        if stage == "student":
            self._turns.step()


def task_of(workload: Workload) -> Task:
    """Texts that have exactly so many tokens once the two special ones are added; one epoch holds all steps."""
    drawn = torch.randint(len(WORDS), (workload.steps * workload.batch, workload.tokens - 2)).tolist()
    rows = {
        "text": [" ".join(WORDS[word] for word in row) for row in drawn],
        "label": [n % 2 for n in range(len(drawn))],
    }
    train = Dataset.from_dict(rows)
    held_out = {"validation": train.select(range(workload.batch))}
    return Task("made_up", "classification", False, ("no", "yes"), "accuracy", ("accuracy",), train, held_out,
                fingerprint=hash_of("made up", len(drawn)))  # fmt: skip


def tokenizer() -> BertTokenizer:
    """One to which each of the words is a token."""
    tokens = [*SPECIAL, *(f"[unused{number}]" for number in range(FIRST_WORD - len(SPECIAL))), *WORDS]
    return BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})


def save_models(workload: Workload, folder: Path) -> None:
    """Writes teacher and student."""
    for who in ("teacher", "student"):
        with quiet_transformers():
            save_model(BertForSequenceClassification(workload.config(who)), tokenizer(), folder / who)


def main() -> None:
    """Takes steps when it is asked to."""
    way, workload = asked()
    torch.manual_seed(0)
    signals = "auto" if way == "engine_cached" else "online"
    training = Training(epochs=1, batch_size=workload.batch, max_length=workload.tokens, learning_rate=RATE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_models(workload, folder)
        distill(
            task_of(workload),
            teacher=str(folder / "teacher"),
            student=str(folder / "student"),
            pipeline=Pipeline(
                intermediate=MSE(), mapping=Skip(), prediction=PredictionCE(temperature=TEMPERATURE), training=training
            ),
            out=folder / "run",
            fine_tuning=FineTuning(when="never"),
            # No checkpoint falls into a step: while the others take their turns, each would be overdue.
            options=RunOptions(device="cpu", signals=signals, precision=workload.precision,
                               int8_teacher=way == "engine_int8", cache_dir=str(folder / "cache"),
                               checkpoint_seconds=1e9),
            reporter=InTurns(workload),
        )  # fmt: skip


if __name__ == "__main__":
    main()
