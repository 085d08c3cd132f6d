"""What past curves teach a search, before it has seen anything: how curves run, and who scores alike.

The parts of the covariance of `autodistill.search.beliefs`, as a model of gpytorch. Decided here: which variances and
lengths are probable before any curve is seen (`USUAL`); the curves of few datasets alone would let an early score say
nothing, or one component everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import gpytorch
import numpy as np
import pandas as pd
import torch
from gpytorch.kernels import Kernel, RBFKernel, ScaleKernel
from gpytorch.priors import LogNormalPrior, NormalPrior
from linear_operator import to_linear_operator
from torch import Tensor

from autodistill.search.beliefs import FEW_RUNS, LEAST_DISPERSION, SHARES, SMALLEST, Curves, Prior

ITERATIONS = 40
USUAL = {"shared": (10.0, 1.5), "alike": (0.5, 1.0), "own": (0.5, 0.7), "noise": (0.1, 1.0), "length": (1.5, 0.4)}
"""Part → a variance, in units of the spread, squared, or a length, and how far its logarithm may be off; of `alike` the
columns share the variance."""


class Alike(Kernel):
    """Σ_c v_c [x_c = x'_c] over columns of codes."""

    def __init__(self, usual: tuple[float, float], active_dims: tuple[int, ...]):
        super().__init__(active_dims=active_dims)
        middle = math.log(usual[0] / max(len(active_dims), 1))
        self.register_parameter("logarithms", torch.nn.Parameter(torch.full((len(active_dims),), middle)))
        self.register_prior("usual", NormalPrior(middle, usual[1]), "logarithms")

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: object) -> Tensor:
        """Covariance of rows (n, C) and (m, C): (n, m), or its diagonal (n,)."""
        variances = self.logarithms.exp()
        if diag:
            return variances.sum().expand(x1.shape[:-1])
        return (x1.unsqueeze(-2) == x2.unsqueeze(-3)).to(variances) @ variances


class Process(gpytorch.models.ExactGP):
    """The process, of rows (n, 3 + C): logarithm of a training's share, number of the candidate, dispersion, codes."""

    def __init__(self, x: Tensor, y: Tensor, columns: int):
        super().__init__(x, y, gpytorch.likelihoods.GaussianLikelihood(noise_prior=_usual("noise")))
        shared = ScaleKernel(_of_time(), outputscale_prior=_usual("shared"))
        alike, own = Alike(USUAL["alike"], tuple(range(3, 3 + columns))), Alike(USUAL["own"], (1,))
        self.mean = gpytorch.means.ZeroMean()
        self.covariance = shared + alike * _of_time() + own * _of_time()
        self.double()

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """The distribution of scores at these rows, in units of their spread."""
        dispersion = x[:, 2]
        covariance = self.covariance(x).to_dense() * dispersion[:, None] * dispersion
        return gpytorch.distributions.MultivariateNormal(self.mean(x), to_linear_operator(covariance))


def _of_time() -> RBFKernel:
    kernel = RBFKernel(active_dims=(0,), lengthscale_prior=_usual("length"))
    kernel.lengthscale = USUAL["length"][0]
    return kernel


def _usual(part: str) -> LogNormalPrior:
    middle, deviation = USUAL[part]
    return LogNormalPrior(math.log(middle), deviation)


def learned(past: Sequence[Curves]) -> Prior:
    """What past curves teach, each set of comparable ones around its own mean and in units of its own spread.

    Equation:
        unit² = (k s² + n s_i²) / (k + n) of a set of n curves with spread s_i, s the median spread, k = `FEW_RUNS`, as
        a search estimates it: a set whose scores hardly differ would otherwise be all that is learned from
    """
    columns = sorted({str(name) for each in past for name in each.words if each.words[name].nunique() > 1})
    spreads, sizes = np.array([each.spread for each in past]), np.array([len(each.scores) for each in past])
    spread = float(np.median(spreads))
    units = np.sqrt((FEW_RUNS * spread**2 + sizes * spreads**2) / (FEW_RUNS + sizes))
    course = np.mean([each.scores.mean(axis=0) / unit for each, unit in zip(past, units, strict=True)], axis=0)
    course -= course[-1]
    scattered = np.mean([each.scores.std(axis=0) / unit for each, unit in zip(past, units, strict=True)], axis=0)
    dispersion = np.maximum(scattered / max(scattered[-1], SMALLEST), LEAST_DISPERSION)
    sets = []
    for each, unit in zip(past, units, strict=True):
        around = each.scores - each.scores[:, -1].mean() - each.expected[:, None]
        x = [_rows(each.words, columns, *point) for point in zip(SHARES, dispersion, strict=True)]
        sets.append((torch.cat(x), torch.tensor((around / unit - course).T.reshape(-1))))
    process = Process(*sets[0], len(columns))
    _train(process, sets)
    shared, alike, own = process.covariance.kernels
    return Prior(
        tuple(course.tolist()),
        tuple(dispersion.tolist()),
        spread,
        dict(zip(columns, alike.kernels[0].logarithms.exp().tolist(), strict=True)),
        shared.outputscale.item(),
        own.kernels[0].logarithms.exp().item(),
        process.likelihood.noise.item(),
        tuple(each.lengthscale.item() for each in (shared.base_kernel, alike.kernels[1], own.kernels[1])),
    )


def of_students(past: Mapping[str, Sequence[Curves]]) -> float:
    """How far students differ on a dataset: the variance of the means of their last scores, in units of the spread.

    Args:
        past: Dataset, rows and teacher → the curves of each of its students.

    Returns:
        The ratio of the means over those with several students; 0 where there are none.
    """
    several = [each for each in past.values() if len(each) > 1]
    apart = [np.var([own.scores[:, -1].mean() for own in each], ddof=1) for each in several]
    within = [np.mean([own.spread**2 for own in each]) for each in several]
    return float(np.mean(apart) / np.mean(within)) if several else 0.0


def _train(process: Process, sets: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Finds the variances and lengths that are the most probable ones given all sets together."""
    process.train()
    marginal = gpytorch.mlls.ExactMarginalLogLikelihood(process.likelihood, process)
    optimizer = torch.optim.LBFGS(process.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for x, y in sets:
            process.set_train_data(x, y, strict=False)
            part = -marginal(process(x), y) * len(y)
            part.backward()
            total += part.detach()
        return total

    optimizer.step(loss)


def _rows(words: pd.DataFrame, columns: Sequence[str], share: float, dispersion: float) -> Tensor:
    """Rows of the process: candidates after a share of their training (n, 3 + C)."""
    codes = [pd.factorize(words[name])[0] if name in words else np.zeros(len(words)) for name in columns]
    first = [np.full(len(words), np.log(share)), np.arange(len(words)), np.full(len(words), dispersion)]
    return torch.tensor(np.stack([*first, *codes], axis=1, dtype=float))
