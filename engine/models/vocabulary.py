"""The tokenizer of models that start from scratch: WordPiece trained on the task's own text."""

from collections import Counter
from pathlib import Path

from tokenizers.trainers import WordPieceTrainer
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase

from engine.base.cache import keeping, kept, recalled
from engine.base.machine import Machine
from engine.data.task import Task, texts_of
from engine.models.load import readable

ALPHABET_SHARE = 8  # one entry in so many is a letter, so that languages of many letters have words too
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(task: Task, size: int = 8000) -> PreTrainedTokenizerBase:
    """An uncased WordPiece tokenizer in BERT's format, with at most `size` entries, the same for the same texts."""
    backend = BertTokenizer(do_lower_case=True).backend_tokenizer
    counts = Counter(c for text in texts_of(task) for c in backend.normalizer.normalize_str(text))
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    letters = sorted(letter for letter, _ in common[: size // ALPHABET_SHARE] if not letter.isspace())
    # Left alone, the trainer numbers `##a`, `##b` … in the order of a hash table, which differs from
    # process to process, and decides between equally frequent pieces by these numbers.
    trainer = WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *(f"##{letter}" for letter in letters)],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    backend.train_from_iterator(texts_of(task), trainer)
    tokenizer = BertTokenizer(vocab=backend.get_vocab(), do_lower_case=True)
    tokenizer.model_max_length = 512
    return tokenizer


def scratch_tokenizer(task: Task, machine: Machine) -> PreTrainedTokenizerBase:
    """The WordPiece tokenizer of a task, trained once."""
    folder = kept(machine.options.cache, "vocabularies", task.labelled.fingerprint, about=task.name)
    with machine.alone(folder):
        found = recalled(folder, machine.reporter, _read) if machine.main else None
        if machine.main and found is None:
            with keeping(folder) as aside:
                train_tokenizer(task).save_pretrained(aside)
        machine.accelerator.wait_for_everyone()
    return _read(folder) if found is None else found


def _read(folder: Path) -> PreTrainedTokenizerBase:
    with readable("its tokenizer cannot be used", str(folder), "teacher"):
        return AutoTokenizer.from_pretrained(folder)
