"""The files of the GLUE leaderboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.data import hub
from engine.data.load import load_task
from engine.evaluation.leaderboard import glue_files, write_glue_files
from tests.engine.data import glue

HEADER = "index\tprediction\n"
FILES = {
    "cola": {"test": "CoLA.tsv"},
    "sst2": {"test": "SST-2.tsv"},
    "mrpc": {"test": "MRPC.tsv"},
    "qqp": {"test": "QQP.tsv"},
    "stsb": {"test": "STS-B.tsv"},
    "mnli": {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv", "test_ax": "AX.tsv"},
    "qnli": {"test": "QNLI.tsv"},
    "rte": {"test": "RTE.tsv"},
    "wnli": {"test": "WNLI.tsv"},
}
EXPECTED = {
    "cola": "0\t1\n1\t0\n2\t1\n3\t1\n",
    "wnli": "0\t1\n1\t0\n2\t1\n3\t1\n",
    "rte": "0\tnot_entailment\n1\tentailment\n2\tnot_entailment\n3\tnot_entailment\n",
    "qnli": "0\tnot_entailment\n1\tentailment\n2\tnot_entailment\n3\tnot_entailment\n",
    "mnli": "0\tneutral\n1\tentailment\n2\tneutral\n3\tneutral\n",
}


@pytest.fixture(autouse=True)
def _hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "read_hub", glue.read_hub)


@pytest.mark.parametrize("name", FILES)
def test_each_test_set_has_its_file(name: str, tmp_path: Path) -> None:
    task = load_task(f"glue/{name}")
    assert glue_files(task) == FILES[name]
    predictions = {split: [1, 0, 1, 1] for split in task.unlabelled}
    written = write_glue_files(task, predictions, tmp_path / "new" / "folder")
    assert [path.name for path in written] == list(FILES[name].values())
    for path in written:
        text = path.read_text()
        assert text.startswith(HEADER)
        assert text.count("\n") == 1 + glue.TEST_ROWS
        if name in EXPECTED:
            assert text == HEADER + EXPECTED[name]


def test_similarities_are_clipped(tmp_path: Path) -> None:
    task = load_task("glue/stsb")
    predictions = np.array([-0.3, 2.34567, 5.4, 5.0], dtype=np.float32)
    (path,) = write_glue_files(task, {"test": predictions}, tmp_path)
    assert path.read_text() == HEADER + "0\t0.000\n1\t2.346\n2\t5.000\n3\t5.000\n"


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    task = load_task("glue/mnli")
    with pytest.raises(InputError, match="3 predictions for 4 rows"):
        write_glue_files(task, {"test_matched": [0, 0, 0, 0], "test_mismatched": [0, 1, 2]}, tmp_path)
    with pytest.raises(InputError, match=r"no test set of this name.*Did you mean test_matched"):
        write_glue_files(task, {"test_match": [0, 1, 2, 0]}, tmp_path)
    with pytest.raises(InputError, match="no task of the GLUE leaderboard"):
        write_glue_files(load_task("squad"), {"test": [0]}, tmp_path)
    assert not list(tmp_path.iterdir())
