"""A reporter that remembers what it was told."""

from __future__ import annotations

from engine.base.progress import SilentReporter


class Ear(SilentReporter):
    """Remembers the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)
