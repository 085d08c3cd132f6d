"""The predictors by name, and one of them made ready: fitted, calibrated, compared with the mean rank.

Fitting takes seconds to a minute, so it is done once for a table of runs and kept. A pickle is loaded only from the
tool's own cache, under a hash of everything that it was made from, and only if its own hash is the one that was
written beside it.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

from autodistill.ranking import simple, tabular
from autodistill.ranking.calibration import Calibration, calibrate, left_out_standings
from autodistill.ranking.mixed import mixed
from autodistill.ranking.past import Fit, Rank, RunTable, agreement
from engine.base.cache import kept, maker
from engine.base.errors import counted
from engine.base.files import write_text, written_atomically
from engine.base.progress import Reporter

PREDICTORS: dict[str, Fit] = {
    "mixed": mixed,
    "autogluon": tabular.autogluon,
    "lightgbm": tabular.lightgbm,
    "ridge": tabular.ridge,
    "mean_rank": simple.mean_rank,
    "portfolio": simple.portfolio,
    "nearest": simple.nearest_dataset,
    "random": simple.random_order,
}
"""Name → function from past runs to what ranks candidates; all see the same table and the same folds."""
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "lightgbm", "autogluon.tabular")


@dataclass(frozen=True)
class Fitted:
    """What a recommendation is made with."""

    rank: Rank
    calibration: Calibration
    agreement: float
    """Rank correlation with what came out, mean over past datasets when each is left out."""
    mean_rank_agreement: float
    """The same of the mean rank of exact configurations."""


def fit_predictor(name: str, table: RunTable, cache: Path, reporter: Reporter) -> Fitted:
    """The predictor for a table of runs, from the cache where it is there."""
    path = _place(name, table, cache)
    if (known := _read(path)) is not None:
        return known
    past = f"{counted(len(table.runs), 'run')} of {counted(len(table.names), 'dataset')}"
    reporter.message(f"fitting the predictor {name} on {past}")
    fit = PREDICTORS[name]
    rank = fit(table)
    standings = left_out_standings(fit, rank, table)
    by_mean_rank = left_out_standings(simple.mean_rank, simple.mean_rank(table), table)
    both = (agreement(table.runs, each) for each in (standings, by_mean_rank))
    fitted = Fitted(rank, calibrate(table, standings), *(float(each.mean()) if len(each) else 0.0 for each in both))
    content = pickle.dumps(fitted)
    with written_atomically(path) as aside:
        aside.write_bytes(content)
    write_text(path.with_suffix(".sha256"), hashlib.sha256(content).hexdigest())
    return fitted


def _place(name: str, table: RunTable, cache: Path) -> Path:
    """Where it is kept: it follows from runs, datasets, vectors, the code of this package and the libraries."""
    runs = table.runs.reindex(columns=sorted(table.runs.columns)).to_json(orient="split", double_precision=15)
    datasets = [table.datasets[each].descriptors.model_dump_json() for each in table.names if each in table.datasets]
    made_by = maker(Path(__file__).parents[1], LIBRARIES)
    return kept(cache, "predictors", name, runs, datasets, table.vectors.name, made_by).with_suffix(".pickle")


def _read(path: Path) -> Fitted | None:
    """What was kept; None where there is nothing, or something else than was written."""
    digest = path.with_suffix(".sha256")
    if not (path.is_file() and digest.is_file()):
        return None
    content = path.read_bytes()
    return pickle.loads(content) if hashlib.sha256(content).hexdigest() == digest.read_text("utf-8") else None
