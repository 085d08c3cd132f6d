"""The record of a recommendation: older layouts are read, and what is none is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autodistill.recommend.record import Recommendation
from engine.base.errors import InputError
from engine.pipeline import AutoSKD, MIAlpha, Pipeline, PredictionCE, Skip
from tests.autodistill.commands.test_run import a_recommendation
from tests.clock import at_most


def old_pick(team: dict[str, Any]) -> dict[str, Any]:
    """A pick of layout 1."""
    pipeline = Pipeline().model_dump(mode="json")
    del pipeline["team"]
    return {
        "rank": 1,
        "student": "layers:1",
        "pipeline": {**pipeline, "teacher": team},
        "key": "of before",
        "place": 1.5,
        "ratio": 0.9,
        "ratio_low": None,
        "ratio_high": None,
        "seconds": 60.0,
        "contributions": {"team": 0.2},
        "unseen": [],
    }


def old_record(**more: Any) -> dict[str, Any]:
    """A record of layout 1, in its words."""
    today = a_recommendation().model_dump(mode="json")
    renamed = {"bilstm_score": "baseline_score", "mean_rank_agreement": "baseline_agreement"}
    record = {renamed.get(name, name): value for name, value in today.items() if name != "layout"}
    single = old_pick({"policy": "single"})
    team = old_pick({"policy": "autoskd", "members": ["layers:2"], "candidates": 5, "update": "cr"})
    return {**record, "baseline_score": 0.7, "picks": [single], "pareto": [single, team], **more}


def read(folder: Path, record: Any) -> Recommendation:
    (folder / "recommendation.json").write_text(json.dumps(record), "utf-8")
    return Recommendation.read(folder / "recommendation.json")


def test_a_record_of_an_older_layout_is_brought_up_to_date(tmp_path: Path) -> None:
    found = read(tmp_path, old_record())
    assert found.layout == 2
    assert (found.bilstm_score, found.mean_rank_agreement) == (0.7, 0.0)
    (pick,) = found.picks
    assert pick.standing == 1.5
    assert pick.key == Pipeline().key
    team = Pipeline.model_validate(found.pareto[1].pipeline).team
    assert isinstance(team, AutoSKD)
    assert (team.members, team.candidates, team.update) == (("layers:2",), 5, "cr")
    assert Recommendation.read(found.write(tmp_path / "again")) == found


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        {},
        {"picks": 1},
        {"picks": [1]},
        {"picks": [{}]},
        old_record(picks=[old_pick({})]),
        old_record(picks=[old_pick({"policy": "nothing"})]),
        old_record(layout=3),
        old_record(layout=2),
    ],
    ids=lambda record: str(record)[:40],
)
def test_what_is_no_record_is_refused(record: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the record of a recommendation"):
        read(tmp_path, record)


DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "another figure": lambda content: content.replace(b'"candidates": ', b'"candidates": 1'),
    "another loss": lambda content: content.replace(b'"mse"', b'"cos"').replace(b'"seed": 0', b'"seed": 1'),
    "a list": lambda content: b"[1, 2]",
    "nested": lambda content: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_named(damage: str, tmp_path: Path) -> None:
    made = a_recommendation()
    path = made.write(tmp_path)
    assert Recommendation.read(path) == made
    content = path.read_bytes()
    path.write_bytes(DAMAGE[damage](content))
    if path.read_bytes() == content:
        pytest.skip("there is no such part in it")
    with pytest.raises(InputError, match="recommendation.json: not the record of a recommendation"):
        Recommendation.read(path)


@pytest.mark.parametrize("manner", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_absent_record(manner: Callable[[Path], None], tmp_path: Path) -> None:
    """A pipe was waited for."""
    manner(tmp_path / "recommendation.json")
    with at_most(60), pytest.raises(InputError, match=r"recommendation\.json: a file is needed; got a "):
        Recommendation.read(tmp_path / "recommendation.json")


def test_an_absent_record_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run `autodistill recommend` first"):
        Recommendation.read(tmp_path / "recommendation.json")


def test_picks_are_chosen_by_their_ranks_also_those_of_the_front() -> None:
    made = Recommendation.model_validate(record_of_today())
    (first,) = made.picks
    cheap = first.model_copy(update={"rank": 2, "seconds": 1.0})
    found = made.model_copy(update={"pareto": [cheap, first]})
    assert [found.chosen(*asked) for asked in ((None, None), (1, None), (2, None), (None, 1))] == [
        [first],
        [first],
        [cheap],
        [first],
    ]
    with pytest.raises(InputError, match="--pick: no such pick; got 3; allowed: 1 to 2"):
        found.chosen(3, None)
    with pytest.raises(InputError, match="--top: not so many picks; got 2; allowed: 1 to 1"):
        found.chosen(None, 2)


def test_a_notebook_shows_the_picks_and_a_frame_has_their_settings() -> None:
    found = Recommendation.model_validate(record_of_today())
    frame = found.to_frame()
    assert frame.student.tolist() == ["layers:1"]
    assert frame["intermediate"].tolist() == ["mi_alpha"]
    assert frame["intermediate.alpha"].tolist() == [0.9]
    page = found._repr_html_()
    assert "<td>0.900 (0.800 to 1.100)</td>" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def record_of_today() -> dict[str, Any]:
    """A record of today with a pick and a warning that no page may run."""
    pipeline = Pipeline(intermediate=MIAlpha(), mapping=Skip(), prediction=PredictionCE())
    pick = {**old_pick({}), "pipeline": pipeline.model_dump(mode="json"), "key": pipeline.key, "standing": 1.5}
    del pick["place"]
    pick |= {"ratio_low": 0.8, "ratio_high": 1.1}
    return a_recommendation().model_dump(mode="json") | {"picks": [pick], "warnings": ["<script>"]}
