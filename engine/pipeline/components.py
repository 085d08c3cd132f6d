"""What the student learns of the teacher: intermediate objectives, layer mappings, prediction losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from engine.base.errors import counted, shown
from engine.base.spec import Spec, Weight

# --- critics of mi_alpha ---------------------------------------------------------------------


class TransformerCritic(Spec):
    """Two transformer layers on a narrow projection (Distiller, appendix G)."""

    kind: Literal["transformer"] = "transformer"
    width: Annotated[int, Field(ge=8)] = 128  # ours: narrow, so that all critics cost less than the student
    layers: Annotated[int, Field(ge=1)] = 2
    feed_forward: Annotated[int, Field(ge=8)] = 256
    heads: Annotated[int, Field(ge=1)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4  # ours: critics start from scratch

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TransformerCritic:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads; got width {self.width} and heads {self.heads}")
        return self


class MLPCritic(Spec):
    """A perceptron on each vector (Distiller, table 4: four layers, 512 wide)."""

    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=8)] = 128
    layers: Annotated[int, Field(ge=1)] = 4
    feed_forward: Annotated[int, Field(ge=8)] = 512
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4


CriticSpec = Annotated[TransformerCritic | MLPCritic, Field(discriminator="kind")]

# --- intermediate objectives -----------------------------------------------------------------


class NoIntermediate(Spec):
    """Nothing is learned from hidden states."""

    kind: Literal["none"] = "none"


class _Hidden(Spec):
    """Shared by the objectives that compare hidden states in the teacher's width."""

    projection: Literal["auto", "always"] = "auto"
    """`auto`: a learned projection only where widths differ; `always`: also where they agree."""


class MSE(_Hidden):
    """Mean squared difference over all tokens (TinyBERT)."""

    kind: Literal["mse"] = "mse"


class L2(_Hidden):
    """Euclidean distance per token, mean over tokens."""

    kind: Literal["l2"] = "l2"


class Cos(_Hidden):
    """One minus the cosine, mean over tokens."""

    kind: Literal["cos"] = "cos"


class PKD(_Hidden):
    """Squared distance of the normalised first tokens (BERT-PKD, Sun et al. 2019)."""

    kind: Literal["pkd"] = "pkd"


class CE(_Hidden):
    """Cross-entropy of the two softmax distributions over the width, mean over tokens."""

    kind: Literal["ce"] = "ce"


class MIAlpha(Spec):
    """Minus the interpolated bound on mutual information (Poole et al. 2019; Distiller, eq. 4)."""

    kind: Literal["mi_alpha"] = "mi_alpha"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    level: Literal["auto", "sequence", "token"] = "auto"
    """`auto`: token for tagging and question answering, otherwise sequence."""
    max_tokens: Annotated[int, Field(ge=2)] = 256  # at token level, drawn from each batch
    critic: CriticSpec = TransformerCritic()


class Attention(_Hidden):
    """Mean squared difference of attention scores before the softmax, head by head (TinyBERT)."""

    kind: Literal["attention"] = "attention"
    hidden: Weight = 0.0  # of the mean squared difference of hidden states, which is added; TinyBERT: 1

    @model_validator(mode="after")
    def _projection_is_used(self) -> Attention:
        if self.projection == "always" and self.hidden == 0:
            raise ValueError("projection is of hidden states, and their weight, hidden, is 0")
        return self


class Relations(Spec):
    """Divergence of the relations among queries, among keys, among values (MiniLMv2, Wang et al. 2021)."""

    kind: Literal["relations"] = "relations"
    heads: Annotated[int, Field(ge=1)] | None = None
    """Relation heads; they divide both models' widths and need not be their attention heads. None: as many as do, at
    most 48, with at least 8 numbers each (MiniLMv2: 48 between widths of 768 and 384)."""


Hidden = NoIntermediate | CE | MSE | L2 | Cos | PKD
IntermediateSpec = Annotated[Hidden | MIAlpha | Attention | Relations, Field(discriminator="kind")]

# --- layer mappings, student layer → teacher layer -------------------------------------------


class NoMapping(Spec):
    """No layers are mapped; goes with intermediate kind `none`."""

    kind: Literal["none"] = "none"


class Skip(Spec):
    """Student layer i → teacher layer i·⌊teacher layers / student layers⌋."""

    kind: Literal["skip"] = "skip"


class Last(Spec):
    """The student's layers → the teacher's last ones."""

    kind: Literal["last"] = "last"


class EMD(Spec):
    """All pairs, weighted by optimal transport (BERT-EMD, Li et al. 2020)."""

    kind: Literal["emd"] = "emd"
    layer_weights: Literal["cost_attention", "uniform"] = "cost_attention"
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of cost_attention; larger: closer to uniform


class Uniform(Spec):
    """As `skip`, and embeddings → embeddings (TinyBERT)."""

    kind: Literal["uniform"] = "uniform"


