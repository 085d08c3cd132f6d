"""Records of earlier versions, brought into today's layout step by step."""

from __future__ import annotations

import pytest

from engine.run.layouts import LAYOUT, UPGRADES, NewerRecordError, upgraded


def test_each_layout_leads_to_the_next_one() -> None:
    assert [*UPGRADES] == [*range(1, LAYOUT)]


def test_a_record_of_today_stays_as_it_is() -> None:
    record = {"layout": LAYOUT, "scores": {"student": {"test": {"accuracy": 0.5}}}}
    assert upgraded(record) is record


def test_a_newer_layout_is_told_from_one_that_is_none() -> None:
    with pytest.raises(NewerRecordError, match="newer version"):
        upgraded({"layout": LAYOUT + 1})
    with pytest.raises(ValueError, match="no number"):
        upgraded({"layout": "3"})
