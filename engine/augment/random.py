"""Random augmentation: words change places or become synonyms (EDA, Wei and Zou 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.augment.passages import Passage, core_of, with_core
from engine.augment.synonyms import Synonyms
from engine.pipeline.augmentation import Random


@dataclass(frozen=True)
class RandomWords:
    """The operator `random`.

    Of the words that are drawn every other one, by chance, becomes a synonym where it has one. All others
    change places with another word, in a tagged sentence with one of the same tag: its tags stay in order.
    """

    spec: Random
    synonyms: Synonyms | None

    def __call__(self, passages: Sequence[Passage], generator: np.random.Generator) -> list[Passage]:
        return [self._changed(passage, generator) for passage in passages]

    def _changed(self, passage: Passage, generator: np.random.Generator) -> Passage:
        words = list(passage.words)
        for index in passage.some(self.spec.strength, generator):
            others = list(self.synonyms(core_of(words[index]))) if self.synonyms else []
            if others and generator.random() < 0.5:
                words[index] = with_core(words[index], str(generator.choice(others)))
            else:
                other = generator.choice(self._partners(passage, index))
                words[index], words[other] = words[other], words[index]
        return passage.with_words(words)

    def _partners(self, passage: Passage, index: int) -> np.ndarray:
        """Indices of the words with which a word may change places, its own among them."""
        words = passage.changeable
        return words if passage.tags is None else words[np.array(passage.tags)[words] == passage.tags[index]]
