"""Pipelines from files, presets and `--set`, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import InputError, Problem
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
from engine.pipeline.read import FORMATS, Format, dump_pipeline, load_pipeline

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


def problems(source: object, sets: tuple[str, ...] = ()) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        load_pipeline(source, sets)  # type: ignore[arg-type]
    return caught.value.problems


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class TestRoundTrip:
    @given(pipeline=pipelines)
    @pytest.mark.parametrize("format", FORMATS)
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


WRONG = [
    # document, place, words of the message, allowed, suggestion
    ({"intermediate": {"kind": "mse", "alpha": 0.5}}, "intermediate.alpha", "mse has no alpha; it belongs to mi_alpha"),
    ({"mapping": {"kind": "skip", "temperature": 1.0}, "intermediate": {"kind": "mse"}}, "mapping.temperature", "emd"),
    ({"prediction": {"kind": "mse", "temperature": 2.0}}, "prediction.temperature", "it belongs to ce and kl"),
    ({"intermediate": {"kind": "mxe"}}, "intermediate.kind", "Did you mean mse?"),
    ({"intermediate": {"alpha": 0.5}}, "intermediate.kind", "this table has no kind; allowed: none, ce, mse"),
    ({"intermediate": "mse"}, "intermediate", "The name goes to intermediate.kind."),
    ({"intermediate": {"kind": "mi_alpha", "alpha": 2}}, "intermediate.alpha", "got 2; allowed: 0 to 1"),
    ({"training": {"warmup": 1.0}}, "training.warmup", "allowed: at least 0 and less than 1"),
    ({"training": {"epochs": 0}}, "training.epochs", "allowed: at least 1"),
    ({"training": {"learning_rate": 0}}, "training.learning_rate", "greater than 0"),
    ({"training": {"epochs": 1.5}}, "training.epochs", "a whole number is needed; got 1.5"),
    ({"training": {"batch_size": True}}, "training.batch_size", "a whole number is needed"),
    ({"training": [1]}, "training", "a table of keys is needed"),
    ({"weights": {"prediction": float("nan")}}, "weights.prediction", "a finite number is needed"),
    ({"trainin": {"epochs": 3}}, "trainin", "Did you mean training?"),
    ({"learning_rate": 1e-4}, "learning_rate", "Did you mean training.learning_rate?"),
    ({"team": {"kind": "stochastik"}}, "team.kind", "unknown kind"),
    ({"teacher": {"policy": "average", "members": ["a"]}}, "teacher", "called team now, and its key policy kind"),
    ({"mapping": {"kind": "emd", "layer_weights": "unifrm"}}, "mapping.layer_weights", "Did you mean uniform?"),
    ({"mapping": {"kind": "skip"}}, "pipeline", "intermediate and mapping go together"),
    ({"weights": {"prediction": 0.0}}, "pipeline", "nothing would be learned"),
    (
        {"intermediate": {"kind": "mi_alpha", "critic": {"kind": "transformer", "width": 20, "heads": 7}}},
        "intermediate.critic",
        "width must be a multiple of heads",
    ),
]


@pytest.mark.parametrize(("document", "place", "words"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_said_about_a_wrong_pipeline(document: dict[str, object], place: str, words: str) -> None:
    found = {problem.place: str(problem) for problem in problems(document)}
    assert words in found[place]


def test_all_problems_at_once_each_with_the_file(tmp_path: Path) -> None:
    text = """
    learning_rate = 0.1
    [intermediate]
    kind = "mi_alpha"
    alpha = 2
    critic = {kind = "mlp", heads = 4}
    [mapping]
    kind = "none"
    [prediction]
    kind = "cee"
    [training]
    epochs = -1
    """
    path = written(tmp_path, "pipeline.toml", text)
    places = [problem.place for problem in problems(path, ("training.batch_size=x",))]
    assert sorted(places) == sorted(
        [
            f"{path}: learning_rate",
            f"{path}: intermediate.alpha",
            f"{path}: intermediate.critic.heads",
            f"{path}: prediction.kind",
            f"{path}: training.epochs",
            "--set training.batch_size",
        ]
    )


def test_parts_that_do_not_fit_are_found_beside_wrong_values() -> None:
    file = {"intermediate": {"kind": "mse"}, "mapping": {"kind": "none"}, "training": {"epochs": 0}}
    assert [problem.place for problem in problems(file)] == ["training.epochs", "pipeline"]


def test_a_misspelled_section_brings_no_second_message() -> None:
    (problem,) = problems({"intermediat": {"kind": "mse"}, "mapping": {"kind": "skip"}})
    assert problem.suggestion == "intermediate"


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


# --- augmentation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "random+mixup",
        "random + mixup",
        ["random", "mixup"],
        [{"kind": "random"}, "mixup"],
        {"operators": "random+mixup"},
        {"operators": [{"kind": "random", "strength": 0.3}, {"kind": "mixup"}], "copies": 1},
    ],
)
def test_a_stack_may_be_written_in_many_ways(written: object) -> None:
    found = load_pipeline({"augmentation": written})
    assert found.augmentation.kinds == ["random", "mixup"]
    assert found == load_pipeline("vanilla_kd", ["augmentation=random+mixup"])


@pytest.mark.parametrize("format", FORMATS)
def test_a_stack_comes_back_as_it_went(tmp_path: Path, format: Format) -> None:
    pipeline = load_pipeline({"augmentation": {"operators": "mixup+random", "copies": 2}})
    path = tmp_path / f"pipeline.{format}"
    path.write_text(dump_pipeline(pipeline, format), "utf-8")
    assert load_pipeline(path) == pipeline
    assert load_pipeline(path).augmentation.kinds == ["mixup", "random"]


def test_weights_follow_the_augmentation_unless_they_are_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[weights]\nhard_label = 0.2\n", "utf-8")
    mine = load_pipeline(path, ["augmentation=mixup"]).weights
    assert (mine.hard_label, mine.augmented_prediction, mine.augmented_hard_label) == (0.2, 1.0, 0.5)
    said = load_pipeline("vanilla_kd", ["augmentation=mixup", "weights.augmented_hard_label=0.0"]).weights
    assert (said.hard_label, said.augmented_prediction, said.augmented_hard_label) == (0.5, 1.0, 0.0)
    assert load_pipeline("mixkd", ["augmentation=none"]) == load_pipeline("vanilla_kd")
    assert load_pipeline("mixkd", ["augmentation.copies=3"]).augmentation.copies == 3


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["augmentation=random+random"], "each operator acts once; twice there: random"),
        (["weights.augmented_prediction=1.0"], "augmented examples have a weight, and augmentation has no"),
        (
            ["augmentation=mixup", "weights.augmented_prediction=0.0", "weights.augmented_hard_label=0.0"],
            "nothing is learned from augmented examples",
        ),
        (["augmentation.operators=[{kind='mixup', strength=0.1}]"], "it belongs to contextual and random and"),
        (["augmentation=mixup+rndom"], "Did you mean random"),
        (["augmentation=3"], "augmentation"),
    ],
)
def test_a_stack_that_is_none_is_refused(sets: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_pipeline("vanilla_kd", sets)
