"""Pipelines from files, presets and `--set`, and what is said about wrong ones."""

from __future__ import annotations

import os
from itertools import pairwise
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
from tests.clock import within
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
    assert "p.toml:1: not UTF-8; got byte 0xe9" in str(problems(path)[0])
    path.write_bytes("[training]\nepochs = 3\n".encode("utf-16-le"))
    assert "p.toml:1: not UTF-8; got UTF-16LE" in str(problems(path)[0])


def test_an_empty_file_is_the_default_pipeline(tmp_path: Path) -> None:
    assert [load_pipeline(written(tmp_path, f"p.{ext}", "")) for ext in ("toml", "yaml")] == [Pipeline()] * 2


@pytest.mark.parametrize(
    "file, text", [("p.json", "null"), ("p.yaml", "null"), ("p.yaml", "~"), ("p.yaml", "# a\n---\n")]
)
def test_null_is_no_pipeline(file: str, text: str, tmp_path: Path) -> None:
    """It was the default one."""
    (problem,) = problems(written(tmp_path, file, text))
    assert problem.what == "a pipeline is a table of keys"


def test_a_comment_alone_is_the_default_pipeline(tmp_path: Path) -> None:
    assert load_pipeline(written(tmp_path, "p.yaml", "# nothing\n\n")) == Pipeline()


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    assert problems("tinybrt")[0].suggestion == "tinybert"
    written(tmp_path, "mi_alpha.toml", "")
    assert problems(tmp_path / "mialpha.toml")[0].suggestion == str(tmp_path / "mi_alpha.toml")
    assert problems(tmp_path / "nowhere" / "p.toml")[0].suggestion == ""
    assert problems(tmp_path)[0].got == "a folder"


LETTERS = "abcdefghijkl"
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n" for a, b in pairwise(LETTERS))
DIGITS = "9" * 5000
OVERWHELMING: dict[str, tuple[str, str, str]] = {
    "aliases that double": (
        "p.yaml",
        BOMB,
        "line 2: not valid YAML: aliases are not read here; write out what *a stands",
    ),
    "a list in itself": ("p.yaml", "training: &a [*a]", "line 1: not valid YAML: aliases"),
    "a table in itself": ("p.yaml", "training: &a {epochs: *a}", "line 1: not valid YAML: aliases"),
    "deep YAML": ("p.yaml", "[" * 50_000, "nested too deeply"),
    "deep tables of YAML": ("p.yaml", "training: " + "{a: " * 300 + "1" + "}" * 300, "nested too deeply"),
    "deep TOML": ("p.toml", "a = " + "[" * 40_000 + "]" * 40_000, "nested too deeply"),
    "deep keys of TOML": ("p.toml", ".".join("a" * 5000) + " = 1", "nested too deeply"),
    "deep JSON": ("p.json", '{"a":' * 900 + "1" + "}" * 900, "nested too deeply"),
    "digits in TOML": ("p.toml", f"[training]\nepochs = {DIGITS}", "too many digits"),
    "digits in YAML": ("p.yaml", f"training: {{epochs: {DIGITS}}}", "no value of type int: '9999"),
    "digits in JSON": ("p.json", f'{{"training": {{"epochs": {DIGITS}}}}}', "too many digits"),
    "more than 64 bits": (
        "p.json",
        f'{{"training": {{"epochs": {DIGITS[:400]}}}}}',
        "training.epochs: too large a number",
    ),
    "hexadecimal digits": ("p.toml", f"[training]\nepochs = 0x{'f' * 9000}", "training.epochs: too large a number"),
    "half a character": (
        "p.json",
        '{"team": {"kind": "average", "members": ["\\ud800"]}}',
        "team.members.0: has half a",
    ),
    "half a character in YAML": ("p.yaml", '"\\ud800": 1', "a key with half a character"),
    "no date": ("p.yaml", "training: {epochs: 2020-99-99}", "a whole number is needed; got '2020-99-99'"),
    "an octal number": ("p.yaml", "training: {epochs: 010}", "a whole number is needed; got 10.0"),
    "minutes": ("p.yaml", "training: {epochs: 1:30}", "a whole number is needed; got '1:30'"),
    "a type that is not": ("p.yaml", "training: {epochs: !!bool abc}", "no value of type bool: 'abc'"),
    "a large file": ("p.toml", "#" * 100_001, "too large for a pipeline; got 100,001 bytes; allowed: at most 100,000"),
}
"""Files that took the program minutes, or all of its stack, or meant something else than what they say."""


@pytest.mark.parametrize("case", OVERWHELMING)
def test_files_that_overwhelm_or_mislead_are_refused(case: str, tmp_path: Path) -> None:
    name, text, words = OVERWHELMING[case]
    with within(seconds=10):
        found = problems(written(tmp_path, name, text))
    assert words in "\n".join(map(str, found))
    assert len(str(found[0])) < 500


@pytest.mark.parametrize("count", [20_000])
def test_very_many_unknown_keys_are_counted(count: int) -> None:
    """Each was compared with every known key: 20,000 of them took minutes."""
    keys = {f"epoch{number}": 1 for number in range(count)}
    with within(seconds=10):
        *found, more = problems({"training": keys})
        *sets, _ = problems("tinybert", tuple(f"training.{key}=1" for key in keys))
    assert (len(found), str(more)) == (30, f"pipeline: and {count - 30:,} problems more")
    assert sets[0].place == "--set training.epoch0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"training.epochs={'[' * 50_000}", "--set training.epochs: a whole number is needed"),
        (f"{'.'.join('a' * 5000)}=1", "--set: the form is key=value"),
        (f"training.epochs={DIGITS}", "--set training.epochs: a whole number is needed; got inf"),
        (f"training.epochs={DIGITS[:400]}", "--set training.epochs: too large a number"),
        ("training.\udcff=1", "--set training.\udcff: a key with half a character"),
    ],
    ids=["deep", "deep key", "digits", "400 digits", "half a character"],
)
def test_sets_that_overwhelm(text: str, words: str) -> None:
    assert words in str(problems("tinybert", (text,))[0])


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    assert "a file is needed; got a pipe" in str(problems(tmp_path / "pipe.toml")[0])
    (tmp_path / "device.toml").symlink_to("/dev/zero")
    assert "a file is needed; got a device" in str(problems(tmp_path / "device.toml")[0])
    assert "cannot be read: file name too long" in str(problems("x" * 300 + ".toml")[0])


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = written(tmp_path, "p.toml", "")
    monkeypatch.setattr(Path, "read_bytes", refused)
    assert str(problems(path)[0]) == f"{path}: cannot be read: permission denied"


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training..epochs=3", ".=1"])
def test_sets_of_another_form(text: str) -> None:
    (problem,) = problems("mi_alpha", (text,))
    assert problem.place == "--set"


def test_a_key_below_a_value() -> None:
    (problem,) = problems("mi_alpha", ("training.epochs=3", "training.epochs.more=1"))
    assert problem.place == "--set training.epochs.more"
