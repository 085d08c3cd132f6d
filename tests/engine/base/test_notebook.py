"""Progress in a notebook, in a real kernel; and none where there is no notebook."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from engine.base.notebook import SHOWN, usual_reporter
from engine.base.progress import SilentReporter
from tests.conftest import ROOT

SETUP = """
import time
from engine.base.notebook import usual_reporter
reporter = usual_reporter()
"""
WORK = """
reporter.message("the <b>teacher</b> is ready")
reporter.start("student", 4, 1, most=True)
for _ in range(3):
    time.sleep(0.3)
    reporter.advance("student", note="loss 0.1")
reporter.start("evaluation", 2)
reporter.finish("evaluation")
reporter.finish("student")
"""
BREAKS = """
reporter.start("broken", 10)
time.sleep(0.6)
reporter.advance("broken", 3, note="loss <1>")
"""
AFTERWARDS = f"""
for number in range({SHOWN + 2}):
    reporter.message(f"line {{number}}")
"""


@pytest.fixture(name="shown", scope="module")
def _shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What stands below each cell in the end."""
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, WORK, BREAKS, AFTERWARDS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        folder = str(tmp_path_factory.mktemp("notebook"))
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    assert all(len(cell.outputs) <= 1 for cell in notebook.cells)  # one output, which is replaced
    return ["".join(each.data["text/html"] for each in cell.outputs) for cell in notebook.cells]


def test_nothing_is_shown_until_there_is_something(shown: list[str]) -> None:
    assert shown[0] == ""


def test_messages_and_what_stages_took_stay(shown: list[str]) -> None:
    assert "<div>the &lt;b&gt;teacher&lt;/b&gt; is ready</div><div>student: 4 steps in 0:00:01</div>" in shown[1]
    assert "evaluation" not in shown[1]  # it took no time
    assert "<progress" not in shown[1]


def test_a_bar_says_how_far_and_how_long(shown: list[str]) -> None:
    assert '<progress max="10" value="3"></progress> broken, 3 of 10 steps, loss &lt;1&gt;, 0:00:01 left' in shown[2]
    assert "teacher" not in shown[2]


def test_another_cell_begins_anew_and_folds_what_is_much(shown: list[str]) -> None:
    assert "broken" not in shown[3]
    before, latest = shown[3].split("</details>")
    assert "<summary>2 lines before</summary><div>line 0</div><div>line 1</div>" in before
    assert latest.count("<div>line ") == SHOWN


def test_elsewhere_nothing_is_shown() -> None:
    assert isinstance(usual_reporter(), SilentReporter)
