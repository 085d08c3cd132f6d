"""How a run is carried out: options that may change its speed but not what it computes.

The exceptions are stated: `precision` changes rounding, and `FineTuning` makes another teacher; both belong to the
identity of a run. `device`, `signals` and `shard_teacher` change no more than the last digits (another order of sums;
cached hidden states are kept in 16 bits), and do not. The first paragraph of a field's docstring is its help on the
command line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from engine.base.errors import InputError
from engine.base.spec import Described, Place, Seed

Precision = Literal["auto", "bf16", "fp16", "float32"]
HeldIn = Literal["float32", "bf16", "8bit", "4bit"]
"""What the weights of a large model's linear layers are held in."""
LEARNING_RATES = ((256, 3e-4), (512, 1e-4))
"""Width of the hidden states up to which a pretrained encoder is trained at a rate; wider ones at `LEARNING_RATE`.

3e-4 and 1e-4 are the upper two of those from which Turc et al. (2019) chose for small BERTs; ELECTRA (Clark et al.
2020) takes 1e-4 for its small and its base model, 5e-5 for the large one."""
LEARNING_RATE = 5e-5  # of BERT base and large (Devlin et al. 2019, appendix A.3)
StartKind = Literal["pretrained", "scratch", "lstm", "static"]
"""How a model starts."""
OWN_RATES: dict[StartKind, float] = {"scratch": 5e-4, "lstm": 3e-3, "static": 3e-3}
"""Learning rates of what is no pretrained encoder, whatever its width; ours (docs/methods/students.md)."""
STEPS, PATIENT_STEPS = 1500, 200
LEAST_EPOCHS, LEAST_FROM_SCRATCH, MOST_EPOCHS, LEAST_PATIENCE = 4, 10, 30, 2
"""A teacher trains for `STEPS`, but for at least and at most so many epochs, and stops when its score has not risen for
`PATIENT_STEPS`, or so many epochs where these are longer. Four epochs are the most of Devlin et al. (2019), for large
data; that small data needs many more is Mosbach et al.'s (2021). The other values are ours (benchmarks/RESULTS.md)."""


ALWAYS = ("when", "epochs", "early_stopping", "batch_size", "learning_rate", "seed")
"""Fields of `FineTuning` that are written whatever they are; later ones where they say something, so that keys stay."""
TRAINED = (*ALWAYS[1:], "lora")
"""Those that decide every fine-tuned model."""
LESS_MEMORY = ("lora", "gradient_checkpointing")
"""Those that save memory; `fine_tune` takes them."""
FASTER = 10
"""Times the usual learning rate, for LoRA: its best one is that of the best for all weights (Schulman et al. 2025)."""


def usual_rate(start: StartKind, width: int) -> float:
    """The learning rate of a model that starts so, of this width, teacher or student.

    Example:
        >>> [usual_rate("pretrained", width) for width in (256, 384, 768)], usual_rate("scratch", 768)
        ([0.0003, 0.0001, 5e-05], 0.0005)
    """
    by_width = next((rate for widest, rate in LEARNING_RATES if width <= widest), LEARNING_RATE)
    return OWN_RATES.get(start, by_width)


def epochs_of(steps: int, rows: int, batch_size: int) -> int:
    """Epochs in which so many steps, of `batch_size` examples each, are taken at least.

    Example:
        >>> epochs_of(1500, rows=300, batch_size=16)
        79
    """
    return math.ceil(steps / math.ceil(rows / batch_size))


