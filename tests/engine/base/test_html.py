"""Tables of a notebook: whatever stands in them is text."""

from __future__ import annotations

from engine.base.html import table

EVIL = "<script>alert(1)</script>&"


def test_whatever_a_cell_holds_is_text() -> None:
    page = table([EVIL], [[EVIL], ["b"]], EVIL, [EVIL])
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;") == 4
    assert page.count("<tr>") == 3
