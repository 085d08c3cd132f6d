"""A study as a benchmark: what would have been seen, had this pipeline been trained so long on that dataset.

    replay = Replay.read("tables")
    for cell in replay.cells:
        for pipeline in replay.pipelines(cell).index:
            seen = replay.ask(cell, pipeline, epochs=3)   # score on the validation rows, and what it cost

Any way of searching can be tried on all datasets within seconds. It may look at what `ask` gives, which is of the rows
that select; it is judged by `result`, which is of the others.

Decided here: a cell is a dataset with a number of rows, a teacher and a student, known by its words; a pipeline by the
hash of its columns, so it has the same name in every cell. Runs with a second seed are left out. The seconds are those
of the student's training, evaluation not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from autodistill.history.folder import STUDY, curves_beside, place_of
from autodistill.history.read import read_runs
from autodistill.history.table import is_pipeline_column
from autodistill.ranking.past import as_words
from autodistill.search.beliefs import SHARES, Curves
from autodistill.search.policies import Policy, Seen, Space, Step, steps
from engine.base.errors import InputError, unknown_name
from engine.base.files import hash_of

CELL = ("dataset", "n_train", "teacher", "student")
ALIKE = ("training.learning_rate", "training.max_length")
"""Columns of a pipeline that a task or a student settles."""


@dataclass(frozen=True)
class Replay:
    """The runs of a study, answered for as if they were made now.

    Args:
        runs: A row a run: `cell`, `pipeline`, `identity`, and the columns of `history.table`.
        curves: A row an epoch, as `study.tables` writes them, by `identity`.
    """

    runs: pd.DataFrame
    curves: Mapping[str, pd.DataFrame]

    @classmethod
    def read(cls, folder: str | Path) -> Replay:
        """From the tables of a study.

        Args:
            folder: Where `autodistill study export` wrote them; `study` for those that come with the project.

        Raises:
            InputError: They are not there, or do not belong together.
        """
        place = place_of(folder)
        runs = read_runs(place / STUDY if place.is_dir() else place).frame
        epochs = curves_beside(place)
        if epochs is None or "seconds" not in epochs:
            hint = "`autodistill study export` writes them."
            raise InputError.of(str(folder), "there are no learning curves with their seconds", "", (), hint)
        curves = {str(name): own for name, own in epochs.sort_values("epoch").groupby("identity")}
        if runs.empty:
            raise InputError.of(str(folder), "it has no runs yet", "", (), "`autodistill study run` makes them.")
        seeds = runs.seed.fillna(0)
        runs = runs[seeds == seeds.groupby([runs[name] for name in CELL]).transform("min")]
        if missing := sorted({*runs.identity} - curves.keys()):
            raise InputError.of(str(folder), "these runs of study.csv have no curve", ", ".join(missing[:5]))
        columns = [name for name in runs if is_pipeline_column(str(name)) and name not in ALIKE]
        keys = [hash_of(*row)[:12] for row in runs[columns].astype(object).where(runs[columns].notna(), None).values]
        cells = runs[[*CELL]].assign(n_train=runs.n_train.astype(int)).astype(str).agg(", ".join, axis=1)
        named = runs.assign(pipeline=keys, cell=cells).drop_duplicates(["cell", "pipeline"])
        return cls(named.set_index(["cell", "pipeline"]).sort_index(), curves)

    @cached_property
    def cells(self) -> list[str]:
        """Datasets with a number of rows, a teacher and a student, in words."""
        return [*self.runs.index.unique("cell")]

    @cached_property
    def everywhere(self) -> list[str]:
        """The pipelines that were run in every cell."""
        counts = self.runs.groupby(level="pipeline").size()
        return [*counts[counts == len(self.cells)].index]

    def pipelines(self, cell: str) -> pd.DataFrame:
        """The pipelines that were run in a cell, by their names, in columns; nothing of what came out."""
        own = self._of(cell)
        return own[[name for name in own if is_pipeline_column(str(name))]].dropna(axis=1, how="all")

    def ask(self, cell: str, pipeline: str, epochs: int) -> Seen:
        """What is seen after so many epochs, or after all of them where there are fewer."""
        curve = self._curve(cell, pipeline)
        part = curve.iloc[: max(epochs, 1)]
        return Seen(float(part.score.max()), float(part.seconds.iloc[-1]), len(part), len(part) == len(curve))

    def epochs(self, cell: str, pipeline: str) -> int:
        """How many epochs the pipeline was trained."""
        return len(self._curve(cell, pipeline))

    def result(self, cell: str, pipeline: str) -> float:
        """The score that the whole training leads to, on the rows that report."""
        return float(self._of(cell, pipeline).score[pipeline])

    def regret(self, cell: str, score: float, column: Literal["score", "validation_score"] = "score") -> float:
        """How much of the way from the median pipeline of a cell to its best one is missing: 0 to 1, less is better.

        Args:
            column: Of the runs: on the rows that report, or on those that a search sees.
        """
        scores = self._of(cell)[column]
        room = scores.max() - scores.median()
        return float(min(max((scores.max() - score) / room, 0.0), 1.0)) if room > 0 else 0.0

    def space(self, cell: str) -> Space:
        """What a policy may know of a cell before it begins: its pipelines, and how long each training takes."""
        pipelines = self.pipelines(cell)
        epochs = {name: self.epochs(cell, name) for name in pipelines.index}
        return Space(pipelines, epochs, {name: self.ask(cell, name, epochs[name]).seconds for name in epochs})

    def curves_of(self, cell: str, expected: np.ndarray | None = None) -> Curves:
        """The curves of a cell's pipelines, as a search learns from them.

        Args:
            expected: What the runs of other cells say of each last score, around their mean (n,); nothing: zeros.
        """
        words = as_words(self.pipelines(cell))
        epochs = {name: self.epochs(cell, name) for name in words.index}
        scores = [[self.ask(cell, name, round(part * epochs[name])).score for part in SHARES] for name in words.index]
        return Curves(words, np.array(scores), np.zeros(len(words)) if expected is None else expected)

    def search(self, cell: str, policy: Policy, seconds: float = inf, seed: int = 0) -> Iterator[Step]:
        """Has a policy search a cell until so many seconds of training are spent; `autodistill.search` has some."""
        searching = policy(self.space(cell), np.random.default_rng(seed))
        return steps(searching, lambda piece: self.ask(cell, *piece[:2]), seconds)

    def _curve(self, cell: str, pipeline: str) -> pd.DataFrame:
        return self.curves[str(self._of(cell, pipeline).identity[pipeline])]

    def _of(self, cell: str, pipeline: str | None = None) -> pd.DataFrame:
        """The runs of a cell; an `InputError` where there is no such one, or no such pipeline among them."""
        if cell not in self.cells:
            raise InputError([unknown_name("cell", "no such cell", cell, self.cells)])
        own = pd.DataFrame(self.runs.xs(cell, level="cell"))
        if pipeline is not None and pipeline not in own.index:
            raise InputError([unknown_name("pipeline", f"not run in {cell}", pipeline, [*map(str, own.index)])])
        return own
