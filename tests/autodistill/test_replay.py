"""A study that answers at once: what it says is what its runs saw."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from autodistill.replay import Replay
from engine.base.errors import InputError
from tests.records import made_row

STUDENTS = ("lstm", "static")


def write(folder: Path) -> None:
    """Two datasets, two students, three pipelines (one of which is run on one dataset alone), and a second seed."""
    rows, curves = [], []
    for dataset in ("a", "b"):
        for student in STUDENTS:
            for place, objective in enumerate(("none", "mse", "cos")):
                if (dataset, objective) == ("b", "cos"):
                    continue
                for seed in (0, 1):
                    identity = f"{dataset}{student}{objective}{seed}"
                    score = 0.5 + 0.1 * place + 0.01 * (dataset == "b") + 0.3 * seed
                    more = {"identity": identity, "seed": seed, "student": student, "dataset": dataset, "score": score}
                    known = {"intermediate": objective, "mapping": "none" if objective == "none" else "skip"}
                    rate = {"training.learning_rate": 0.1 if student == "lstm" else 0.2}
                    rows.append(made_row(**more, **known, **rate, validation_score=score - 0.1))
                    curves += [
                        {"identity": identity, "epoch": epoch, "seconds": 2.0 * epoch, "score": value}
                        for epoch, value in enumerate((0.2, score - 0.1, score - 0.2), start=1)
                    ]
    pd.DataFrame(rows).to_csv(folder / "study.csv", index=False)
    pd.DataFrame(curves).sample(frac=1, random_state=0).to_parquet(folder / "curves.parquet", index=False)


@pytest.fixture(name="replay")
def _replay(tmp_path: Path) -> Replay:
    write(tmp_path)
    return Replay.read(tmp_path)


def test_cells_and_their_pipelines(replay: Replay) -> None:
    assert replay.cells == [f"{dataset}, 10, large, {student}" for dataset in "ab" for student in STUDENTS]
    by_cell = {cell: replay.pipelines(cell) for cell in replay.cells}
    assert [len(each) for each in by_cell.values()] == [3, 3, 2, 2]
    first = by_cell[replay.cells[0]]
    assert sorted(first.intermediate) == ["cos", "mse", "none"]
    assert not {"score", "ratio", "seed", "identity", "validation_score"} & {*first}


def test_a_pipeline_has_one_name_everywhere(replay: Replay) -> None:
    names = [replay.pipelines(cell).reset_index().set_index("intermediate").pipeline for cell in replay.cells]
    for each in names[1:]:
        assert each.to_dict().items() <= names[0].to_dict().items()
    assert sorted(replay.everywhere) == sorted([names[0]["none"], names[0]["mse"]])


def test_what_is_seen_after_some_epochs(replay: Replay) -> None:
    cell = replay.cells[0]
    name = replay.pipelines(cell).query("intermediate == 'mse'").index[0]
    seen = [replay.ask(cell, name, epochs) for epochs in (0, 1, 2, 3, 99)]
    assert [each.score for each in seen] == pytest.approx([0.2, 0.2, 0.5, 0.5, 0.5])
    assert [each.seconds for each in seen] == [2.0, 2.0, 4.0, 6.0, 6.0]
    assert [(each.epochs, each.over) for each in seen] == [(1, False), (1, False), (2, False), (3, True), (3, True)]
    assert replay.epochs(cell, name) == 3
    assert replay.result(cell, name) == pytest.approx(0.6)


def test_regret_is_what_is_missing(replay: Replay) -> None:
    cell = replay.cells[0]  # 0.5, 0.6, 0.7
    assert [replay.regret(cell, score) for score in (0.7, 0.65, 0.6, 0.1, 0.9)] == pytest.approx([0, 0.5, 1, 1, 0])


def test_regret_of_what_a_search_sees(replay: Replay) -> None:
    cell = replay.cells[0]  # 0.4, 0.5, 0.6
    assert [replay.regret(cell, score, "validation_score") for score in (0.6, 0.5)] == pytest.approx([0, 1])


def test_a_cell_in_which_all_are_alike(tmp_path: Path) -> None:
    write(tmp_path)
    runs = pd.read_csv(tmp_path / "study.csv").assign(score=0.5)
    runs.to_csv(tmp_path / "study.csv", index=False)
    replay = Replay.read(tmp_path)
    assert replay.regret(replay.cells[0], 0.5) == 0


def test_what_is_not_there(replay: Replay, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such cell.*Did you mean a, 10, large, lstm"):
        replay.pipelines("a, 10, large, lstn")
    with pytest.raises(InputError, match="not run in a, 10"):
        replay.ask(replay.cells[0], "abc", 1)
    (tmp_path / "curves.parquet").unlink()
    with pytest.raises(InputError, match="there are no learning curves"):
        Replay.read(tmp_path)
    pd.DataFrame({"identity": ["x"], "epoch": [1], "seconds": [1.0], "score": [0.5]}).to_parquet(
        tmp_path / "curves.parquet"
    )
    with pytest.raises(InputError, match="these runs of study.csv have no curve"):
        Replay.read(tmp_path)


def test_runs_whose_seed_is_not_known(tmp_path: Path) -> None:
    write(tmp_path)
    runs = pd.read_csv(tmp_path / "study.csv")
    runs[runs.seed == 0].drop(columns="seed").to_csv(tmp_path / "study.csv", index=False)
    replay = Replay.read(tmp_path)
    assert [len(replay.pipelines(cell)) for cell in replay.cells] == [3, 3, 2, 2]


def test_a_study_without_a_run(tmp_path: Path) -> None:
    write(tmp_path)
    for name, read, save in (
        ("study.csv", pd.read_csv, lambda table, path: table.to_csv(path, index=False)),
        ("curves.parquet", pd.read_parquet, pd.DataFrame.to_parquet),
    ):
        save(read(tmp_path / name).head(0), tmp_path / name)
    with pytest.raises(InputError, match="no runs"):
        Replay.read(tmp_path)
