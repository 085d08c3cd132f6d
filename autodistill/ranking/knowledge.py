"""Everything that is known before anything is run: past runs, datasets, word vectors, as one table.

Decided here: whose facts count. A dataset that comes with the project is as it was measured for the project, whatever
sample of it a user has; of one's own the description of the most rows counts. Past runs are of datasets in this sense,
but each keeps the Bi-LSTM score of its own rows and metric, where that is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from autodistill.datasets.embedding import GLOVE, load_vectors
from autodistill.datasets.known import Dataset, one_name_each, rows_of, shipped_datasets
from autodistill.history.folder import datasets_beside
from autodistill.history.read import joined, read_runs
from autodistill.history.store import Store
from autodistill.history.table import runs_of_results
from autodistill.ranking.past import RunTable
from engine.base.errors import InputError
from engine.base.options import RunOptions
from engine.base.progress import Reporter, SilentReporter
from engine.run.result import RunResult

STORE = "store"


def load_knowledge(
    sources: Sequence[str],
    store: Store,
    vectors: str = GLOVE,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    reporter: Reporter = SilentReporter(),  # noqa: B008 - without a state
) -> tuple[RunTable, tuple[str, ...]]:
    """Past runs with their datasets, and what was noticed while they were read.

    Args:
        sources: `published`, `study`, `store`, files of runs, folders.
        vectors: As `load_vectors` takes them.
        reporter: Is told where what was kept of them is damaged.

    Raises:
        InputError: A source cannot be read, or there is not one run.
    """
    left_out: list[str] = []
    results, datasets = _own(store, left_out.append)
    bilstm = {known.fingerprint: known.bilstm_score for known in (dataset.descriptors for dataset in datasets)}
    runs = joined([runs_of_results(results, bilstm) if source == STORE else read_runs(source) for source in sources])
    if not len(runs):
        hint = "Make runs with `autodistill run`, or name a table of runs."
        raise InputError.of("--meta-data", "no runs to learn from", ", ".join(sources), (), hint)
    names = one_name_each(runs.frame.dataset.unique())
    frame = runs.frame.assign(dataset=runs.frame.dataset.map(names))
    table = RunTable(frame, shipped_datasets(), load_vectors(vectors, options.cache, reporter))
    beside = [dataset for source in sources if source != STORE for dataset in datasets_beside(source)]
    for dataset in [*beside, *datasets]:
        table = with_dataset(table, dataset)
    return table, (*runs.notes, *left_out)


def _own(store: Store, tell: Callable[[str], None]) -> tuple[list[RunResult], list[Dataset]]:
    """The user's runs and datasets; records of before get the source that others of the same task have."""
    results, datasets = store.runs(tell), store.datasets(tell)
    said = [(each.dataset_fingerprint, each.dataset_source) for each in results]
    said += [(each.fingerprint, each.source) for each, _ in datasets]
    sources = {task: source for task, source in said if source}
    runs = [
        each.model_copy(update={"dataset_source": each.dataset_source or sources.get(each.dataset_fingerprint, "")})
        for each in results
    ]
    known = [
        Dataset(each.model_copy(update={"source": each.source or sources.get(each.fingerprint, "")}), words)
        for each, words in datasets
    ]
    return runs, known


def with_dataset(table: RunTable, dataset: Dataset) -> RunTable:
    """The table with what is known of a dataset, whose runs get its name, however it was called when they were made.

    Of several descriptions of one dataset that of the most training rows counts, of those the last; a shipped one
    stays.
    """
    same = {rows_of(alias) for alias in dataset.aliases}
    known = [*table.runs.dataset.unique(), *table.datasets]
    names = {name: dataset.name if rows_of(name) in same else name for name in known}
    described = [dataset, *(each for name, each in table.datasets.items() if names[name] == dataset.name)]
    fullest = max(described, key=lambda each: each.descriptors.n_train)
    others = {name: each for name, each in table.datasets.items() if names[name] != dataset.name}
    datasets = others | {dataset.name: shipped_datasets().get(dataset.name, fullest)}
    return replace(table, runs=table.runs.assign(dataset=table.runs.dataset.map(names)), datasets=datasets)
