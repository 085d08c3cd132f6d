"""What comes with the project of the published figures is what is learned of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autodistill.ranking import fitted
from autodistill.ranking.fitted import fit_predictor, shipped_fits
from autodistill.ranking.knowledge import with_dataset
from autodistill.ranking.mixed import mixed, mixed_of
from autodistill.ranking.past import commonest_pair
from engine.base.progress import SilentReporter
from scripts.fit_published import PREDICTOR, fits, published
from tests.autodistill.made_up import by_size, made_up
from tests.ear import Ear


class Stages(Ear):
    """Remembers the stages, too."""

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self.messages.append(stage)


def test_nothing_is_fitted_of_the_published_figures(tmp_path: Path) -> None:
    """Also where a dataset of one's own is asked about, of which no run was made."""
    table, ear = published(tmp_path), Stages()
    (name, own), *_ = made_up(by_size, datasets=1).datasets.items()
    found = fit_predictor(PREDICTOR, with_dataset(table, own), tmp_path, ear)
    assert name not in table.names
    assert ear.messages == []
    assert found.trust(1).agreement is not None
    assert np.isfinite(found.rank(table.of("sst2"))).all()


def test_where_there_is_a_run_more_it_is_fitted(tmp_path: Path) -> None:
    table, ear = published(tmp_path), Stages()
    fit_predictor("mean_rank", table.without("rte"), tmp_path, ear)
    assert "mean_rank, each dataset left out" in ear.messages


def test_what_comes_with_the_project_orders_as_what_is_learned_now(tmp_path: Path) -> None:
    table = published(tmp_path)
    shipped = shipped_fits()[fitted.Kept(PREDICTOR, table, tmp_path, SilentReporter()).identity("learned")]
    now = mixed(table)
    assert tuple(shipped["features"]) == now.features
    np.testing.assert_allclose(mixed_of(table, shipped)(table), now(table), atol=1e-3)


@pytest.mark.slow
def test_all_of_it_is_what_is_learned_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, shipped = published(tmp_path), shipped_fits()
    monkeypatch.setattr(fitted, "shipped_fits", dict)
    found = fits(table, tmp_path)
    assert found.keys() == shipped.keys()
    for name in (PREDICTOR, "mean_rank"):
        key = fitted.Kept(name, table, tmp_path, SilentReporter()).identity("agreement", *commonest_pair(table.runs))
        for one, other in zip(found[key], shipped[key], strict=True):
            assert one == pytest.approx(other, abs=2e-3)
