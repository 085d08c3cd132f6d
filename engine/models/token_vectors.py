"""What a teacher says of each token alone: the vectors that a static student begins with.

Decided here: the mean over the teacher's last hidden states of a token between those that its tokenizer adds to a text,
turned so that the first numbers tell tokens apart best (principal components). They are kept under a hash of the
teacher's weights; a student of any width takes the first numbers.
"""

from __future__ import annotations

from pathlib import Path

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
    models = _hash_of_weights(teacher), tokenizer.backend_tokenizer.to_str()
    folder = kept(machine.options.cache, "token_vectors", *models)
    with machine.alone(folder):
        found = recalled(folder, machine.reporter, _read) if machine.main else None
        if machine.main and found is None:
            with keeping(folder) as aside:
                np.save(aside / FILE, turned(_alone(teacher, tokenizer, machine)).astype(np.float16))
        machine.accelerator.wait_for_everyone()
    return (_read(folder) if found is None else found)[:, :width].astype(np.float32)


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
    said = []
    machine.reporter.start("token vectors", len(tokenizer), unit="tokens")
    for begin in range(0, len(tokenizer), BATCH):
        tokens = torch.arange(begin, min(begin + BATCH, len(tokenizer))).unsqueeze(1)
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
    return torch.tensor(encoding.ids[:first]), torch.tensor(encoding.ids[last:])
