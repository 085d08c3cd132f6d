"""Everything that is known before anything is run: past runs, datasets, word vectors, as one table.

Decided here: a recommendation learns from the published figures and from the user's own runs, unless
another meta-dataset is named.
"""

from __future__ import annotations

from collections.abc import Sequence

from autodistill.datasets.embedding import HASHED, load_vectors
from autodistill.datasets.known import Dataset, known_datasets
from autodistill.history.read import joined, read_runs
from autodistill.history.results import row_of_result
from autodistill.history.store import Store
from autodistill.history.table import Runs, runs_frame
from autodistill.ranking.past import RunTable
from engine.base.errors import InputError
from engine.base.options import RunOptions

STORE = "store"
DEFAULT_SOURCES = ("published", STORE)


def load_knowledge(
    sources: Sequence[str] = DEFAULT_SOURCES,
    store: Store | None = None,
    vectors: str = HASHED,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    others: Sequence[Dataset] = (),
) -> tuple[RunTable, tuple[str, ...]]:
    """Past runs with their datasets.

    Args:
        sources: `published`, `store`, files of runs, folders.
        store: The user's; opened where it is needed and absent.
        vectors: As `features.embedding.load_vectors` takes them.
        others: Datasets that the store does not hold yet.

    Returns:
        The table, and what was noticed while it was read.

    Raises:
        InputError: A source cannot be read, or there is not one run.
    """
    store = store or Store()
    parts = [_of_store(store) if source == STORE else read_runs(source) for source in sources]
    runs = joined(parts)
    if not len(runs):
        hint = "Make runs with `autodistill run`, or name a table of runs."
        raise InputError.of("--meta-data", "no runs to learn from", ", ".join(sources), (), hint)
    own = [Dataset(*found) for found in store.datasets()]
    table = RunTable(runs.frame, known_datasets([*own, *others]), load_vectors(vectors, options.cache))
    return table, runs.notes


def _of_store(store: Store) -> Runs:
    rows = [row for result in store.runs() if (row := row_of_result(result))]
    return Runs(runs_frame(rows, [str(row["source"]) for row in rows]))
