"""Tables as a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str, lines: Iterable[str] = ()) -> str:
    """A table with a title above it and sentences below it; whatever stands in a cell is text.

    Example:
        >>> table(["a"], [["<b>"]], "Title", ["One."])
        '<p><strong>Title</strong></p><table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table><p>One.</p>'
    """
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    below = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f"<p><strong>{escape(title)}</strong></p><table><tr>{heads}</tr>{cells}</table>{below}"
