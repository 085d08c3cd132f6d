"""What decides scores: shares that are known, what counts as a component, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autodistill.api import AutoDistiller
from autodistill.evaluation.importance import FEWEST_RUNS, Importance, components_of, importance, of_models
from autodistill.history.read import read_runs
from autodistill.history.store import Store
from autodistill.history.table import flat
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError
from engine.base.progress import SilentReporter
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.command_line import Answer
from tests.records import made_record


def runs(rows: Sequence[dict[str, Any]], dataset: str = "one") -> pd.DataFrame:
    """Runs with the columns that all have."""
    usual = {"dataset": dataset, "metric": "accuracy", "held_out": "validation", "teacher": "t", "student": "s"}
    return pd.DataFrame([{**usual, "n_train": 1000.0, **row} for row in rows])


def explained(frame: pd.DataFrame, only: Sequence[str] = ()) -> Importance:
    return importance(frame, "made up", SilentReporter(), only)


def known(found: Importance) -> dict[str, float]:
    """All shares that are not next to nothing."""
    both = {**found.single, **found.pairs}
    return {name: each.share for name, each in both.items() if each.share > 0.03}


# --- functions whose shares are known ----------------------------------------------------------------


def test_an_interaction_that_hides_a_component() -> None:
    """y = a + 4 (a − ½)(b − ½) on [0, 1]²: V_a = 1/12, V_b = 0, V_ab = 1/9."""
    a, b = np.random.default_rng(0).random((2, 2000))
    scores = a + 4 * (a - 0.5) * (b - 0.5)
    names = "training.learning_rate", "training.warmup"
    rows = [dict(zip((*names, "score"), each, strict=True)) for each in zip(a, b, scores, strict=True)]
    found = explained(runs(rows))
    assert found.single[names[0]].share == pytest.approx(0.43, abs=0.03)
    assert found.single[names[1]].share == pytest.approx(0.00, abs=0.03)
    assert found.pairs[" × ".join(names)].share == pytest.approx(0.57, abs=0.03)
    assert found.datasets["one"].explained > 0.95


def test_categories_have_no_order_and_equal_weight() -> None:
    """Five kinds whose worth is 0 to 4, in no order (variance 2), and two that differ by 2 (variance 1)."""
    worth = {"mse": 3.0, "cos": 0.0, "pkd": 4.0, "ce": 1.0, "mi_alpha": 2.0}
    dice = np.random.default_rng(0)
    rows = []
    for kind in dice.choice(list(worth), 600, p=[0.6, 0.1, 0.1, 0.1, 0.1]):
        prediction = dice.choice(["ce", "mse"], p=[0.8, 0.2])
        mapping = dice.choice(["skip", "last", "emd"])
        score = worth[str(kind)] + 2 * (prediction == "mse")
        rows.append({"intermediate": kind, "mapping": mapping, "prediction": prediction, "score": score})
    found = known(explained(runs(rows)))
    assert found == pytest.approx({"intermediate": 2 / 3, "prediction": 1 / 3}, abs=0.03)


def test_a_knob_that_one_kind_has() -> None:
    """α is worth 0, 1 or 2 with mi_alpha, and is not there with mse, which is worth 0.

    V = 7/12; of it the objective alone has ¼, α alone ½² · ⅔ = ⅙, and the two together the rest, ⅙.
    """
    worth = {0.0: 0.0, 0.5: 1.0, 1.0: 2.0}
    dice = np.random.default_rng(0)
    with_alpha = [
        {"intermediate": "mi_alpha", "intermediate.alpha": alpha, "score": worth[alpha]}
        for alpha in dice.choice(list(worth), 300, p=[0.6, 0.2, 0.2])
    ]
    found = known(explained(runs([*with_alpha, *[{"intermediate": "mse", "score": 0.0}] * 40])))
    expected = {"intermediate": 3 / 7, "intermediate.alpha": 2 / 7, "intermediate × intermediate.alpha": 2 / 7}
    assert found == pytest.approx(expected, abs=0.03)


def test_the_others_are_averaged_out() -> None:
    """Of what pipelines are worth on average over students, all is the objective's; of everything it is a tenth."""
    dice = np.random.default_rng(0)
    rows = []
    for _ in range(400):
        student, kind = str(dice.choice(["small", "large"])), str(dice.choice(["mse", "cos"]))
        score = 3 * (student == "large") + (kind == "mse")
        rows.append({"student": student, "intermediate": kind, "prediction": str(dice.choice(["ce", "mse"]))})
        rows[-1]["score"] = float(score)
    assert known(explained(runs(rows))) == pytest.approx({"student": 0.9, "intermediate": 0.1}, abs=0.02)
    asked = explained(runs(rows), ["intermediate", "prediction"])
    assert list(asked.single) == ["intermediate", "prediction"]
    assert asked.single["intermediate"].share == pytest.approx(1, abs=0.02)


