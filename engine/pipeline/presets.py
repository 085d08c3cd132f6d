"""Known methods as pipelines: one name each, tested to equal the published loss.

Decided here: what a paper leaves to the search (learning rate, batch size, epochs) keeps the defaults of
`engine.pipeline`, and so does the prediction loss: ce, for regression mse.
"""

from dataclasses import dataclass

from engine.base.options import StartKind
from engine.pipeline.augmentation import Augmentation, Contextual, Mixup
from engine.pipeline.components import EMD, MSE, PKD, Attention, MIAlpha, PredictionCE, Relations, Skip, Top, Uniform
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.schedule import LayersFirst
from engine.pipeline.training import Weights


@dataclass(frozen=True)
class Preset:
    """A pipeline that somebody published, what its student learns from, and where its parameters come from."""

    pipeline: Pipeline
    description: str
    source: str


PRESETS: dict[str, Preset] = {
    "mi_alpha": Preset(
        Pipeline(intermediate=MIAlpha(alpha=0.9), mapping=Skip()),
        "a bound on the mutual information of teacher's and student's layers, and the teacher's soft labels",
        "He et al. 2021, arXiv:2109.11105, appendix G: the default of the study",
    ),
    "vanilla_kd": Preset(
        Pipeline(),
        "the teacher's soft labels alone",
        "Hinton et al. 2015, arXiv:1503.02531; temperature 1 and no hard labels as in He et al. 2021, appendix G",
    ),
    "tinybert": Preset(
        Pipeline(
            intermediate=Attention(hidden=1.0),
            mapping=Uniform(),
            augmentation=Augmentation(operators=(Contextual(strength=0.4, top_k=15),)),
            weights=Weights(hard_label=0.0, augmented_prediction=1.0, augmented_hard_label=0.0),
            schedule=LayersFirst(),
        ),
        "first embeddings, and every mapped layer's hidden states and attention scores, by squared difference; then "
        "the teacher's soft labels, also on texts with words filled in by a masked-language model",
        "Jiao et al. 2020, arXiv:1909.10351, task stage; as in He et al. 2021, appendix A, layers are compared on the "
        "originals alone; their values 0.4 and 15 of the augmentation; half of the steps for either stage is ours",
    ),
    "minilm": Preset(
        Pipeline(intermediate=Relations(), mapping=Top()),
        "relations among queries, keys and values of the last layers, and the teacher's soft labels",
        "Wang et al. 2021, arXiv:2012.15828 (MiniLMv2), on the task's texts in place of a large corpus, and with the "
        "teacher's soft labels in place of fine-tuning afterwards; up to 48 relation heads, as theirs",
    ),
    "mixkd": Preset(
        Pipeline(augmentation=Augmentation(operators=(Mixup(),))),
        "the teacher's soft labels and the gold labels, also of mixed pairs of examples",
        "Liang et al. 2021, arXiv:2011.00593, in the form of He et al. 2021, appendices A and G; their λ ~ "
        "Beta(0.4, 0.4)",
    ),
    "bert_emd": Preset(
        Pipeline(intermediate=MSE(), mapping=EMD()),
        "all pairs of layers, weighted by optimal transport, and the teacher's soft labels",
        "Li et al. 2020, arXiv:2010.06133, in the form of He et al. 2021, appendix A: "
        "hidden states without attention matrices",
    ),
    "bert_pkd": Preset(
        Pipeline(
            intermediate=PKD(),
            mapping=Skip(),
            prediction=PredictionCE(temperature=10.0),
            weights=Weights(prediction=0.5, hard_label=0.5, intermediate=0.13),
        ),
        "normalised first tokens of the mapped layers, softened labels at temperature 10, and hard labels",
        "Sun et al. 2019, arXiv:1908.09355, with values of their search: temperature 10, α 0.5, β 500; "
        "their code averages over 5 layers and 768 numbers where this adds up, so β is 500/(5·768) here",
    ),
}


def usual_preset(student: StartKind, teacher_layers: bool = True) -> str:
    """The preset of a run that names no pipeline: Distiller's default, or what can be learned without layers.

    Args:
        teacher_layers: Whether a model teaches, and has layers that can be compared.

    Example:
        >>> usual_preset("pretrained"), usual_preset("static")
        ('mi_alpha', 'vanilla_kd')
    """
    return "mi_alpha" if teacher_layers and student != "static" else "vanilla_kd"
