"""An optional TensorBoard log of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import Accelerator

from engine.base.errors import InputError


class Tracker:
    """Writes losses and scores to TensorBoard, or nowhere.

    Args:
        folder: Where the log goes; None for no log.

    Raises:
        InputError: A log was asked for and tensorboard is not installed.
    """

    def __init__(self, folder: Path | None, accelerator: Accelerator):
        self._writer: Any = None
        if folder is None or not accelerator.is_main_process:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            what = "tensorboard is not installed; pip install tensorboard"
            raise InputError.of("--tensorboard", what) from error
        self._writer = SummaryWriter(str(folder))

    def log(self, group: str, values: dict[str, float], step: int) -> None:
        """Writes values under `group/name`."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Writes what is pending."""
        if self._writer is not None:
            self._writer.close()
