"""A teacher's vectors of tokens, with which students that are no transformers begin.

Decided here: vectors are turned so that the first numbers tell tokens apart best (principal components), and a student
of any width takes the first numbers. A Bi-LSTM, which reads words in their order, takes what the teacher reads; a
static student, for which nothing comes after, what the teacher says of each token alone: the mean over its last hidden
states of the token between those that its tokenizer adds to a text. The latter is kept under a hash of its weights.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.base.cache import keeping, kept, recalled
from engine.base.files import hash_of
from engine.base.machine import Machine

BATCH = 256  # tokens that are asked about together
FILE = "vectors.npy"


def token_vectors(
    teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, width: int, machine: Machine
) -> np.ndarray:
    """The first `width` principal components of each token's vector (V, width), float32."""
    models = _hash_of_weights(teacher.base_model), tokenizer.backend_tokenizer.to_str()  # whatever its head is for
    folder = kept(machine.options.cache, "token_vectors", *models)
    with machine.alone(folder):
        found = recalled(folder, machine.reporter, _read) if machine.main else None
        if machine.main and found is None:
            with keeping(folder) as aside:
                np.save(aside / FILE, turned(_alone(teacher, tokenizer, machine)).astype(np.float16))
        machine.accelerator.wait_for_everyone()
    vectors = (_read(folder) if found is None else found)[:, :width].astype(np.float32)
    return _filled(vectors, len(tokenizer))


def read_vectors(teacher: PreTrainedModel, tokens: int, width: int) -> np.ndarray | None:
    """The first `width` principal components of the teacher's word embeddings (tokens, width), around 0 with a
    standard deviation of 1; None where they are narrower, or transformers does not know where they are."""
    words: Any = None
    with suppress(NotImplementedError):
        words = teacher.get_input_embeddings()
    if words is None or words.weight.shape[1] < width:
        return None
    vectors = turned(words.weight.detach().float().cpu().numpy()[:tokens])[:, :width]
    return _filled(vectors / vectors.std(), tokens)


def _filled(vectors: np.ndarray, tokens: int) -> np.ndarray:
    """With rows of 0 for special tokens that a teacher's embeddings have no room for."""
    return np.pad(vectors, ((0, tokens - len(vectors)), (0, 0)))


def turned(vectors: np.ndarray) -> np.ndarray:
    """Vectors (V, E) around their mean, in the directions in which they differ most, the first one most."""
    return PCA(svd_solver="covariance_eigh").fit_transform(vectors)


def _read(folder: Path) -> np.ndarray:
    vectors: np.ndarray = np.load(folder / FILE, allow_pickle=False)
    return vectors


def _hash_of_weights(model: PreTrainedModel) -> str:
    return hash_of(*(memoryview(weight.detach().cpu().contiguous().numpy()).cast("B") for weight in model.parameters()))


@torch.no_grad()
def _alone(teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, machine: Machine) -> np.ndarray:
    """The teacher's vector of each token of the vocabulary (V, E)."""
    before, after = _template(tokenizer)
    body, training = teacher.base_model.to(machine.device), teacher.training
    teacher.eval()
    said, count = [], min(len(tokenizer), teacher.config.get_text_config().vocab_size)
    machine.reporter.start("token vectors", count, unit="tokens")
    for begin in range(0, count, BATCH):
        tokens = torch.arange(begin, min(begin + BATCH, count)).unsqueeze(1)
        ids = torch.cat([before.expand(len(tokens), -1), tokens, after.expand(len(tokens), -1)], dim=1)
        ids = ids.to(machine.device)
        with machine.accelerator.autocast():
            hidden: Tensor = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        said.append(hidden.float().mean(1).cpu().numpy())
        machine.reporter.advance("token vectors", len(tokens))
    machine.reporter.finish("token vectors")
    teacher.train(training)
    return np.nan_to_num(np.concatenate(said))


def _template(tokenizer: PreTrainedTokenizerBase) -> tuple[Tensor, Tensor]:
    """The tokens that are added before and after a text."""
    encoding = tokenizer.backend_tokenizer.encode("a")
    places = [place for place, sequence in enumerate(encoding.sequence_ids) if sequence is not None]
    first, last = (places[0], places[-1] + 1) if places else (len(encoding.ids),) * 2
    before, after = encoding.ids[:first], encoding.ids[last:]
    return torch.tensor(before, dtype=torch.long), torch.tensor(after, dtype=torch.long)  # of no tokens, too
