"""Makes meta_data/datasets.csv and words.npz: the datasets of the published tables, in numbers.

    python scripts/describe_datasets.py FOLDER [--sizes]

FOLDER has a folder with `train.*` and `validation.*` for each dataset below, such as samples of GLUE and
SQuAD. What is written are counts, lengths, the score of a small Bi-LSTM, and how often each word occurs,
words being hashes; where the folder's `dataset.json` says how many training rows the dataset has of which
these are a sample (`published_sizes`, `n_train_full`), that is its size. With --sizes what was measured stays,
and sizes, hub names and the hashes that datasets are recognised by are put in alone, in seconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from autodistill.datasets.bilstm import bilstm_score
from autodistill.datasets.descriptors import Descriptors, describe
from autodistill.datasets.words import SHIPPED_WORDS, count_words
from engine.base.machine import machine_for
from engine.base.options import RunOptions
from engine.data.benchmarks import BENCHMARKS
from engine.data.load import load_task
from engine.data.task import texts_of
from meta_data import DATASETS, WORDS

"""Words kept of each dataset, the most frequent ones."""

GLUE_ROWS = {"mrpc": 3_668}
"""Training rows of the hub's dataset, where FOLDER's comes from elsewhere: the original MRPC has 4,076."""

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


def facts(folder: Path, name: str) -> dict[str, str | int]:
    """What cannot be counted on a sample: a dataset's name on the hub, and its training rows where they are said."""
    about = json.loads((folder / name / "dataset.json").read_text("utf-8"))
    rows = about.get("published_sizes") or {"train": about.get("n_train_full")}
    known = {"n_train": GLUE_ROWS.get(name) or rows["train"]} if rows.get("train") else {}
    return {"hub": BENCHMARKS[name].hub, **known}


def put_in_sizes(folder: Path, table: Path = DATASETS) -> None:
    """Puts `facts` and hashes into the table, and leaves what was measured."""
    rows = pd.read_csv(table)
    for place, name in rows.dataset.items():
        task = load_task(str(folder / name))
        hashes = {"fingerprint": task.fingerprint, "source": task.source}
        for column, value in {**facts(folder, name), **hashes}.items():
            rows.loc[place, column] = value
    rows[list(Descriptors.model_fields)].to_csv(table, index=False)


def main() -> None:
    """Describes every dataset and writes both files, or puts in sizes alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", action="store_true", help="put in sizes, hub names and hashes alone")
    asked = parser.parse_args()
    folder = asked.folder
    if asked.sizes:
        put_in_sizes(folder)
        return
    machine = machine_for(RunOptions())
    rows, words = [], {}
    for name, description in DESCRIPTIONS.items():
        task = load_task(str(folder / name))
        described = describe(task, description)
        counts = count_words(texts_of(task), SHIPPED_WORDS)
        known = {"bilstm_score": bilstm_score(task, machine), **facts(folder, name)}
        rows.append(described.model_copy(update=known).model_dump())
        words |= counts.parts(f"{name}.")
        print(f"{name}: Bi-LSTM {rows[-1]['bilstm_score']:.4f}", flush=True)
    pd.DataFrame(rows).round(6).to_csv(DATASETS, index=False)
    np.savez_compressed(WORDS, **words)


if __name__ == "__main__":
    main()
