"""Everything that is known before anything is run: past runs, datasets, word vectors, as one table."""

from collections.abc import Sequence
from dataclasses import replace

from autodistill.datasets.embedding import GLOVE, load_vectors
from autodistill.datasets.known import Dataset, one_name_each, shipped_datasets
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
    names = one_name_each(runs.frame.dataset.unique())
    frame = runs.frame.assign(dataset=runs.frame.dataset.map(names))
    table = RunTable(frame, shipped_datasets(), load_vectors(vectors, options.cache))
    for own in store.datasets():
        table = with_dataset(table, Dataset(*own))
    return table, runs.notes


def with_dataset(table: RunTable, dataset: Dataset) -> RunTable:
    """The table with what is known of a dataset, whose runs get its name, however it was called when they were made.

    Of two with the same name the later one counts.
    """
    names = one_name_each([dataset.name, *table.runs.dataset.unique(), *table.datasets])
    datasets = {names[name]: known for name, known in table.datasets.items()} | {dataset.name: dataset}
    return replace(table, runs=table.runs.assign(dataset=table.runs.dataset.map(names)), datasets=datasets)
