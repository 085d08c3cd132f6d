"""What a message says when there is much to say."""

from __future__ import annotations

from engine.base.errors import MOST_SHOWN, unknown_name


def test_a_long_list_is_cut_and_the_nearest_name_comes_from_all_of_it() -> None:
    names = [f"folder-{number}" for number in range(MOST_SHOWN)]
    everything = str(unknown_name("--teacher", "no such folder", "minilmm", names))
    assert everything.endswith(f"folder-{MOST_SHOWN - 1}")
    cut = str(unknown_name("--teacher", "no such folder", "minilmm", [*names, "other", "minilm"]))
    assert f"folder-{MOST_SHOWN - 1} and 2 more. Did you mean minilm?" in cut
    assert "other" not in cut
