"""The average of predictors: what the default one is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autodistill.ranking.fitted import PREDICTORS
from autodistill.ranking.simple import mean_rank
from autodistill.ranking.tabular import lightgbm, ridge
from tests.autodistill.made_up import by_size, made_up


def test_it_is_the_mean_of_a_line_trees_and_what_is_remembered() -> None:
    table = made_up(by_size, datasets=4)
    past, asked = table.without("set1"), table.of("set1")
    parts = [fit(past)(asked) for fit in (ridge, lightgbm, mean_rank)]
    np.testing.assert_allclose(PREDICTORS["average"](past)(asked), sum(parts) / 3)


def test_where_nothing_was_run_before_the_others_decide() -> None:
    table = made_up(by_size, datasets=4)
    past, asked = table.without("set1"), table.of("set1")
    unknown = replace(asked, runs=asked.runs.assign(student="never run"))
    both = ridge(past)(unknown) + lightgbm(past)(unknown)
    np.testing.assert_allclose(PREDICTORS["average"](past)(unknown), both / 3)
