"""What a search found, as Python has it and a notebook shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.base.html import table

if TYPE_CHECKING:
    from pandas import DataFrame

    from autodistill.recommend.contenders import Contender
    from autodistill.recommend.search_record import SearchRecord, Trained
    from engine.run.result import RunResult

SHOWN = 10
"""Candidates that a notebook shows."""


class Chosen(NamedTuple):
    """A student whose training has ended, and where it lies."""

    contender: Contender
    result: RunResult
    folder: Path


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Args:
        tried: Candidates that were begun, the best first, with their pieces.
        result: Of the chosen one, whose training has ended.
        front: What was chosen, the best first: of several students each that no faster one is as good as, where that
            was asked for; else the one.
    """

    record: SearchRecord = field(repr=False)
    tried: list[tuple[Contender, list[Trained]]] = field(repr=False)
    result: RunResult = field(repr=False)
    folder: Path
    front: list[Chosen] = field(repr=False)

    def to_frame(self) -> DataFrame:
        """What was tried as a DataFrame, the best first: student, pipeline, score on the rows that select, epochs."""
        from pandas import DataFrame

        rows = [
            [
                contender.student,
                contender.words,
                steps[-1].score,
                steps[-1].epochs,
                contender.pipeline["training"]["epochs"],
            ]
            for contender, steps in self.tried
        ]
        return DataFrame(rows, columns=["student", "pipeline", "score", "epochs", "of_epochs"])

    def _repr_html_(self) -> str:
        """As a notebook shows it: the best of what was tried, and the chosen student beside its teacher."""
        from pandas import isna

        rows = [
            [student, words, "–" if isna(score) else f"{score:.4f}", f"{epochs} of {of_epochs}"]
            for student, words, score, epochs, of_epochs in self.to_frame().head(SHOWN).itertuples(index=False)
        ]
        head = ["student", "pipeline", self.result.named(self.result.metric), "epochs"]
        ended = f"The search ended because {self.record.ended}."
        title = f"{len(self.tried)} of {len(self.record.candidates):,} pipelines tried, the best first"
        return table(head, rows, title, [ended]) + self.result._repr_html_()
