"""Warnings beside a recommendation: each where it is due, and none where nothing is amiss."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words
from autodistill.ranking.fitted import Trust
from autodistill.recommend.caveats import caveats
from engine.data.task import Task, TaskKind
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.tasks import make_task


@dataclass(frozen=True)
class Situation:
    """A recommendation without any reason to doubt it, but for what is changed.

    Args:
        row: What is changed in the candidates.
        worth: Of the predictor and of the mean rank on past datasets.
    """

    datasets: int = 6
    kind: TaskKind = "classification"
    kinds: tuple[TaskKind, ...] = ("classification",) * 6
    rows: tuple[int, int] = (200, 200)
    words: str = "word1 word2 word3 word4"
    bilstm: float | None = 0.7
    row: dict[str, Any] = field(default_factory=dict)
    worth: tuple[float | None, float | None] = (0.5, 0.4)
    pair: str = ""
    tied: bool = False

    def caveats(self) -> list[str]:
        made = made_up(everywhere_the_same, datasets=self.datasets)
        kinds = dict(zip(made.names, self.kinds, strict=False))
        sizes = made.runs.dataset.map({"set5": 100}).fillna(5000)
        table = replace(made, runs=made.runs.assign(task_kind=made.runs.dataset.map(kinds), n_train=sizes))
        first = table.datasets["set0"]
        asked = first.descriptors.model_copy(update={"dataset": "asked", "bilstm_score": self.bilstm})
        candidates = table.of("set0").runs.assign(**{"dataset": "asked", **self.row})
        candidates = candidates.assign(standing=0.0 if self.tied else np.arange(len(candidates)))
        known = {**table.datasets, "asked": Dataset(asked, count_words([self.words]))}
        trust = Trust(self.pair, *self.worth, datasets=self.datasets)
        return caveats(self.task(), known["asked"], replace(table, datasets=known), candidates, trust)

    def task(self) -> Task:
        rows = [{"text": f"text {place}", "label": place % 2} for place in range(max(self.rows))]
        train, held_out = (rows[:count] for count in self.rows)
        return make_task(self.kind, train, held_out, ("no", "yes"))


def test_where_nothing_is_amiss_nothing_is_said() -> None:
    assert Situation().caveats() == []


KINDS: tuple[TaskKind, ...] = ("tagging", *("classification",) * 5)


@pytest.mark.parametrize(
    ("situation", "said"),
    [
        (Situation(bilstm=0.95), "A small Bi-LSTM reaches 0.950 without a teacher, and the teacher 0.900"),
        (Situation(bilstm=0.9), "nothing to distil"),
        (Situation(kind="question_answering"), "No past run is of question answering"),
        (Situation(kind="tagging", kinds=KINDS), "Only one past dataset is of tagging."),
        (Situation(datasets=4), "Past runs are of 4 datasets only"),
        (Situation(datasets=1), "Past runs are of 1 dataset only"),
        (Situation(worth=(0.4, 0.4)), "nothing is known to depend on the dataset"),
        (Situation(worth=(0.31, 0.42)), "0.31 against 0.42"),
        (Situation(worth=(0.31, 0.42), pair="small ← large"), "orders runs of small ← large no better"),
        (Situation(worth=(0.105, 0.05), pair="small ← large"), "runs of small ← large are hardly ordered (0.10)"),
        (Situation(tied=True), "All 12 pipelines are tied: nothing tells them apart."),
        (Situation(worth=(None, None)), "Too few past runs: how well pipelines are ordered"),
        (Situation(rows=(199, 200)), "Only 199 training rows"),
        (Situation(rows=(200, 40)), "Only 40 held-out rows"),
        (Situation(rows=(50, 40)), "Only 50 training rows and 40 held-out rows"),
        (Situation(words="word1 gut schlecht mäßig"), "Only 25% of the words occur in any past dataset"),
        (Situation(row={"student_parameters": 11e6}), "student of 11 M parameters (nearest past ones: 5 M)"),
        (Situation(row={"student_parameters": 2e6}), "student of 2 M parameters"),
        (
            Situation(row={"teacher_parameters": 335e6}),
            "No past run is like this: teacher of 335 M parameters (nearest",
        ),
        (Situation(row={"student": "scratch:layers=2,hidden=128"}), "student that starts from scratch (past ones pre"),
        (Situation(row={"training.epochs": 1}), "1 epoch (nearest past ones: 20)"),
        (Situation(row={"n_train": 15}), "No past run is like this: 15 training examples (nearest past ones: 100);"),
        (Situation(row={"n_train": 60}), "Past runs of 1 dataset only are like this: 60 training examples (nearest"),
    ],
)
def test_each_caveat_is_said_and_no_other(situation: Situation, said: str) -> None:
    (found,) = situation.caveats()
    assert said in found
    assert found.endswith(".")


@pytest.mark.parametrize(
    "situation",
    [
        Situation(bilstm=None),
        Situation(bilstm=0.899),
        Situation(kind="tagging", kinds=("tagging", "tagging", *("classification",) * 4)),
        Situation(datasets=5),
        Situation(worth=(0.5, None)),
        Situation(words="word1 word2 gut schlecht"),
        Situation(words=""),
        Situation(row={"student_parameters": 10e6}),
        Situation(row={"student_parameters": 2.5e6}),
        Situation(row={"student_parameters": np.nan}),
        Situation(row={"student": "layers:3", "teacher": "bert-base-uncased"}),
        Situation(row={"training.epochs": 10}),
        Situation(row={"n_train": 1_000}),
        Situation(row={"n_train": 25_000}),
    ],
)
def test_what_is_just_enough_has_no_caveat(situation: Situation) -> None:
    assert situation.caveats() == []


def test_the_weightiest_caveat_comes_first() -> None:
    found = Situation(
        bilstm=0.95,
        kind="tagging",
        datasets=2,
        worth=(0.3, 0.4),
        rows=(40, 20),
        words="gut schlecht",
        row={"student_parameters": 1e9},
    ).caveats()
    starts = ["A small Bi-LSTM", "No past run", "Past runs", "On past", "Only 40", "Only 0%", "No past run is like"]
    assert [sentence.startswith(start) for sentence, start in zip(found, starts, strict=True)] == [True] * 7


def test_the_dataset_itself_does_not_make_its_words_known() -> None:
    """A dataset with runs of its own, in a language that no other one has."""
    table = made_up(everywhere_the_same, datasets=6)
    foreign = Dataset(table.datasets["set0"].descriptors, count_words(["gut schlecht mäßig"]))
    known = replace(table, runs=table.runs.assign(n_train=5000), datasets={**table.datasets, "set0": foreign})
    situation = Situation()
    candidates: pd.DataFrame = known.of("set0").runs.assign(standing=np.arange(12))
    (found,) = caveats(situation.task(), foreign, known, candidates, Trust("", *situation.worth, datasets=6))
    assert "another language or field" in found
