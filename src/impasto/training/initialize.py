"""Where the student begins: as a thinned teacher, found layer by layer by least squares.

At each layer the channels of VGG-19 that best explain all of them are chosen, and the student's convolution is solved
for that makes these from its own maps so far. The nonlinear least-squares problem is that of Zhang et al. 2016,
"Accelerating Very Deep Convolutional Networks for Classification and Detection" (arXiv:1505.06798); the choice of
channels resembles He et al. 2017, "Channel Pruning for Accelerating Very Deep Neural Networks" (arXiv:1707.06168).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.features.compact import LAYERS, walk
from impasto.features.extractor import Extractor
from impasto.training.student import Student

#: Positions for each unknown of a least-squares problem, rounds of a nonlinear one, and the ridge.
SAMPLES, ROUNDS, RIDGE = 24, 60, 2e-3


@torch.no_grad()
def fit_stem(student: Student, teacher: Extractor, images: Tensor) -> None:
    """Set relu1_1 and its projection: the teacher's channels that explain most of the others.

    Above zero the teacher's map of images (B, 3, H, W) in [0, 1] is linear in 3 × 3 pixels, so that least squares finds
    each kernel exactly.
    """
    target = teacher(images, ["relu1_1"])["relu1_1"][:, :, 1:-1, 1:-1]
    patches = F.unfold(images - student.mean, 3).transpose(1, 2).reshape(-1, 27).double()
    patches = torch.cat([patches, torch.ones(len(patches), 1, dtype=torch.float64)], dim=1)
    rows = target.permute(0, 2, 3, 1).reshape(len(patches), -1).double()
    # A trace of ridge, for channels that are rarely active.
    ridge = 1e-9 * len(patches) * torch.eye(28, dtype=torch.float64)
    stem, projection = (cast(nn.Conv2d, part["relu1_1"]) for part in (student.convolutions, student.projections))
    kept = _choose(target, stem.out_channels)
    for place, channel in enumerate(kept.tolist()):
        active = rows[:, channel] > 0
        A, y = patches[active], rows[active, channel]
        solution = torch.linalg.solve(A.T @ A + ridge, A.T @ y).float()
        stem.weight[place] = solution[:27].view(3, 3, 3)
        cast(Tensor, stem.bias)[place] = solution[27]
    energies = rows.T @ rows
    tells = torch.linalg.solve(energies[kept][:, kept] + ridge[0, 0] * torch.eye(len(kept)), energies[kept])
    tells[:, kept] = torch.eye(len(kept), dtype=torch.float64)
    projection.weight.copy_(tells.T.float()[:, :, None, None])


@torch.no_grad()
def fit_to_teacher(
    student: Student,
    teacher: Extractor,
    images: Tensor,
    generator: torch.Generator,
    *,
    ridge: float = RIDGE,
    rounds: int = ROUNDS,
) -> None:
    """Set every weight of ``student`` but those of the stem, which has to be fitted before, and its batch norm.

    ``images`` (B, 3, H, W) in [0, 1] are as in training; ``generator`` draws the positions of the least-squares
    problems. ``ridge``, as a share of its mean, is added to their diagonals; ``rounds`` are those of nonlinear ones.
    """
    names = [name for name, _ in student.architecture]
    # A convolution that stands for no layer of the teacher aims at the next one that does.
    models = {name: next(layer for layer in names[at:] if layer in teacher.layers) for at, name in enumerate(names)}
    targets = teacher(images, sorted(set(models.values())))

    def convolve(name: str, hidden: Tensor) -> Tensor:
        if name == "relu1_1":
            return student.convolve(name, hidden)
        convolution, norm = cast(nn.Conv2d, student.convolutions[name]), cast(nn.BatchNorm2d, student.norms[name])
        target = targets[models[name]]
        patches, rows = _sample(hidden, target[:, _choose(target, convolution.out_channels)], 3, generator)
        solution = _solve(patches, rows, ridge, rounds)
        convolution.weight.copy_(solution[:-1].T.view(convolution.weight.shape))
        return _begin_norm(norm, convolution(hidden), solution[-1].float(), unit=True)

    for name, maps in walk(student.architecture, images - student.mean, convolve):
        if name in LAYERS and name != "relu1_1":
            t = targets[name]
            scale = t.square().mean().sqrt()
            student.scales[LAYERS.index(name)] = scale
            features, rows = _sample(maps, t / scale, 1, generator)
            A, b = (features.T @ features).double(), (features.T @ rows).double()
            factor = torch.linalg.cholesky(A + ridge * A.diagonal().mean() * torch.eye(len(A), dtype=A.dtype))
            solution = torch.cholesky_solve(b, factor).float()
            cast(nn.Conv2d, student.projections[name]).weight.copy_(solution.T[:, :, None, None])


@torch.no_grad()
def fit_to_weights(student: Student, tensors: Mapping[str, Tensor], images: Tensor) -> None:
    """Begin with the ``tensors`` of an earlier training's file, in which batch norm is folded away.

    On ``images`` (B, 3, H, W) in [0, 1], as they occur in training, the new batch norm adds the bias and nothing else.
    """

    def convolve(name: str, hidden: Tensor) -> Tensor:
        convolution, bias = cast(nn.Conv2d, student.convolutions[name]), tensors[f"{name}.bias"].float()
        convolution.weight.copy_(tensors[f"{name}.weight"])
        if name not in student.norms:
            cast(Tensor, convolution.bias).copy_(bias)
            return cast(Tensor, convolution(hidden))
        return _begin_norm(cast(nn.BatchNorm2d, student.norms[name]), convolution(hidden), bias, unit=False)

    for name, maps in walk(student.architecture, images - student.mean, convolve):
        if name in LAYERS:
            P = tensors[f"{name}.projection"].float()
            if name != "relu1_1":
                scale = (P @ maps.flatten(2)).square().mean().sqrt()
                student.scales[LAYERS.index(name)] = scale
                P = P / scale
            cast(nn.Conv2d, student.projections[name]).weight.copy_(P[:, :, None, None])


def _begin_norm(norm: nn.BatchNorm2d, maps: Tensor, bias: Tensor, *, unit: bool) -> Tensor:
    """Batch norm begins as adding ``bias``; where ``unit``, scaled so that its ReLU has the mean square 1."""
    mean, variance = maps.mean(dim=(0, 2, 3)), maps.var(dim=(0, 2, 3), unbiased=False)
    moved = maps + bias.view(1, -1, 1, 1)
    size = moved.relu().square().mean(dim=(0, 2, 3)).sqrt().clamp_min(1e-6) if unit else torch.ones_like(mean)
    norm.running_mean, norm.running_var = mean, variance
    norm.weight.copy_((variance + norm.eps).sqrt() / size)
    norm.bias.copy_((mean + bias) / size)
    return moved / size.view(1, -1, 1, 1)


def _choose(maps: Tensor, count: int) -> Tensor:
    """The ``count`` channels that together explain most of the energy of all, chosen greedily; ascending."""
    rows = maps.transpose(0, 1).flatten(1)
    residual = (rows @ rows.T / rows.shape[1]).double()
    # Scaled down by energy: VGG-19's loud channels must not drown the quiet ones.
    norm = (residual.diagonal() + 1e-3 * residual.diagonal().mean()).sqrt()
    residual = residual / norm[:, None] ** 0.5 / norm[None, :] ** 0.5
    kept: list[int] = []
    floor = 1e-9 * residual.diagonal().mean()
    for _ in range(count):
        gain = residual.square().sum(1) / residual.diagonal().clamp_min(floor)
        gain[kept] = -1
        best = int(gain.argmax())
        kept.append(best)
        column = residual[:, best].clone()
        if column[best] > floor:
            residual -= column[:, None] * column[None, :] / column[best]
    return torch.tensor(sorted(kept))


def _sample(hidden: Tensor, target: Tensor, kernel: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Patches of the input at random positions, and the target there, one row a position."""
    count = SAMPLES * hidden.shape[1] * kernel**2
    each = max(1, min(count // len(hidden), target.shape[2] * target.shape[3]))
    patches, rows = [], []
    for image in range(len(hidden)):
        where = torch.randperm(target.shape[2] * target.shape[3], generator=generator)[:each]
        columns = F.unfold(hidden[image : image + 1], kernel, padding=kernel // 2)[0]
        patches.append(columns[:, where].T)
        rows.append(target[image].flatten(1)[:, where].T)
    return torch.cat(patches), torch.cat(rows)


def _solve(patches: Tensor, rows: Tensor, ridge: float = RIDGE, rounds: int = ROUNDS) -> Tensor:
    """Weights and bias W (patch + 1, channels) for which relu(patches W) is nearest to ``rows`` ≥ 0.

    Where the target is zero, any negative value is as good: each round aims there at what the round before gave.
    """
    patches = torch.cat([patches, torch.ones(len(patches), 1)], dim=1)
    A = (patches.T @ patches).double()
    # No ridge on the bias.
    A += ridge * torch.diag(torch.cat([A.diagonal()[:-1].mean().expand(len(A) - 1), A.new_zeros(1)]))
    factor = torch.linalg.cholesky(A)
    solution, speed = torch.cholesky_solve((patches.T @ rows).double(), factor).float(), 1.0
    ahead = solution
    for _ in range(rounds):
        wanted = torch.where(rows > 0, rows, (patches @ ahead).clamp_max_(0))
        before, solution = solution, torch.cholesky_solve((patches.T @ wanted).double(), factor).float()
        # Each round is a preconditioned gradient step: Nesterov's momentum speeds it up.
        last, speed = speed, (1 + (1 + 4 * speed**2) ** 0.5) / 2
        ahead = solution + (last - 1) / speed * (solution - before)
    return solution
