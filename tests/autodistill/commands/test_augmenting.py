"""`autodistill augment`: originals beside what becomes of them, for every kind of task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from autodistill.commands.augmenting import Sample, as_text, augment, sample_rows
from typer.testing import CliRunner

from cli import app
from engine.base.errors import InputError
from engine.base.progress import SilentReporter
from tests.records import lasting

ROWS = [{"text": f"One of {place} films, a good one.", "label": "yn"[place % 2]} for place in range(60)]


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> str:
    path = tmp_path / "films.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    return str(path)


def test_originals_beside_what_becomes_of_them(data: str) -> None:
    found = augment(Sample(data, "random", count=7), SilentReporter())
    assert len(found) == 7
    for each in found:
        assert each["original"]["text"] in {row["text"] for row in ROWS}
        words = [sorted(each[name]["text"].split()) for name in ("original", "augmented")]
        assert words[0] == words[1]
        assert each["original"]["label"] == each["augmented"]["label"]
    assert any(each["original"]["text"] != each["augmented"]["text"] for each in found)


def test_partners_of_mixup_and_their_shares(data: str) -> None:
    found = augment(Sample(data, "mixup", count=4), SilentReporter())
    originals = [each["original"] for each in found]
    for each in found:
        assert each["augmented"] == each["original"]
        assert each["partner"] in originals
        assert each["partner"] != each["original"]
        assert 0 <= each["share"] <= 1
    text = sample_rows(found)[0][2]
    assert f"{found[0]['share']:.2f} of: {found[0]['original']['text']}" in text
    assert found[0]["partner"]["text"] in text


def test_the_seed_decides(data: str) -> None:
    once, again, other = (
        augment(Sample(data, "random+mixup", count=5, seed=seed), SilentReporter()) for seed in (0, 0, 1)
    )
    assert once == again != other


def test_more_examples_than_there_are(data: str) -> None:
    assert 30 < len(augment(Sample(data, "random", count=1000), SilentReporter())) <= len(ROWS)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("rndom", "Did you mean random"),
        ("none", "no operators"),
        ("random+random", "each operator acts once"),
        ("", "unknown kind"),
    ],
)
def test_what_is_no_policy_is_refused(data: str, policy: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment(Sample(data, policy), SilentReporter())


def test_knobs_are_set_as_everywhere(data: str) -> None:
    sets = ["augmentation.operators=[{kind='random', strength=2.0}]"]
    with pytest.raises(InputError, match=r"augmentation\.operators\.0\.strength: out of range"):
        augment(Sample(data, "random", sets), SilentReporter())


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"tokens": ["a", "b"], "tags": [0, 1]}, "a b"),
        ({"text": "a", "text_pair": "b", "label": 0}, "a | b"),
        ({"id": "1", "question": "who", "context": "he", "answers": {}}, "who | he"),
    ],
)
def test_rows_as_text(row: dict[str, object], text: str) -> None:
    assert as_text(row) == text


def test_the_command(data: str) -> None:
    shown = CliRunner().invoke(app, ["augment", data, "--policy", "random+mixup", "--n", "3"])
    assert shown.exit_code == 0, shown.output
    assert "original" in shown.output
    assert " of: " in shown.output
    record = CliRunner().invoke(app, ["augment", data, "--policy", "random", "--n", "3", "--json"])
    assert [set(each) for each in json.loads(record.stdout)] == [{"original", "augmented"}] * 3
    wrong = CliRunner().invoke(app, ["augment", data, "--policy", "rndom"])
    assert wrong.exit_code == 2


def test_an_option_and_a_file_with_the_same_policy_are_the_same_run(data: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(
        'augmentation = "random+mixup"\n[training]\nepochs = 2\n', "utf-8"
    )
    models = "--teacher scratch:layers=1,hidden=16,heads=1 --student layers:1 --teacher-epochs 1"
    common = [
        data,
        *models.split(),
        "--precision",
        "float32",
        "--cache-dir",
        str(tmp_path / "cache"),
        "--json",
    ]
    ways = {
        "option": ["--pipeline", "vanilla_kd", "--augment", "random,mixup", "--set", "training.epochs=2"],
        "file": ["--pipeline", str(tmp_path / "pipeline.toml")],
    }
    found = []
    for name, way in ways.items():
        done = CliRunner().invoke(app, ["run", *common, *way, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout))
    one, other = map(lasting, found)
    assert (
        one.pop("teacher_examples") - other.pop("teacher_examples") == 40
    )  # what the first put into the cache
    assert one == other
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ways]
    assert weights[0] == weights[1]


def test_a_misspelt_operator_is_named(data: str) -> None:
    done = CliRunner().invoke(app, ["run", data, "--augment", "random,mixpu"])
    assert done.exit_code == 2
    assert "mixpu" in done.stderr
    assert "mixup" in done.stderr
