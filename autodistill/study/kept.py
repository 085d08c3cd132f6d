"""The plan of a study, kept in the cache, for working it out reads every dataset.

Decided here: a plan follows from the study, the precision, every byte of the files of its datasets and models, the code
of both packages and the versions of the libraries. All of them are its key, and are read each time, so that what has
changed in any way is planned anew. So are data of the hub each time, which have no files here. A plan is not kept where
something was left out that may be there another time, or where a file has changed while it was made.
"""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from autodistill.study.planning import Planned, plan_study
from autodistill.study.spec import Study
from engine.base.cache import keeping, kept, maker, recalled
from engine.base.errors import DiskError, InputError, counted
from engine.base.files import hash_of, hash_of_files
from engine.base.hub import local_snapshot, model_hash
from engine.base.progress import Reporter
from engine.base.text import expanded, regular_file
from engine.data import demo
from engine.data.sources import files_of
from engine.models.names import parse_model

PLAN = "plan.json"
MORE_LIBRARIES = ("pandas", "pyarrow", "pydantic", "safetensors", "scikit-learn")
"""That read and draw rows, and write what is hashed, beside those of all that is kept."""
DEMO = tuple(name.replace("sklearn", "scikit-learn") for name in demo.LIBRARIES)


def planned(study: Study, precision: str, root: Path, reporter: Reporter) -> Planned:
    """All runs of a study, as `plan_study` gives them, which raises where that does.

    Args:
        precision: `Machine.rounding` of the workers.
        root: The cache.
    """
    key = _key(study, precision)
    folder = None if key is None else _place(root, key, study.name)
    if folder is not None and (found := recalled(folder, reporter, _read)) is not None:
        return found
    reporter.message(f"reading {counted(len(study.datasets), 'dataset')} and working out the runs of the study")
    found = plan_study(study, precision)
    if folder is not None and not found.may_change and _key(study, precision) == key:
        _keep(found, folder)
    return found


def _place(root: Path, key: Sequence[str], about: str) -> Path | None:
    """Where a plan is kept; None where the disk refuses: a plan can be made without."""
    with suppress(DiskError, OSError):
        return kept(root, "plans", *key, about=about)
    return None


def _keep(plan: Planned, folder: Path) -> None:
    with suppress(DiskError, OSError), keeping(folder) as aside:
        (aside / PLAN).write_bytes(_plans().dump_json(plan))


def _read(folder: Path) -> Planned:
    return _plans().validate_json((folder / PLAN).read_bytes())


@cache
def _plans() -> TypeAdapter[Planned]:
    return TypeAdapter(Planned)


def _key(study: Study, precision: str) -> list[str] | None:
    """All that a plan follows from; None where something of it has no file here, or cannot be read."""
    names = [*dict.fromkeys(_data(study))]
    versions = [platform.python_version(), *map(version, DEMO if "demo" in names else ())]
    try:
        found = [*map(_of_data, names), *map(_of_model, dict.fromkeys(_models(study)))]
    except (InputError, OSError):  # it is said when the study is planned
        return None
    code = maker(Path(__file__).parents[1], MORE_LIBRARIES)
    return None if None in found else [study.model_dump_json(), precision, code, *versions, *map(str, found)]


def _data(study: Study) -> Iterator[str]:
    """The names of all data that are read."""
    for source in (source for part in study.each_part for source in part.datasets):
        yield from filter(None, (source.data, source.columns.test, source.columns.unlabelled))


def _models(study: Study) -> Iterator[tuple[str, str]]:
    """Name and role of all models."""
    for part in study.each_part:
        yield from itertools.chain(
            ((name, "teacher") for name in part.teachers), ((name, "student") for name in part.students)
        )


def _of_data(name: str) -> str | None:
    """What decides the rows of data: where they lie, and every byte of their files; None of what has none here."""
    if name == "demo":
        return name
    files = files_of(name)
    for file in files or ():
        regular_file(file)  # a pipe would be read for ever
    return None if files is None else hash_of(expanded(name).resolve(), *files, hash_of_files(files))


def _of_model(named: tuple[str, str]) -> str:
    """What decides a model: every byte of its files, or its name where it has none."""
    name = parse_model(*named)
    return model_hash(local_snapshot(name, named[1])) if isinstance(name, str) else repr(name)