class Top(Spec):
    """The student's last layer → one of the teacher's, its last one or another (MiniLMv2)."""

    kind: Literal["top"] = "top"
    teacher_layer: Annotated[int, Field(ge=1)] | None = None
    """None: the last one. MiniLMv2: the last one of 12 layers, 21 of 24."""


MOST_DIGITS = 6  # of a layer's number
PairOfLayers = Annotated[tuple[int, int], Field(strict=False)]


class Manual(Spec):
    """Student layer → teacher layer as they are named, each pair with a weight; layer 0 is the embeddings' output."""

    kind: Literal["manual"] = "manual"
    pairs: Annotated[tuple[PairOfLayers, ...], Field(strict=False)]
    """`{1 = 4, 2 = 8}`; or `[[1, 4], [2, 8]]`, where a layer may stand in several pairs."""
    weights: Annotated[tuple[Weight, ...], Field(strict=False)] | None = None
    """Of the pairs, in their order. None: 1 each."""

    @model_validator(mode="before")
    @classmethod
    def _as_pairs(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "pairs" not in data:
            return data
        pairs = data["pairs"]
        if isinstance(pairs, Mapping):
            pairs = [(int(key) if is_layer(key) else key, other) for key, other in pairs.items()]
        if not isinstance(pairs, list | tuple) or not pairs or not all(map(_is_pair, pairs)):
            form = "pairs are numbers of layers, student = teacher, such as {1 = 4, 2 = 8}"
            raise ValueError(f"{form}; got {shown(data['pairs'])}")
        return {**data, "pairs": pairs}

    @model_validator(mode="after")
    def _each_once(self) -> Manual:
        problems, weights = [], self.weights
        if twice := sorted({pair for pair in self.pairs if self.pairs.count(pair) > 1}):
            named = ", ".join(f"{layer} → {other}" for layer, other in twice)
            problems.append(f"each pair of layers stands once; twice there: {named}")
        if weights is not None and len(weights) != len(self.pairs):
            got = f"{counted(len(self.pairs), 'pair')} and {counted(len(weights), 'weight')}"
            problems.append(f"each pair has one weight; got {got}")
        elif weights is not None and not any(weights):
            problems.append("all weights are 0: no layer would learn")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def is_layer(key: Any) -> bool:
    """Whether a table's key is the number of a layer, which files bring as text.

    Example:
        >>> is_layer("12"), is_layer(0), is_layer("kind")
        (True, True, False)
    """
    return type(key) is int or (isinstance(key, str) and key.isdecimal() and len(key) < MOST_DIGITS)


def _is_pair(pair: Any) -> bool:
    """Whether it is two numbers of layers."""
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(type(part) is int and part >= 0 for part in pair)


def names_layers(mapping: Any) -> bool:
    """Whether `mapping` is the short form of a manual one: `{1 = 4, 2 = 8}`."""
    return isinstance(mapping, Mapping) and bool(mapping) and all(map(is_layer, mapping))


MappingSpec = Annotated[NoMapping | Skip | Last | EMD | Uniform | Top | Manual, Field(discriminator="kind")]


def embedding_pairs(mapping: Spec) -> tuple[tuple[int, int], ...]:
    """The pairs, student layer → teacher layer, of which one is the embeddings' output.

    Example:
        >>> embedding_pairs(Uniform()), embedding_pairs(Manual(pairs=((0, 1), (2, 4)))), embedding_pairs(Skip())
        (((0, 0),), ((0, 1),), ())
    """
    pairs = ((0, 0),) if isinstance(mapping, Uniform) else getattr(mapping, "pairs", ())
    return tuple(pair for pair in pairs if 0 in pair)


def usual_mapping(intermediate: str) -> str:
    """The mapping of a pipeline that names none, by its objective.

    Example:
        >>> usual_mapping("none"), usual_mapping("mse"), usual_mapping("relations")
        ('none', 'skip', 'top')
    """
    return {"none": "none", "relations": "top"}.get(intermediate, "skip")


# --- prediction losses -----------------------------------------------------------------------


class PredictionCE(Spec):
    """Cross-entropy against the teacher's distribution (Hinton et al. 2015), times temperature²."""

    kind: Literal["ce"] = "ce"
    temperature: Annotated[float, Field(gt=0)] = 1.0


class PredictionMSE(Spec):
    """Mean squared difference of the logits."""

    kind: Literal["mse"] = "mse"


class PredictionKL(Spec):
    """Kullback-Leibler divergence from the teacher's distribution, times temperature²."""

    kind: Literal["kl"] = "kl"
    temperature: Annotated[float, Field(gt=0)] = 1.0


Prediction = PredictionCE | PredictionMSE | PredictionKL
PredictionSpec = Annotated[Prediction, Field(discriminator="kind")]
