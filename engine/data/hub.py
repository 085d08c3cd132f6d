"""Datasets of the Hugging Face hub.

Decided here: a hub that does not answer within a second is unreachable, and then the local cache is all there is;
what is neither there nor reachable is refused at once instead of after minutes of retries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.errors import InputError
from engine.base.hub import hub_reachable
from engine.data.files import from_arrow
from engine.data.rows import RawSplit

if TYPE_CHECKING:
    from datasets import DatasetDict

PART = r"[A-Za-z0-9][\w.-]*"


def parts(name: str) -> tuple[str, str | None] | None:
    """The repository and the configuration in `name`, `owner/name` or `owner/name/config`; None for other names.

    Example:
        >>> parts("stanfordnlp/imdb"), parts("aps/super_glue/boolq"), parts("./imdb"), parts("my data")
        (('stanfordnlp/imdb', None), ('aps/super_glue', 'boolq'), None, None)
    """
    named = re.fullmatch(rf"({PART}(?:/{PART})?)(?:/({PART}))?", name)
    return (named[1], named[2]) if named else None


def read(repo: str, config: str | None = None) -> dict[str, RawSplit]:
    """The splits of a dataset, from the hub or, where it cannot be reached, from the local cache.

    Raises:
        InputError: It is not there, or neither the hub nor the cache can be read.
    """
    name = f"{repo}/{config}" if config else repo
    splits = read_hub(repo, config)
    return {split: from_arrow(rows.with_format("arrow")[:], f"{name} {split}") for split, rows in splits.items()}


def read_hub(repo: str, config: str | None = None) -> DatasetDict:
    """Downloads a dataset, or takes it from the cache; the one place that talks to the hub. Raises as `read` does."""
    place = f"{repo}/{config}" if config else repo
    reachable = hub_reachable()
    if not reachable and not _is_cached(repo):
        raise _out_of_reach(place)

    import datasets
    from datasets.exceptions import DatasetNotFoundError

    try:
        with _offline(not reachable):
            return datasets.load_dataset(repo, config)
    except DatasetNotFoundError as error:
        raise InputError.of(place, "the hub has no such dataset, or it needs a login") from error
    except (ValueError, RuntimeError, OSError) as error:  # unknown configuration, no data files, broken line
        if not reachable:
            raise _out_of_reach(place) from error
        raise InputError.of(place, "cannot be loaded from the hub", " ".join(str(error).split())[:300]) from error


def _out_of_reach(place: str) -> InputError:
    from huggingface_hub import constants

    reason = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else "the hub cannot be reached"
    advice = "Local files and folders work without the hub, and so does: demo"
    return InputError.of(place, f"not in the local cache of datasets, and {reason}", suggestion=advice)


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Makes `datasets` look into its cache at once, without asking the hub first."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if wanted:
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _is_cached(repo: str) -> bool:
    """Whether `datasets`, which changes case and underscores there, has this dataset in its cache; not imported."""
    from huggingface_hub import constants

    cache = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets").expanduser()
    entries = cache.iterdir() if cache.is_dir() else ()
    wanted = repo.replace("/", "").replace("_", "").lower()
    return wanted in {entry.name.replace("_", "").lower() for entry in entries}
