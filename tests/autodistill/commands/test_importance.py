"""What a person sees of importance."""

from __future__ import annotations

from autodistill.commands.importance import TOP_PAIRS, shown
from autodistill.evaluation.importance import Importance, MeanShare, OfRuns, Share


def test_all_components_and_the_first_pairs() -> None:
    own = {
        name: Share(share=share, low=share / 2, high=1.0)
        for name, share in zip("abcd", [0.1, 0.4, 0.2, 0.3], strict=True)
    }
    single = {name: MeanShare(share=0.25, low=0.1, high=0.5, datasets=3) for name in "abcd"}
    pairs = {f"a × {place}": MeanShare(share=0.0125, low=None, high=None, datasets=1) for place in range(12)}
    found = Importance(
        meta_data="made up",
        runs=1234,
        single=single,
        pairs=pairs,
        datasets={"one": OfRuns(dataset="one", runs=1234, explained=0.876, single=own, pairs={})},
        left_out={"two": "7 runs, and 30 are needed"},
        notes=["a note"],
    )
    seen = shown(found, "figure: f.png")
    assert seen.record == found.model_dump(mode="json")
    alone, together, datasets = seen.tables
    assert alone[1][0] == ["a", "0.250", "0.100 to 0.500", "3"]
    assert len(alone[1]) == 4
    assert together[1][0] == ["a × 0", "0.013", "–", "1"]
    assert len(together[1]) == TOP_PAIRS
    first = "b 0.40 (0.20 to 1.00), d 0.30 (0.15 to 1.00), c 0.20 (0.10 to 1.00)"
    assert datasets[1] == [["one", "1234", "0.88", "1.00", "0.00", first]]
    assert list(seen.lines) == [
        "1,234 runs of 1 dataset (made up)",
        "left out: two: 7 runs, and 30 are needed",
        "a note",
        "figure: f.png",
    ]
    for head, rows, title in seen.tables:
        assert title
        assert {len(row) for row in rows} == {len(head)}
    assert len(shown(found.model_copy(update={"pairs": {}})).tables) == 2
