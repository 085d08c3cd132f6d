"""How a run is carried out: options that may change its speed but not what it computes.

The exceptions are stated: `precision` changes rounding, and `FineTuning` makes another teacher; both belong to the
identity of a run. `device` and `signals` change no more than the last digits (another order of sums; cached hidden
states are kept in 16 bits), and do not. The first paragraph of a field's docstring is its help on the command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from engine.base.spec import Described

Precision = Literal["auto", "bf16", "fp16", "float32"]


class FineTuning(Described):
    """How a teacher that is not fine-tuned yet becomes one (Devlin et al. 2019, appendix A.3).

    `None` means: that paper's value, and for a teacher from scratch, which it does not know, ours.
    """

    when: Literal["auto", "always", "never"] = "auto"
    """`auto`: only a model without a head for the task."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Default: 4; from scratch 10."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Examples per step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: 5e-5; from scratch 5e-4."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the teacher's fine-tuning.

    It has its own, so that students with different seeds share one teacher."""

    def resolved(self, from_scratch: bool) -> FineTuning:
        """The same with a value in place of every `None`."""
        values = {"epochs": 10, "learning_rate": 5e-4} if from_scratch else {"epochs": 4, "learning_rate": 5e-5}
        return self.model_copy(update={k: v for k, v in values.items() if getattr(self, k) is None})


class RunOptions(Described):
    """Where and how a run is carried out."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where there is one."""
    precision: Precision = "auto"
    """`auto`: what the hardware computes fastest.

    bf16 where it is in hardware, fp16 on older GPUs, otherwise float32."""
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that augment texts. Default: as suits the machine.

    They work ahead of the training; 0: its own does it, as it always does for operators that run a model."""
    signals: Literal["auto", "online"] = "auto"
    """`auto`: the teacher's signals are kept on disk.

    Where they fit the budget; otherwise, and with `online`, they are computed in every epoch."""
    cache_dir: str | None = None
    """Folder of what is kept from run to run: teachers, signals, vocabularies, ….

    `$AUTODISTILLER_CACHE` or ~/.cache/autodistiller when absent."""
    cache_budget_gb: Annotated[float, Field(ge=0)] = 20.0
    """Gigabytes on disk for cached signals."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Least time between two checkpoints."""
    tensorboard: bool = False
    """Write a TensorBoard log."""
    overwrite: bool = False
    """Empty a folder that holds another run."""

    @property
    def cache(self) -> Path:
        """The cache folder; not created by asking."""
        default = Path.home() / ".cache" / "autodistiller"
        return Path(self.cache_dir or os.environ.get("AUTODISTILLER_CACHE") or default).expanduser()