# --- what is a component -----------------------------------------------------------------------------


def test_components_of_the_search_space() -> None:
    """A knob exists with its kind, a mapping with an objective; what follows from another choice is none of its own."""
    rows = [flat(pipeline.model_dump(mode="json")) for pipeline in pipelines("classification")]
    components, codes = components_of(runs([{**row, "score": 0.5} for row in rows]))
    values = {each.name: list(each.values) for each in components}
    parents = {
        each.name: (components[each.parent].name, {components[each.parent].values[code] for code in each.exists})
        for each in components
        if each.parent is not None
    }
    objectives = {"ce", "cos", "l2", "mi_alpha", "mse", "pkd"}
    assert values["intermediate"] == sorted({"none", *objectives})
    assert parents == {
        "mapping": ("intermediate", objectives),
        "intermediate.alpha": ("intermediate", {"mi_alpha"}),
        "intermediate.critic": ("intermediate", {"mi_alpha"}),
        "prediction.temperature": ("prediction", {"ce"}),
        "weights.hard_label": ("augmentation", {"none"}),
    }
    assert set(values) == {"intermediate", "prediction", "augmentation", *parents}
    assert values["mapping"] == ["emd", "last", "skip"], "none is no mapping"
    assert values["intermediate.alpha"] == [0.0, 0.1, 0.5, 0.9, 1.0]
    assert values["weights.hard_label"] == [0.0, 1.0]
    places = list(values)
    alpha, objective = codes[:, places.index("intermediate.alpha")], codes[:, places.index("intermediate")]
    assert ((alpha >= 0) == (objective == values["intermediate"].index("mi_alpha"))).all()


def test_a_learning_rate_that_follows_from_the_student_is_none() -> None:
    """One that was chosen is, with the students with which it was."""
    rows = [
        {"student": student, "training.learning_rate": rate, "intermediate": kind, "score": 0.5}
        for student, rate in (("lstm", 0.01), ("layers:2", 5e-5))
        for kind in ("mse", "l2")
    ]
    assert {each.name for each in components_of(runs(rows))[0]} == {"student", "intermediate"}
    chosen = [{**row, "training.learning_rate": 1e-4} for row in rows if row["student"] == "layers:2"]
    components, _ = components_of(runs([*rows, *chosen]))
    (rate,) = [each for each in components if each.name == "training.learning_rate"]
    assert rate.parent is not None
    assert [components[rate.parent].values[code] for code in rate.exists] == ["layers:2"]
    assert list(rate.values) == [5e-5, 1e-4]


def test_a_value_that_is_not_said_is_one() -> None:
    cells = ["ce", "mse", None] * 10
    components, codes = components_of(runs([{"prediction": cell, "score": 0.5} for cell in cells]))
    assert [list(each.values) for each in components] == [["", "ce", "mse"]]
    assert list(codes[:3, 0]) == [1, 2, 0]


