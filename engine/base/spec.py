"""What all specs have in common."""

import os
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Weight = Annotated[float, Field(ge=0)]
Score = Annotated[float, Field(ge=-1, le=1)]
Count = Annotated[int, Field(ge=1)]
SEEDS = 2**32  # as many as numpy's older generator, which scikit-learn draws from, takes
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Name = Annotated[str, Field(min_length=1)]


def _as_text(given: Any) -> Any:
    return os.fspath(given) if isinstance(given, os.PathLike) else given


Place = Annotated[str, BeforeValidator(_as_text)]
"""Where something lies: a file, a folder, a URL or another name, as text; a `Path` is taken, too."""


class Spec(BaseModel):
    """Base of all specs: frozen, strict types, no unknown keys, no NaN; ready when first used."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class Described(Spec):
    """A spec in which the text below a field says what it is, also on the command line."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class TableRow(Spec):
    """A row of a table of text: its cells may have to be read as numbers. `None`: not known."""

    model_config = ConfigDict(strict=False)
