"""What model cards say of an export: the exported folder's own, and a section in that of the run's student."""

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from engine.base.files import RESULT_FILE, write_text
from engine.base.text import read_text
from engine.data.task import KINDS, TaskKind
from engine.export.record import Export
from engine.run.card import code, plain

CARD, HEADING = "README.md", "## Exported"
TEXT = """---
{data}
---

# {name} as ONNX

Exported with AutoDistiller. It needs neither PyTorch nor AutoDistiller:

```bash
pip install onnxruntime tokenizers numpy
python predict.py "a text"
```

`predict.py` says how it is used, and is short enough to be changed.

{figures}"""


def write_export_card(folder: Path, export: Export, kind: TaskKind) -> None:
    """Writes the model card of an exported folder."""
    tags = ["autodistiller", "onnx"]
    data = ModelCardData(library_name="onnx", pipeline_tag=KINDS[kind].hub_tag, tags=tags).to_yaml()
    card = TEXT.format(data=data, name=plain(export.model), figures=_figures(export))
    write_text(folder / CARD, str(ModelCard(card, ignore_metadata_errors=True)))


def add_section(folder: Path, export: Export, where: Path) -> None:
    """Writes what an export measured into the model card of its run, in place of an earlier export's; other cards stay
    as they are."""
    if (folder / RESULT_FILE).is_file() and (folder / CARD).is_file():
        card = without_section(read_text(folder / CARD))
        section = f"{HEADING}\n\nThe files are in {code(where.resolve().name)}.\n\n{_figures(export)}"
        write_text(folder / CARD, f"{card.rstrip()}\n\n{section}")


def without_section(card: str) -> str:
    r"""A card without the section of an export.

    Example:
        >>> without_section("# A\n\n## Exported\n\n| 1 |\n\n## B\n"), without_section("# A\n")
        ('# A\n\n## B\n', '# A\n')
    """
    before, found, rest = card.partition(f"{HEADING}\n")
    return before + "".join(rest.partition("## ")[1:]) if found else card


def _figures(export: Export) -> str:
    """The table, and what it does not say."""
    heads, rows = export.table
    lines = [heads, ["---"] * len(heads), *rows]
    table = "".join(f"| {' | '.join(map(plain, line))} |\n" for line in lines)
    sentences = "".join(f"- {plain(sentence)}\n" for sentence in export.sentences)
    return f"{table}\n{sentences}- Times are medians of a batch on {plain(export.device)}, tokenising not counted.\n"
