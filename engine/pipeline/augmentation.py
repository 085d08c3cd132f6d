"""The augmentation policy: an ordered stack of operators (Distiller, algorithm 1)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from engine.base.spec import Spec

IN_DOMAIN = "in_domain"  # a small masked-language model, trained on the dataset's own texts

Share = Annotated[float, Field(gt=0, le=1)]


class Contextual(Spec):
    """Words are masked and filled in by a masked-language model."""

    kind: Literal["contextual"] = "contextual"
    strength: Share = 0.3  # share of the words; here and below the authors' usual value
    model: str = IN_DOMAIN  # a hub name or a folder, or `in_domain`
    top_k: Annotated[int, Field(ge=1)] = 10  # the model's best words, of which one is drawn by its probability


class Random(Spec):
    """Words change places or become synonyms (Wei and Zou 2019)."""

    kind: Literal["random"] = "random"
    strength: Share = 0.3  # share of the words
    synonyms: str = "auto"
    """`wordnet`; `none`: words change places only; or a file of word vectors, whose neighbours serve. `auto`:
    WordNet where it is on this machine, otherwise none."""


class BackTranslation(Spec):
    """Texts are translated into another language and back (Edunov et al. 2018)."""

    kind: Literal["back_translation"] = "back_translation"
    strength: Share = 1.0  # share of the texts
    there: str = "Helsinki-NLP/opus-mt-en-de"  # a Marian model: a hub name or a folder; `back` likewise
    back: str = "Helsinki-NLP/opus-mt-de-en"


class Mixup(Spec):
    """The embeddings and labels of two examples are mixed (Guo et al. 2019; MixKD, Liang et al. 2021)."""

    kind: Literal["mixup"] = "mixup"
    a: Annotated[float, Field(gt=0)] = 0.4  # λ ~ Beta(a, a) for each pair; a = 1 is uniform


OperatorSpec = Annotated[Contextual | Random | BackTranslation | Mixup, Field(discriminator="kind")]


class Augmentation(Spec):
    """Operators in the order in which they act; none: only the original examples."""

    operators: Annotated[tuple[OperatorSpec, ...], Field(strict=False)] = ()
    copies: Annotated[int, Field(ge=1)] = 1  # augmented examples made of each original one, anew in every epoch

    @model_validator(mode="after")
    def _each_once(self) -> Augmentation:
        kinds = self.kinds
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise ValueError(f"each operator acts once; twice there: {', '.join(twice)}")
        return self

    @property
    def kinds(self) -> list[str]:
        """The operators' kinds in their order."""
        return [operator.kind for operator in self.operators]

    @property
    def trains_first(self) -> bool:
        """Whether it has a language model that is trained on the texts of the dataset, once."""
        return any(isinstance(each, Contextual) and each.model == IN_DOMAIN for each in self.operators)


def _stack(given: Any) -> Any:
    """`random+mixup`, `random,mixup`, or a list of operators or kinds, as a table."""
    if isinstance(given, str):
        given = [] if given == "none" else [part.strip() for part in given.replace(",", "+").split("+")]
    if isinstance(given, list | tuple):
        given = {"operators": given}
    if isinstance(given, dict) and isinstance(given.get("operators"), str):
        given = {**given, **_stack(given["operators"])}
    if isinstance(given, dict) and isinstance(given.get("operators"), list | tuple):
        named = [{"kind": each} if isinstance(each, str) else each for each in given["operators"]]
        return {**given, "operators": tuple(named)}
    return given


AugmentationSpec = Annotated[Augmentation, BeforeValidator(_stack)]
