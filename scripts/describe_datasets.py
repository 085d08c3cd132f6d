"""Makes meta_data/datasets.csv and words.npz: the datasets of the published tables, in numbers.

    python scripts/describe_datasets.py FOLDER

FOLDER has a folder with `train.*` and `validation.*` for each dataset below, such as samples of GLUE and
SQuAD. What is written are counts, lengths, the score of a small Bi-LSTM, and how often each word occurs,
words being hashes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from autodistill.datasets.bilstm import bilstm_score
from autodistill.datasets.descriptors import describe
from autodistill.datasets.words import count_words
from engine.base.machine import machine_for
from engine.base.options import RunOptions
from engine.data.load import load_task
from engine.data.task import texts_of
from meta_data import DATASETS, WORDS

SHIPPED_WORDS = 5_000
"""Words kept of each dataset, the most frequent ones."""

DESCRIPTIONS = {
    "cola": "Decide whether a sentence is grammatical English.",
    "mnli": "Say whether a premise entails a hypothesis, contradicts it, or leaves it open.",
    "mrpc": "Decide whether two sentences from the news say the same.",
    "qnli": "Decide whether a sentence holds the answer to a question.",
    "qqp": "Decide whether two questions that people asked mean the same.",
    "rte": "Decide whether a sentence follows from a text.",
    "sst2": "Decide whether a sentence from a film review is positive or negative.",
    "stsb": "Rate how close two sentences are in meaning.",
    "squad": "Find the answer to a question in a paragraph of an encyclopedia.",
}


def main() -> None:
    """Describes every dataset and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    machine = machine_for(RunOptions())
    rows, words = [], {}
    for name, description in DESCRIPTIONS.items():
        task = load_task(str(folder / name))
        described = describe(task, description)
        counts = count_words(texts_of(task), SHIPPED_WORDS)
        rows.append(described.model_copy(update={"bilstm_score": bilstm_score(task, machine)}).model_dump())
        words |= {
            f"{name}.hashes": counts.hashes,
            f"{name}.counts": counts.counts.astype(np.uint16 if counts.counts.max() < 2**16 else np.uint32),
            f"{name}.total": np.int64(counts.total),
        }
        print(f"{name}: Bi-LSTM {rows[-1]['bilstm_score']:.4f}", flush=True)
    pd.DataFrame(rows).round(6).to_csv(DATASETS, index=False)
    np.savez_compressed(WORDS, **words)


if __name__ == "__main__":
    main()
