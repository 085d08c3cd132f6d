"""What the student learns of the teacher: intermediate objectives, layer mappings, prediction losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.base.spec import Spec

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


IntermediateSpec = Annotated[NoIntermediate | CE | MSE | L2 | Cos | PKD | MIAlpha, Field(discriminator="kind")]

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


MappingSpec = Annotated[NoMapping | Skip | Last | EMD, Field(discriminator="kind")]

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
