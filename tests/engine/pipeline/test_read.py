"""Pipelines from files, presets and `--set`, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pipeline import (
    CE,
    EMD,
    L2,
    MSE,
    PKD,
    Cos,
    Last,
    MIAlpha,
    MLPCritic,
    NoIntermediate,
    NoMapping,
    Pipeline,
    PredictionCE,
    PredictionKL,
    PredictionMSE,
    Skip,
    Training,
    TransformerCritic,
    Weights,
)
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import Format, dump_pipeline, load_pipeline
from tests.engine.pipeline.sources import problems, written

fractions = st.floats(0, 1, allow_nan=False)
temperatures = st.floats(0.01, 100)
critics = st.one_of(
    st.builds(TransformerCritic, width=st.sampled_from([8, 64, 128]), heads=st.sampled_from([1, 4, 8])),
    st.builds(MLPCritic, layers=st.integers(1, 6)),
)
intermediates = st.one_of(
    *(st.builds(spec, projection=st.sampled_from(["auto", "always"])) for spec in (CE, MSE, L2, Cos, PKD)),
    st.builds(MIAlpha, alpha=fractions, level=st.sampled_from(["auto", "token"]), critic=critics),
)
mappings = st.one_of(st.just(Skip()), st.just(Last()), st.builds(EMD, temperature=temperatures))
predictions = st.one_of(
    st.builds(PredictionCE, temperature=temperatures),
    st.just(PredictionMSE()),
    st.builds(PredictionKL, temperature=temperatures),
)
trainings = st.builds(
    Training,
    epochs=st.none() | st.integers(1, 100),
    batch_size=st.integers(2, 512),
    learning_rate=st.floats(1e-9, 1, allow_nan=False),
    max_length=st.none() | st.integers(8, 512),
)
pipelines = st.one_of(
    st.builds(Pipeline, prediction=predictions, training=trainings),
    st.builds(
        Pipeline,
        intermediate=intermediates,
        mapping=mappings,
        prediction=predictions,
        weights=st.builds(Weights, prediction=st.floats(0.1, 1e6), hard_label=st.floats(0, 1e6)),
        training=trainings,
    ),
)


class TestRoundTrip:
    @given(pipeline=pipelines)
    @pytest.mark.parametrize("format", get_args(Format))
    def test_every_pipeline(self, format: str, pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> None:
        text = dump_pipeline(pipeline, format)  # type: ignore[arg-type]
        path = written(tmp_path_factory.getbasetemp(), f"pipeline.{format}", text)
        assert load_pipeline(path) == pipeline
        assert load_pipeline(path).key == pipeline.key

    def test_toml_leaves_out_what_is_none(self) -> None:
        assert "epochs" not in dump_pipeline(Pipeline())

    @pytest.mark.parametrize("name", PRESETS)
    def test_presets_by_name(self, name: str) -> None:
        assert load_pipeline(name) == PRESETS[name].pipeline

    def test_mapping_and_pipeline(self) -> None:
        pipeline = Pipeline(intermediate=MIAlpha(alpha=0.5))
        assert load_pipeline(pipeline) == pipeline
        assert load_pipeline({"intermediate": MIAlpha(alpha=0.5)}) == pipeline
        assert load_pipeline(str(Path("tinybert"))) == PRESETS["tinybert"].pipeline


class TestNumbers:
    def test_yaml_reads_exponents_as_numbers(self, tmp_path: Path) -> None:
        text = "training: {learning_rate: 5e-5, weight_decay: 0}\nprediction: {kind: ce, temperature: 2}\n"
        pipeline = load_pipeline(written(tmp_path, "p.yaml", text))
        assert (pipeline.training.learning_rate, pipeline.training.weight_decay) == (5e-5, 0.0)
        assert pipeline.prediction == PredictionCE(temperature=2.0)

    def test_a_quoted_number_says_how_to_write_it(self, tmp_path: Path) -> None:
        path = written(tmp_path, "p.yaml", 'training: {learning_rate: "5e-5"}\n')
        (problem,) = problems(path)
        assert problem.place == f"{path}: training.learning_rate"
        assert problem.suggestion == "Write it without quotes."


class TestSets:
    @pytest.mark.parametrize(
        ("text", "read"),
        [
            ("prediction.kind=mse", lambda p: p.prediction == PredictionMSE()),
            ('prediction.kind = "mse"', lambda p: p.prediction == PredictionMSE()),
            ("intermediate.alpha=0.5", lambda p: p.intermediate.alpha == 0.5),
            ("intermediate.alpha=1", lambda p: p.intermediate.alpha == 1.0),
            ("training.learning_rate=1e-4", lambda p: p.training.learning_rate == 1e-4),
            ("training.learning_rate=.5", lambda p: p.training.learning_rate == 0.5),
            ("prediction={kind='kl', temperature=4}", lambda p: p.prediction == PredictionKL(temperature=4.0)),
            ("intermediate.critic.kind=mlp", lambda p: p.intermediate.critic == MLPCritic()),
        ],
    )
    def test_values(self, text: str, read: object) -> None:
        assert read(load_pipeline("mi_alpha", [text]))  # type: ignore[operator]

    def test_a_changed_kind_drops_the_other_kinds_keys(self) -> None:
        file = {"intermediate": {"kind": "mi_alpha", "alpha": 0.1}, "mapping": {"kind": "emd", "temperature": 2.0}}
        pipeline = load_pipeline(file, ["intermediate.kind=mse"])
        assert pipeline.intermediate == MSE()
        assert pipeline.mapping == EMD(temperature=2.0)

    def test_keys_set_beside_a_changed_kind_are_kept_in_any_order(self) -> None:
        sets = ["intermediate.critic.layers=3", "intermediate.alpha=0.5", "intermediate.kind=mi_alpha"]
        expected = MIAlpha(alpha=0.5, critic=TransformerCritic(layers=3))
        assert load_pipeline("tinybert", [*sets, "intermediate.critic.kind=transformer"]).intermediate == expected

    def test_the_same_kind_keeps_its_keys(self) -> None:
        file = {"intermediate": {"kind": "mi_alpha", "alpha": 0.1}}
        assert load_pipeline(file, ["intermediate.kind=mi_alpha"]).intermediate == MIAlpha(alpha=0.1)

    def test_an_objective_on_a_pipeline_without_mapping_brings_the_default_one(self) -> None:
        assert load_pipeline("vanilla_kd", ["intermediate.kind=mse"]).mapping == Skip()
        assert load_pipeline("vanilla_kd", ["intermediate.kind=mse", "mapping.kind=last"]).mapping == Last()

    def test_no_objective_means_no_mapping(self) -> None:
        pipeline = load_pipeline("bert_emd", ["intermediate.kind=none"])
        assert (pipeline.intermediate, pipeline.mapping) == (NoIntermediate(), NoMapping())

    def test_an_explicit_contradiction_is_an_error(self) -> None:
        (problem,) = problems("mi_alpha", ("intermediate.kind=none", "mapping.kind=skip"))
        assert "go together" in problem.what

    def test_the_later_of_two_wins(self) -> None:
        assert load_pipeline("mi_alpha", ["training.epochs=3", "training.epochs=4"]).training.epochs == 4

    def test_the_source_is_left_alone(self) -> None:
        file = {"training": {"epochs": 3}}
        load_pipeline(file, ["training.epochs=4"])
        assert file == {"training": {"epochs": 3}}


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("p.toml", "[training]\nepochs = \n", "p.toml, line 2"),
        ("p.toml", "[training]\nepochs = 1\nepochs = 2\n", "p.toml, line 3"),
        ("p.toml", "[training", "p.toml, line 1"),
        ("p.yaml", "training:\n  epochs: [1\n", "p.yaml, line 3"),
        ("p.yaml", "training:\n  epochs: 1\n  epochs: 2\n", "p.yaml, line 3"),
        ("p.yml", "training: !!python/object:os.system {}\n", "p.yml, line 1"),
        ("p.json", '{"training":\n {"epochs": }}', "p.json, line 2"),
        ("p.json", '{"training":\n {"epochs": 1, "epochs": 2}}', "p.json, line 2"),
        ("p.yaml", "- 1\n- 2\n", "p.yaml"),
        ("p.ini", "[training]", "p.ini"),
    ],
)
def test_unreadable_files_name_file_and_line(tmp_path: Path, name: str, text: str, place: str) -> None:
    (problem,) = problems(written(tmp_path, name, text))
    assert problem.place == str(tmp_path / place)


def test_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes("# caf\xe9".encode("latin-1"))
    assert "not UTF-8 text at byte 5" in str(problems(path)[0])


def test_an_empty_file_is_the_default_pipeline(tmp_path: Path) -> None:
    assert [load_pipeline(written(tmp_path, f"p.{ext}", "")) for ext in ("toml", "yaml")] == [Pipeline()] * 2


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    assert problems("tinybrt")[0].suggestion == "tinybert"
    written(tmp_path, "mi_alpha.toml", "")
    assert problems(tmp_path / "mialpha.toml")[0].suggestion == str(tmp_path / "mi_alpha.toml")
    assert problems(tmp_path / "nowhere" / "p.toml")[0].suggestion == ""
    assert problems(tmp_path)[0].got == "a folder"


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training..epochs=3", ".=1"])
def test_sets_of_another_form(text: str) -> None:
    (problem,) = problems("mi_alpha", (text,))
    assert problem.place == "--set"


def test_a_key_below_a_value() -> None:
    (problem,) = problems("mi_alpha", ("training.epochs=3", "training.epochs.more=1"))
    assert problem.place == "--set training.epochs.more"