def test_many_numbers_are_put_together_with_their_neighbours() -> None:
    rates = np.geomspace(1e-6, 1e-3, 500)
    (component,), codes = components_of(runs([{"training.learning_rate": rate, "score": 0.5} for rate in rates]))
    assert component.ordered
    assert len(component.values) == 64
    assert (np.diff(codes[:, 0]) >= 0).all()
    assert set(np.bincount(codes[:, 0])) == {7, 8}


# --- datasets ----------------------------------------------------------------------------------------


def two_kinds(count: int, gain: float = 0.1, **cells: Any) -> list[dict[str, Any]]:
    kinds = ["mse", "cos"] * (count // 2)
    return [{"intermediate": kind, "score": 0.5 + gain * (kind == "mse"), **cells} for kind in kinds]


def test_a_dataset_that_cannot_tell_is_named_with_the_reason() -> None:
    dice = np.random.default_rng(0)
    noise = [{**row, "score": float(dice.random())} for row in two_kinds(40)]
    good, flat_one, few = two_kinds(40), two_kinds(40, gain=0.0), two_kinds(FEWEST_RUNS - 2)
    same = [{"intermediate": "mse", "score": score} for score in dice.random(40)]
    named = {"good": good, "flat": flat_one, "few": few, "noise": noise, "same": same}
    found = explained(pd.concat([runs(rows, dataset) for dataset, rows in named.items()], ignore_index=True))
    assert list(found.datasets) == ["good"]
    assert found.left_out["flat"] == "all scores are equal"
    assert found.left_out["few"] == "28 runs, and 30 are needed"
    assert found.left_out["noise"].startswith("its components predict no score of a run that was not seen (R² -")
    assert found.left_out["same"] == "nothing varies"
    assert found.runs == 40


def test_where_no_dataset_can_tell_it_is_refused() -> None:
    with pytest.raises(InputError, match="what decides their scores; got one: all scores are equal"):
        explained(runs(two_kinds(40, gain=0.0)))


def test_what_is_asked_about_must_vary_somewhere_and_matter() -> None:
    rows = [{**row, "prediction": "ce" if place % 3 else "mse"} for place, row in enumerate(two_kinds(60))]
    with pytest.raises(InputError, match="--component.*'intermediat'.*Did you mean intermediate"):
        explained(runs(rows), ["intermediat"])
    both = pd.concat([runs(rows), runs(two_kinds(40), "other")], ignore_index=True)
    with pytest.raises(InputError) as caught:
        explained(both, ["prediction"])
    assert "one: no score depends on prediction; other: none of prediction varies" in str(caught.value)


def test_means_and_intervals_are_over_datasets() -> None:
    """A dataset with two metrics counts once; what varies on two of four datasets alone is averaged over these."""
    frames = []
    for place, name in enumerate("abcd"):
        rows = [
            {**row, "prediction": kind, "score": row["score"] + 0.05 * place * (kind == "ce")}
            for kind in (("ce", "mse") if place > 1 else ("ce",))
            for row in two_kinds(40)
        ]
        frames += [runs(rows, name)] + ([runs(rows, name).assign(metric="f1")] if name == "a" else [])
    found = explained(pd.concat(frames, ignore_index=True))
    assert list(found.datasets) == ["a, accuracy", "a, f1", "b", "c", "d"]
    mean = found.single["intermediate"]
    expected = [1.0, 1.0, 0.5, 0.1**2 / (0.1**2 + 0.15**2)]
    assert mean.share == pytest.approx(np.mean([1.0, 1.0, 0.5, 0.31]), abs=0.02)
    assert mean.low is not None
    assert mean.high is not None
    assert min(expected) < mean.low < mean.share < mean.high <= 1
    assert mean.datasets == 4
    assert (found.single["prediction"].datasets, found.single["prediction"].low) == (2, None)
    own = found.datasets["c"].single["intermediate"]
    assert own.low <= own.share <= own.high


def test_runs_of_some_models() -> None:
    table = made_up(everywhere_the_same, datasets=2).runs
    table.loc[::2, "student"] = "tiny"
    assert set(of_models(table, "large", ["tiny"]).student) == {"tiny"}
    assert len(of_models(table, "", [])) == len(table)
    with pytest.raises(InputError, match="--student: no run has this student; got 'tinny'.*Did you mean tiny"):
        of_models(table, "", ["tinny"])
    table.loc[table.student == "tiny", "teacher"] = "other"
    with pytest.raises(InputError, match="no run has this student with teacher large; got 'tiny'; allowed: small"):
        of_models(table, "large", ["tiny"])


# --- from Python and the command line ----------------------------------------------------------------


@pytest.fixture(name="table", scope="module")
def _table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """mse is best, ce a little; 36 runs of each of three datasets, and few of one more."""
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    runs = made_up(everywhere_the_same, datasets=4, repeats=3, noise=0.1).runs
    runs[(runs.dataset != "set3") | (runs.seed == 0)].to_csv(path, index=False)
    return str(path)


def test_from_the_command_line(table: str, tmp_path: Path) -> None:
    usual = ("importance", "--meta-data", table, "--store", tmp_path / "s.db")
    found = json.loads(Answer(*usual, "--json").out)
    assert next(iter(found["single"])) == "intermediate"
    assert found["single"]["intermediate"]["share"] > 0.8
    assert set(found["datasets"]) == {"set0", "set1", "set2"}
    assert found["left_out"] == {"set3": "12 runs, and 30 are needed"}
    assert AutoDistiller(meta_data=[table], store=str(tmp_path / "s.db")).importance().model_dump(mode="json") == found
    words = Answer(*usual, "--figures", tmp_path / "figures").out
    assert "left out: set3: 12 runs, and 30 are needed" in words
    drawn = [f"{name}.{form}" for name in ("importance", "interactions") for form in ("png", "svg")]
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == drawn
    assert all(f"figure: {tmp_path / 'figures' / name}" in words for name in drawn)


def test_runs_that_failed_are_left_out_and_counted(table: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s.db"))
    for identity, status in (("a", "failed"), ("b", "failed"), ("c", "pruned")):
        store.add_run(made_record(identity, status=status), tmp_path)
    distiller = AutoDistiller(meta_data=[table, "store"], store=str(tmp_path / "s.db"))
    found = distiller.importance(["mapping", "intermediate"], student="small")
    assert found.runs == 108
    assert found.notes == ["2 runs left out that failed", "1 run left out that stopped early"]
    assert set(found.single) == {"mapping", "intermediate"}


def test_one_component_has_no_pairs(table: str, tmp_path: Path) -> None:
    usual = ("importance", "--meta-data", table, "--store", tmp_path / "s.db", "--component", "intermediate")
    answer = Answer(*usual, "--figures", tmp_path)
    assert answer.code == 0
    assert "beyond what each explains" not in answer.out
    assert not (tmp_path / "interactions.png").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--component", "mappin"), "Did you mean mapping?"),
        (("--student", "smal"), "Did you mean small?"),
        (("--teacher", "larg"), "Did you mean large?"),
        (("--figures", "FILE"), "--figures: a folder is needed"),
    ],
)
def test_mistakes(more: tuple[str, str], said: str, table: str, tmp_path: Path) -> None:
    given = [table if each == "FILE" else each for each in more]
    answer = Answer("importance", "--meta-data", table, "--store", tmp_path / "s.db", *given)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


@pytest.mark.shared
def test_the_authors_runs(shared: Path) -> None:
    """Within one pair of models the objective is first, as the paper says; its first pair is another one."""
    runs = read_runs(shared / "published" / "authors_runs").frame
    four = ["intermediate", "mapping", "prediction", "augmentation"]
    found = explained(of_models(runs, "BERT_BASE", ["TinyBERT_4"]), four)
    assert next(iter(found.single)) == "intermediate"
    assert next(iter(found.pairs)) == "intermediate × prediction"
    assert list(found.left_out) == ["mnli"]
