"""What the documentation's site shows beside docs/: pages that lie elsewhere, formulas, and the Python reference.

mkdocs calls these functions while it builds (mkdocs.yml). The reference has every name that `import autodistill` gives,
with its docstring; so it lists nothing twice and forgets nothing. Formulas become MathML, which browsers draw without a
script.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from griffe import Extension

if TYPE_CHECKING:
    from griffe import Object
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {"meta_data/README.md": "meta_data.md", "benchmarks/RESULTS.md": "measurements.md"}
"""File of the repository → its page of the site."""
REFERENCE = "python.md"
OPENING = """# Python

```python
import autodistill
```

Every name below is `autodistill.name`. `Pipeline` and the kinds of its components are what a pipeline is made of.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that docs/ has not."""
    from mkdocs.structure.files import File

    pages = {page: (ROOT / name).read_text("utf-8") for name, page in ELSEWHERE.items()} | {REFERENCE: reference()}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Leads links to the pages that lie elsewhere."""
    here = "../" * page.file.src_uri.count("/")
    for name, target in ELSEWHERE.items():
        markdown = markdown.replace(f"](../{here}{name}", f"]({here}{target}")
    return markdown


def on_page_content(content: str, **_: Any) -> str:
    """Draws the formulas that Markdown has marked."""
    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', _drawn, content, flags=re.DOTALL)


def _drawn(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    return convert(html.unescape(found[2]), display="block" if found[1] == "div" else "inline")


class Examples(Extension):
    """Reads the part of a docstring that is headed Example as code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Is told of everything that has a docstring."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


def reference() -> str:
    """The page of all public names, those of a pipeline last."""
    import autodistill
    from engine.pipeline import Spec

    found = {name: getattr(autodistill, name) for name in autodistill.__all__}
    specs = {name for name, value in found.items() if isinstance(value, type) and issubclass(value, Spec)}
    parts = {"To use": found.keys() - specs, "Pipelines": specs}
    lines = [OPENING]
    for title, names in parts.items():
        lines.append(f"## {title}\n")
        lines += [
            f"::: {found[name].__module__}.{name}\n    options:\n      heading: {name}\n" for name in sorted(names)
        ]
    return "\n".join(lines)
