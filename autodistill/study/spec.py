"""What a study is: datasets, models, and which pipelines are tried on them; read from a TOML file.

Decided here: names, ranges and defaults. Imports neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from autodistill.recommend.request import Columns
from engine.base.errors import counted
from engine.base.options import FineTuning
from engine.base.spec import Count, Described, Name, Seed
from engine.pipeline.explain import checked
from engine.pipeline.read import read_document
from engine.pipeline.training import Training

PolicyName = Literal["random", "halving", "hyperband", "asha", "tpe", "one_epoch"]
POLICY_NAMES = get_args(PolicyName)
"""Those of `autodistill.search.policies.POLICIES`, which loads pandas."""
EPOCHS_NEEDED = {"halving": 3, "hyperband": 3, "asha": 3, "one_epoch": 2}
"""Policy that stops trainings early → the epochs of a whole one without which it would stop none."""
TRIALS = 10
"""Of a search, where a file names none."""
Item = TypeVar("Item")
Listed = Annotated[tuple[Item, ...], Field(strict=False)]


class Source(Described):
    """A dataset of a study."""

    data: Name
    """Hub name, file, folder with train and validation, or demo."""
    columns: Columns = Field(default_factory=Columns)
    """How it is read, where its columns do not tell."""


def _as_source(value: Any) -> Any:
    """A name alone is a dataset whose columns tell what they are."""
    return {"data": value} if isinstance(value, str) else value


class Design(Described):
    """Which pipelines are tried with each dataset, number of rows, teacher and student."""

    core: Annotated[int, Field(ge=0)] = 42
    """So many, the same everywhere, in which the values of all components meet each other early."""
    random: Annotated[int, Field(ge=0)] = 0
    """So many more, drawn from the whole space, others each time."""
    repeated: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of all of them that is run with a second seed, too, to know the noise."""
    search: PolicyName | None = None
    """What chooses further ones, by what it sees of those before, and when to stop them; none where it is not named."""
    trials: Count | None = None
    """How many whole trainings' worth of epochs a search spends, before it trains its choice to the end; `TRIALS`."""

    @model_validator(mode="after")
    def _trials_are_of_a_search(self) -> Design:
        if self.search is None and self.trials is not None:
            raise ValueError(f"trials are those of a search, and none is named; search: {', '.join(POLICY_NAMES)}")
        return self


class Part(Described):
    """A part of a study, which has in these places something else than the study; the study where it has none."""

    datasets: Listed[Annotated[Source, BeforeValidator(_as_source)]] = Field(default=(), min_length=1)
    rows: Listed[Count] = ()
    """Training rows, each number a task of its own; all rows where none is named."""
    test_rows: Annotated[int, Field(ge=0)] = 0
    """Up to so many rows report the scores: training rows that are not drawn join a smaller test set."""
    teachers: Listed[Name] = Field(default=(), min_length=1)
    students: Listed[Name] = Field(default=(), min_length=1)
    space: dict[str, Listed[str]] = Field(default_factory=dict)
    """Component → the kinds that are tried; all where it is not named."""
    design: Design = Field(default_factory=Design)
    training: Training = Field(default_factory=Training)
    """Of every student."""


class Study(Part):
    """A study. What is not said has the defaults of `autodistill run`."""

    name: Name
    """Studies of one name in one store are one study."""
    datasets: Listed[Annotated[Source, BeforeValidator(_as_source)]] = Field(min_length=1)
    teachers: Listed[Name] = Field(min_length=1)
    students: Listed[Name] = Field(min_length=1)
    fine_tuning: FineTuning = Field(default_factory=FineTuning)
    """Of the teachers."""
    student_alone: bool = True
    """Whether each student is also fine-tuned without a teacher."""
    tables: str | None = None
    """Folder of the study's tables: runs that are in them are not made again, and `study export` adds to them."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """After so many of collecting no further run is begun; the same command goes on later."""
    seed: Seed = 0
    """Of all that is drawn."""
    parts: Listed[Part] = ()
    """What the study consists of, where not every student meets every dataset with every number of rows."""

    @property
    def each_part(self) -> tuple[Study, ...]:
        """Its parts, each as a study of its own; itself where it has none."""
        own = ({name: getattr(part, name) for name in part.model_fields_set} for part in self.parts)
        return tuple(self.model_copy(update={"parts": (), **keys}) for keys in own) or (self,)

    @model_validator(mode="after")
    def _searches_have_epochs_to_spare(self) -> Study:
        for part in self.each_part:
            policy, epochs = part.design.search, part.training.epochs
            needed = EPOCHS_NEEDED.get(policy or "", 1)
            if epochs is not None and epochs < needed:
                raise ValueError(
                    f"a search by {policy} stops trainings early, and whole ones of {counted(epochs, 'epoch')} leave "
                    f"nothing to stop; design.search: random or tpe, or training.epochs: at least {needed}"
                )
        return self

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not name.isidentifier():
            raise ValueError(f"letters, digits and _ alone, for it names a folder, too: {name!r}")
        return name


def read_study(source: str | Path | Mapping[str, Any]) -> Study:
    """A study from a TOML, YAML or JSON file, or a mapping.

    Raises:
        InputError: With every problem at once.
    """
    document = source if isinstance(source, Mapping) else read_document(Path(source), "study")
    return checked(Study, document)
