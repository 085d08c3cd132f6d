"""How the engine, which never prints, tells what it is doing: a `Reporter` that somebody else may show."""

import logging
from typing import Protocol

log = logging.getLogger("autodistiller")


class Reporter(Protocol):
    """What the engine says while it works."""

    def message(self, text: str) -> None:
        """One line that a person should read: a choice that was made, a result, a warning."""

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        """A stage of `total` units begins, at most where `most`, `done` of them finished by an earlier process."""

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is a short status such as the loss."""

    def finish(self, stage: str) -> None:
        """The stage is over."""


class SilentReporter:
    """The default: writes messages to the log and shows nothing."""

    def message(self, text: str) -> None:
        log.info(text)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        log.debug("%s: %d of %d %s", stage, done, total, unit)

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        pass

    def finish(self, stage: str) -> None:
        log.debug("%s: done", stage)