class FineTuning(Described):
    """How a model that is no teacher yet becomes one: it is fine-tuned, or a language model is asked in words.

    `None` means what suits the model's size and the number of rows. The learning rate falls over all epochs, also
    where the training stops before the last.
    """

    when: Literal["auto", "always", "never"] = "auto"
    """`auto`: only a model without a head for the task.

    With `never` a causal language model without one is asked, as with `prompt`."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Default: until its score stops rising.

    At most 4 (from scratch 10) to 30, the more the fewer rows there are; see `early_stopping`."""
    early_stopping: Annotated[int, Field(ge=0)] | None = None
    """Epochs without a better held-out score after which it stops; 0: never.

    At a score of 1 it stops at once. Default: as many as 200 steps take, at least 2; where the epochs are given, 0."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Examples per step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: 5e-5 to 3e-4, by the model's width; from scratch 5e-4."""
    seed: Seed = 0
    """Of the teacher's fine-tuning.

    It has its own, so that students with different seeds share one teacher."""
    lora: Annotated[int, Field(ge=2)] | None = None
    """Rank of LoRA's matrices, which learn in place of the weights.

    For a large teacher: gradients and the optimiser's means, three times its weights, are not needed. The matrices are
    merged into the weights in the end. 8 to 32 are usual; the learning rate is 10 times the usual one by default."""
    gradient_checkpointing: bool = False
    """Compute its layers again for the gradients: less memory.

    It takes a third to a half more time, and gives the same teacher."""
    weights: HeldIn = "float32"
    """What its weights are held in; fewer bits take less memory.

    Those of the linear layers inside the encoder; it answers a little differently. Only LoRA fine-tunes it then, whose
    matrices stay beside the weights. 8bit and 4bit need bitsandbytes."""
    prompt: Annotated[str, Field(min_length=1)] | None = None
    """Ask a causal language model: "{text} … {text_pair}".

    It teaches without fine-tuning, by how likely each label's word is to come next (docs/methods/language-models.md).
    `{labels}` stands for the words, and \\n for the end of a line."""
    label_words: Annotated[str, Field(min_length=1)] | None = None
    """Words it answers by: positive=great,negative=terrible.

    Default: the labels' names. In Python a mapping serves as well."""
    uncalibrated: bool = False
    """Do not take off what it says where there is no text."""

    @field_validator("label_words", mode="before")
    @classmethod
    def _of_mapping(cls, given: Any) -> Any:
        return ",".join(f"{label}={word}" for label, word in given.items()) if isinstance(given, Mapping) else given

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it was before fields came to it, where these say nothing: names of what is kept are hashes of it."""
        usual = type(self).model_fields
        return {name: value for name, value in write(self).items() if name in ALWAYS or value != usual[name].default}

    @property
    def asks(self) -> bool:
        """Whether something is said that only a language model is asked."""
        return bool(self.prompt or self.label_words or self.uncalibrated)

    @property
    def less_memory(self) -> dict[str, Any]:
        """How memory is saved, as `fine_tune` takes it."""
        return {name: getattr(self, name) for name in LESS_MEMORY}

    @property
    def training(self) -> str:
        """What decides a fine-tuned model, in words."""
        return self.model_dump_json(include={*TRAINED})

    def resolved(self, start: StartKind, width: int, rows: int) -> FineTuning:
        """The same with a value in place of every `None`, for a model that starts so, of this width, and its rows."""
        least = LEAST_EPOCHS if start == "pretrained" else LEAST_FROM_SCRATCH
        patience = max(LEAST_PATIENCE, epochs_of(PATIENT_STEPS, rows, self.batch_size))
        values = {
            "epochs": min(max(least, epochs_of(STEPS, rows, self.batch_size)), MOST_EPOCHS),
            "early_stopping": patience if self.epochs is None else 0,
            "learning_rate": usual_rate(start, width) * (FASTER if self.lora else 1),
        }
        return self.model_copy(update={k: v for k, v in values.items() if getattr(self, k) is None})


def in_home(path: str, place: str) -> Path:
    """A path below the user's home.

    Args:
        path: Relative to the home.
        place: Option that names another one, for the message.

    Raises:
        InputError: The user has no home, as in a container under a number that nobody has.
    """
    try:
        return Path.home() / path
    except RuntimeError as error:
        what = "nothing is named here, and this user has no home folder"
        raise InputError.of(place, what, suggestion="Name another place, or set HOME.") from error


class RunOptions(Described):
    """Where and how a run is carried out."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where there is one."""
    precision: Precision = "auto"
    """`auto`: what the hardware computes fastest.

    bf16 where it is in hardware, fp16 on older GPUs, otherwise float32."""
    int8_teacher: bool = False
    """The teacher answers in 8-bit integers: faster on a CPU, not quite the same.

    Only what it says of training examples; it is fine-tuned and scored as without."""
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that augment texts. Default: as suits the machine.

    They work ahead of the training; 0: its own does it, as it always does for operators that run a model."""
    signals: Literal["auto", "online"] = "auto"
    """`auto`: the teacher's signals are kept on disk.

    Where they fit the budget; otherwise, and with `online`, they are computed in every epoch."""
    cache_dir: Place | None = None
    """Folder of what is kept from run to run: teachers, signals, vocabularies, ….

    `$AUTODISTILLER_CACHE` or ~/.cache/autodistiller when absent."""
    cache_budget_gb: Annotated[float, Field(ge=0)] = 20.0
    """Gigabytes on disk for cached signals."""
    shard_teacher: bool = False
    """Of several processes, each holds a piece of the teacher while it is fine-tuned.

    Weights, gradients and the optimiser's means (FSDP); afterwards each holds the whole teacher, which answers."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Least time between two checkpoints."""
    tensorboard: bool = False
    """Write a TensorBoard log."""
    overwrite: bool = False
    """Replace another run in the folder: what it wrote is removed, and nothing else."""

    @property
    def cache(self) -> Path:
        """The cache folder; not created by asking. An `InputError` where none is named and the user has no home."""
        named = self.cache_dir or os.environ.get("AUTODISTILLER_CACHE")
        return Path(os.path.expanduser(named)) if named else in_home(".cache/autodistiller", "--cache-dir")
