"""Everything that is known before anything is run: past runs, datasets, word vectors, as one table."""

from collections.abc import Sequence

from autodistill.datasets.embedding import GLOVE, load_vectors
from autodistill.datasets.known import Dataset, known_datasets
from autodistill.history.read import joined, read_runs
from autodistill.history.store import Store
from autodistill.history.table import runs_of_results
from autodistill.ranking.past import RunTable
from engine.base.errors import InputError
from engine.base.options import RunOptions

STORE = "store"


def load_knowledge(
    sources: Sequence[str],
    store: Store,
    vectors: str = GLOVE,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> tuple[RunTable, tuple[str, ...]]:
    """Past runs with their datasets, and what was noticed while they were read.

    Args:
        sources: `published`, `store`, files of runs, folders.
        vectors: As `load_vectors` takes them.

    Raises:
        InputError: A source cannot be read, or there is not one run.
    """
    runs = joined([runs_of_results(store.runs()) if source == STORE else read_runs(source) for source in sources])
    if not len(runs):
        hint = "Make runs with `autodistill run`, or name a table of runs."
        raise InputError.of("--meta-data", "no runs to learn from", ", ".join(sources), (), hint)
    datasets = known_datasets(Dataset(*own) for own in store.datasets())
    return RunTable(runs.frame, datasets, load_vectors(vectors, options.cache)), runs.notes
