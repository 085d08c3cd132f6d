"""What model cards say of an export."""

from __future__ import annotations

from pathlib import Path

from engine.export.card import add_section, write_export_card
from tests.engine.export.test_record import EXPORT


def test_the_card_of_an_export(tmp_path: Path) -> None:
    write_export_card(tmp_path, EXPORT.model_copy(update={"model": "<b>films</b>"}), "classification")
    card = (tmp_path / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: onnx\npipeline_tag: text-classification\n")
    assert "# &lt;b&gt;films&lt;/b&gt; as ONNX\n" in card
    assert "| ONNX | 0.9000 | 60.5 | 1.23 |" in card
    assert "- A note.\n" in card


def test_the_card_of_a_run_has_one_section(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# A student\n\n## Use\n\nSo.\n")
    add_section(tmp_path, EXPORT, tmp_path / "onnx")
    assert card.read_text("utf-8") == "# A student\n\n## Use\n\nSo.\n"  # no run's
    (tmp_path / "result.json").write_text("{}")
    for note in ("first", "second"):
        add_section(tmp_path, EXPORT.model_copy(update={"notes": [note]}), tmp_path / "onnx")
    text = card.read_text("utf-8")
    assert text.startswith("# A student\n\n## Use\n\nSo.\n\n## Exported\n\nThe files are in `onnx`.\n\n|  | accuracy |")
    assert text.count("## Exported") == 1
    assert "- second\n" in text
    assert "first" not in text
