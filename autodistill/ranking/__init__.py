"""Predictors: from past runs to an order of candidate runs on a dataset they have not seen.

`PREDICTORS` holds them all, name → function from past runs to what ranks candidates. They see the same
table and are measured by the same validation.
"""

from __future__ import annotations

from autodistill.ranking import simple, tabular
from autodistill.ranking.mixed import mixed
from autodistill.ranking.past import Fit

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
DEFAULT = "mixed"
