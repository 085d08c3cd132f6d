"""Back-translation: into another language and back, by two Marian models (Distiller, section 3.1)."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM

from engine.augment.passages import Passage, passage_of
from engine.base.cache import kept, say_damaged
from engine.base.files import hash_of, remove
from engine.base.machine import Machine
from engine.base.progress import Reporter
from engine.models.load import load_tokenizer, load_weights, read_config, weights_hash
from engine.pipeline.augmentation import BackTranslation

BATCH = 32
LONGEST = 256  # tokens of a text; a longer one stays as it is
PLACE = "augmentation.back_translation"
TABLE = "CREATE TABLE translations (text TEXT PRIMARY KEY, found TEXT, checksum TEXT)"


class BackTranslated:
    """The operator `back_translation`. Every text is translated once and kept, whatever run asks for it."""

    def __init__(self, spec: BackTranslation, machine: Machine):
        self.strength = spec.strength
        self._there = Translator(spec.there, f"{PLACE}.there", machine)
        self._back = Translator(spec.back, f"{PLACE}.back", machine)
        path = kept(machine.options.cache, "translations", self._there.identity, self._back.identity, LONGEST)
        self._kept = Translations(path.with_suffix(".db"), machine.reporter)

    def __call__(self, passages: Sequence[Passage], generator: np.random.Generator) -> list[Passage]:
        drawn = generator.random(len(passages)) < self.strength
        texts = list(dict.fromkeys(p.text for p, chosen in zip(passages, drawn, strict=True) if chosen))
        known = self._kept.read(texts)
        if missing := [text for text in texts if text not in known]:
            new = dict(zip(missing, self._back(self._there(missing)), strict=True))
            self._kept.add(new)
            known |= new
        pairs = zip(passages, drawn, strict=True)
        return [passage_of(known[passage.text]) if chosen else passage for passage, chosen in pairs]


class Translator:
    """A Marian model that translates texts by the likeliest next word; an `InputError` where there is no such one."""

    def __init__(self, name: str, place: str, machine: Machine):
        self.identity, self.machine = weights_hash(name, place), machine
        self.tokenizer = load_tokenizer(name, place, fast=False)
        what = "no model that translates can be loaded"
        model = load_weights(AutoModelForSeq2SeqLM, name, read_config(name, place), place, what)
        self.model = model.eval().requires_grad_(False).to(machine.device)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[str]:
        """The translations; one that comes out empty, or of a text too long, is the text itself."""
        translated = list(texts)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for begin in range(0, len(order), BATCH):
            part = order[begin : begin + BATCH]
            inputs = self.tokenizer([texts[index] for index in part], padding=True, return_tensors="pt")
            if inputs["input_ids"].shape[1] > LONGEST:
                continue
            with self.machine.accelerator.autocast():
                output = self.model.generate(
                    **inputs.to(self.machine.device), num_beams=1, do_sample=False, max_length=LONGEST
                )
            answers = self.tokenizer.batch_decode(output, skip_special_tokens=True)
            for index, text in zip(part, answers, strict=True):
                translated[index] = text.strip() or texts[index]
        return translated


class Translations:
    """Text → translation, in a file that several processes may share.

    It grows all the time, so it has a checksum for each translation rather than one for all; a damaged one is not
    known. A file that SQLite cannot read is removed, and the reporter is told.
    """

    def __init__(self, path: Path, reporter: Reporter):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open = partial(sqlite3.connect, path, timeout=60)
        if path.exists() and not self._is_whole():
            remove(path)
            say_damaged(path, reporter)
        with closing(self._open()) as connection, connection:
            connection.execute(TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))

    def _is_whole(self) -> bool:
        try:
            with closing(self._open()) as connection:
                made = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
                return made in ([], [(TABLE,)]) and connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN"):
                raise
            return False
        except sqlite3.DatabaseError:
            return False

    def read(self, texts: Sequence[str]) -> dict[str, str]:
        """Those that are known."""
        query = "SELECT text, found, checksum FROM translations WHERE text = ?"
        with closing(self._open()) as connection:
            rows = [row for text in texts for row in connection.execute(query, (text,))]
        return {text: found for text, found, checksum in rows if checksum == hash_of(text, found)}

    def add(self, translations: Mapping[str, str]) -> None:
        """Keeps translations."""
        rows = [(text, found, hash_of(text, found)) for text, found in translations.items()]
        with closing(self._open()) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO translations VALUES (?, ?, ?)", rows)
