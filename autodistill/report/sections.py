"""A report: its head, and its sections in their order.

Decided here: what a reader is told first, and the titles. A section that the runs cannot fill says why.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from autodistill.evaluation.style import as_text
from autodistill.report import choices, outcomes
from autodistill.report.page import Page, Section
from engine.base import DISTRIBUTION, version_of
from engine.base.errors import counted

if TYPE_CHECKING:
    from autodistill.report.material import Material

PALETTE = (
    "Colours are those of Okabe and Ito, which colour-blind people tell apart; marks and dashes differ, too. Shaded "
    "cells are blue, the darker the larger. The numbers of every figure stand in the tables below it."
)


SECTIONS: dict[str, tuple[str, Callable[[Material], Section | str]]] = {
    "runs": ("Which runs these are, and how good their students", outcomes.which_runs),
    "importance": ("How much of the scores each component decides", choices.importance),
    "objectives": ("Which objectives the best configurations have", choices.objectives),
    "augmentation": ("What augmentation adds, by size of the data and of the student", choices.augmentation),
    "models": ("What students reach under each teacher", outcomes.teachers_and_students),
    "configurations": ("Which configurations are the best on each dataset", choices.top_configurations),
    "left-out": ("How well the order is predicted on a dataset that was left out", outcomes.left_out),
    "costs": ("What quality costs", outcomes.costs),
    "learning": ("How soon students are there", outcomes.learning_curves),
}
"""Key → title and what makes it, in their order."""


def page(material: Material) -> Page:
    """The report: its head, and every section in its order."""
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    runs = material.runs
    lead = [
        f"{counted(len(runs), 'run')} on {counted(runs.dataset.nunique(), 'dataset')} from {material.name}; "
        f"{counted(runs.teacher.nunique(), 'teacher')}, {counted(runs.student.nunique(), 'student')}, "
        f"{counted(runs.configuration.nunique(), 'configuration')}. Made on {made} "
        f"with {DISTRIBUTION} {version_of(DISTRIBUTION) or ''}.",
        "The distillation ratio is the student's score / its teacher's. Intervals are of 95 %, and over datasets: they "
        "say how far a mean would move with other datasets of their kind. Fewer than three datasets have none.",
        PALETTE,
    ]
    with as_text():
        sections = {key: (title, make(material)) for key, (title, make) in SECTIONS.items()}
    return Page("What past runs of distillation say", lead, material.notes, sections)
