"""Train the compact extractor: a small CNN learns to see what VGG-19 sees.

Read from top to bottom: configuration, network, loss, loop, export. The student begins as a thinned-out teacher, see
:mod:`impasto.training.initialize`, and has batch norm while it trains; for the shipped file it is folded into the
convolutions. A projection P for each layer carries the student's features F to the teacher's T. The loss is the
relative error of P F against T, and of the Gram matrices P F Fᵀ Pᵀ against T Tᵀ, because Gram matrices are what the
style loss compares. A share of the images are pictures that the student painted itself, see
:mod:`impasto.training.painted`.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.compact import ARCHITECTURE, FORMAT, LAYERS, PIXEL_MEAN, Architecture, Compact, walk
from impasto.features.extractor import VGG19_CHANNELS, Extractor
from impasto.files.atomic import write_atomically
from impasto.files.cards import halved, pack
from impasto.files.state import write_state
from impasto.training.data import augment, crops, list_images, read_images
from impasto.training.initialize import fit_to_teacher
from impasto.training.painted import paint_batch

__all__ = ["Student", "TrainConfig", "TrainProgress", "evaluate", "export", "train"]

#: Least squares sees this many batches.
FIRST_BATCHES = 12
#: How many painted crops are remembered; the oldest, of the least trained painter, go first.
PAINTED_KEPT = 360


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines the outcome."""

    steps: int = 3000
    batch: int = 10
    side: int = 128  # pixels
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    gram_weight: float = 1.0
    painted: int = 4  # of the crops in a batch, once there are any
    paint_every: int = 50  # steps
    seed: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class TrainProgress:
    """One step, for a progress bar."""

    step: int
    steps: int
    loss: float
    errors: dict[str, float]
    seconds: float


class Student(nn.Module):
    """The compact extractor as it trains: batch norm after every convolution but the first, and projections."""

    mean: Tensor
    scales: Tensor

    def __init__(self, architecture: Architecture = ARCHITECTURE) -> None:
        super().__init__()
        self.architecture = tuple(architecture)
        self.convolutions, self.norms, self.projections = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        width = 3
        for name, channels in self.architecture:
            kernel, stem = 1 if name.startswith("squeeze") else 3, width == 3
            self.convolutions[name] = nn.Conv2d(width, channels, kernel, padding=kernel // 2, bias=stem)
            if not stem:
                self.norms[name] = nn.BatchNorm2d(channels)
            if name in LAYERS:
                self.projections[name] = nn.Conv2d(channels, VGG19_CHANNELS[name], 1, bias=False)
            width = channels
        # Exact, and in no need of training: see fit_stem.
        for exact in (self.convolutions["relu1_1"], self.projections["relu1_1"]):
            exact.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        # Typical size of the teacher's features: the projections are learned in units of it.
        self.register_buffer("scales", torch.ones(len(LAYERS)))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features F at every layer, before the projection."""
        maps = walk(self.architecture, image - self.mean, self.convolve)
        return {name: features for name, features in maps if name in LAYERS}

    def convolve(self, name: str, hidden: Tensor) -> Tensor:
        """The convolution of that name, and its batch norm."""
        hidden = self.convolutions[name](hidden)
        return self.norms[name](hidden) if name in self.norms else hidden

    def projection(self, layer: str) -> Tensor:
        """P of ``layer`` (channels of VGG-19, channels of the student)."""
        return cast(nn.Conv2d, self.projections[layer]).weight[:, :, 0, 0] * self.scales[LAYERS.index(layer)]


def fit_stem(student: Student, teacher: Extractor, images: Tensor) -> None:
    """Make relu1_1 exact: above zero the teacher's map is linear in a 3 × 3 patch, so least squares finds it."""
    target = teacher(images, ["relu1_1"])["relu1_1"][:, :, 1:-1, 1:-1]
    patches = F.unfold(images - student.mean, 3).transpose(1, 2).reshape(-1, 27).double()
    patches = torch.cat([patches, torch.ones(len(patches), 1, dtype=torch.float64)], dim=1)
    rows = target.permute(0, 2, 3, 1).reshape(len(patches), -1).double()
    # Whole multiples of the input's rounding carry no information: a trace of ridge keeps rarely active channels sane.
    ridge = 1e-9 * len(patches) * torch.eye(28, dtype=torch.float64)
    stem = cast(nn.Conv2d, student.convolutions["relu1_1"])
    identity = cast(nn.Conv2d, student.projections["relu1_1"])
    with torch.no_grad():
        for channel in range(rows.shape[1]):
            active = rows[:, channel] > 0
            A, y = patches[active], rows[active, channel]
            solution = torch.linalg.solve(A.T @ A + ridge, A.T @ y).float()
            stem.weight[channel] = solution[:27].view(3, 3, 3)
            cast(Tensor, stem.bias)[channel] = solution[27]
        identity.weight.copy_(torch.eye(64)[:, :, None, None])


def layer_errors(
    student: Student, features: dict[str, Tensor], targets: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Relative squared errors of the features, and of the Gram matrices, for every layer."""
    maps, grams = {}, {}
    for layer, target in targets.items():
        P = student.projection(layer)
        f, t = features[layer].flatten(2), target.flatten(2)
        maps[layer] = (P @ f - t).square().sum() / t.square().sum()
        G, T = P @ (f @ f.mT) @ P.mT, t @ t.mT
        grams[layer] = ((G - T).square().sum(dim=(1, 2)) / T.square().sum(dim=(1, 2)).clamp_min(1e-12)).mean()
    return maps, grams


@torch.no_grad()
def evaluate(
    student: Student, teacher: Extractor, images: list[Tensor], side: int = 224, batch: int = 8
) -> dict[str, float]:
    """Relative feature error ‖P F − T‖² / ‖T‖² over the central squares of ``images``, for every layer."""
    student.eval()
    error, energy = dict.fromkeys(LAYERS, 0.0), dict.fromkeys(LAYERS, 0.0)
    for start in range(0, len(images), batch):
        rows = []
        for image in images[start : start + batch]:
            cut = min(image.shape[1:])
            top, left = (image.shape[1] - cut) // 2, (image.shape[2] - cut) // 2
            square = image[None, :, top : top + cut, left : left + cut].float() / 255
            rows.append(F.interpolate(square, size=(side, side), mode="bilinear", antialias=True, align_corners=False))
        squares = torch.cat(rows)
        features, targets = student(squares), teacher(squares, LAYERS)
        for layer in LAYERS:
            t = targets[layer].flatten(2)
            error[layer] += float((student.projection(layer) @ features[layer].flatten(2) - t).square().sum())
            energy[layer] += float(t.square().sum())
    student.train()
    return {layer: error[layer] / energy[layer] for layer in LAYERS}


def fold(student: Student) -> dict[str, Tensor]:
    """The tensors of the shipped file, in float64: batch norm folded into the convolutions, and the projections."""
    tensors = {}
    for name, module in student.convolutions.items():
        convolution = cast(nn.Conv2d, module)
        weight = convolution.weight.detach().double()
        if name in student.norms:
            norm = cast(nn.BatchNorm2d, student.norms[name])
            gain = norm.weight.detach().double() / (cast(Tensor, norm.running_var).double() + norm.eps).sqrt()
            weight = weight * gain.view(-1, 1, 1, 1)
            bias = norm.bias.detach().double() - cast(Tensor, norm.running_mean).double() * gain
        else:
            bias = cast(Tensor, convolution.bias).detach().double()
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight, bias
    for layer in LAYERS:
        tensors[f"{layer}.projection"] = student.projection(layer).detach().double()
    return tensors


def export(student: Student, path: str | Path, card: Mapping[str, Any]) -> None:
    """Write the file that :class:`impasto.features.compact.Compact` reads (fp16), with ``card`` in its metadata."""
    about = {"format": FORMAT, "architecture": student.architecture, **card}
    write_atomically(Path(path), pack(halved(fold(student)), about))


def read_training(path: str | Path, mend: str) -> dict[str, Any]:
    """What a training left behind.

    Raises:
        ImpastoError: damaged, or of another kind; ``mend`` says what to do.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if not {"config", "student", "optimizer", "schedule", "painted", "step"} <= state.keys():
            raise KeyError
    except (OSError, EOFError, KeyError, AttributeError, RuntimeError, pickle.UnpicklingError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; {mend}") from error
    return state


def train(
    config: TrainConfig,
    data: str | Path,
    teacher: Extractor,
    out: str | Path,
    *,
    architecture: Architecture = ARCHITECTURE,
    checkpoint: str | Path | None = None,
    start_from: str | Path | None = None,
    callback: Callable[[TrainProgress], bool | None] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Train, write ``out`` and return the errors on the validation split.

    Args:
        config: the settings.
        data: folder of images, see :func:`impasto.training.data.list_images`.
        teacher: VGG-19.
        out: the safetensors file to write.
        architecture: names and widths of the convolutions.
        checkpoint: file that is written every ``config.checkpoint_seconds``, and continued from if it exists.
        start_from: checkpoint of an earlier training, whatever its settings, whose network this one begins with.
        callback: receives a :class:`TrainProgress` after each step; returning True stops the run.
        log: receives a line now and then.

    Raises:
        ImpastoError: no images, a checkpoint of other settings, or a loss that is not a number.
    """
    torch.manual_seed(config.seed)
    images = read_images(list_images(data, "train"))
    validation = read_images(list_images(data, "validation"))
    log(f"{len(images)} training and {len(validation)} validation images")

    student = Student(architecture)
    generator = torch.Generator().manual_seed(config.seed)
    if start_from is not None:
        student.load_state_dict(read_training(start_from, "name the checkpoint of a training")["student"])
    elif not (checkpoint and Path(checkpoint).is_file()):
        sample = augment(crops(images, FIRST_BATCHES * config.batch, config.side, generator), generator)
        fit_stem(student, teacher, sample[: 2 * config.batch])
        fit_to_teacher(student, teacher, sample, generator)
        start = evaluate(student, teacher, validation)
        log("least squares: " + ", ".join(f"{layer} {error:.3f}" for layer, error in start.items()))
    optimizer = torch.optim.AdamW(
        [p for p in student.parameters() if p.requires_grad], lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.05, final_div_factor=1e3
    )

    first = 0
    # Bytes, not floats: what was painted is only shown to teacher and student, never descended on again.
    painted = torch.empty(0, 3, config.side, config.side, dtype=torch.uint8)
    if checkpoint and Path(checkpoint).is_file():
        state = read_training(checkpoint, "remove it, or train without --resume")
        if state["config"] != asdict(config):
            raise ImpastoError(f"{checkpoint}: made with other settings; remove it or train with the same ones")
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first, painted = state["step"], state["painted"]
        log(f"continuing after step {first}")

    def keep() -> None:
        if checkpoint:
            state = {
                "config": asdict(config),
                "student": student.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "painted": painted,
                "step": step + 1,
            }
            write_state(checkpoint, state)

    step = first - 1
    started = saved = time.monotonic()
    student.train()
    for step in range(first, config.steps):
        # A generator for each step makes a resumed run see what an undisturbed one would have seen.
        generator.manual_seed(config.seed * 1_000_003 + step + 1)
        if config.painted and step and step % config.paint_every == 0:
            painter = Compact.from_tensors({n: t.float() for n, t in fold(student).items()}, student.architecture)
            pairs = [crops(images, config.batch, config.side, generator) for _ in ("contents", "styles")]
            fresh = (paint_batch(painter, pairs[0], pairs[1], generator) * 255).round().byte()
            painted = torch.cat([painted, fresh])[-PAINTED_KEPT:]
        batch = augment(crops(images, config.batch, config.side, generator), generator)
        if len(painted):
            rows = torch.randint(len(painted), (config.painted,), generator=generator)
            batch[: config.painted] = painted[rows].float() / 255
        with torch.no_grad():
            targets = teacher(batch, LAYERS[1:])
        maps, grams = layer_errors(student, student(batch), targets)
        loss = torch.stack([*maps.values(), *(config.gram_weight * value for value in grams.values())]).sum()
        if not torch.isfinite(loss):
            raise ImpastoError(f"step {step + 1}: the loss is not a number; lower --learning-rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        now = time.monotonic()
        if callback:
            errors = {layer: value.item() for layer, value in maps.items()}
            if callback(TrainProgress(step + 1, config.steps, loss.item(), errors, now - started)):
                break
        if now - saved > config.checkpoint_seconds:
            keep()
            saved = now
    keep()
    errors = evaluate(student, teacher, validation)
    export(student, out, {"errors": {k: round(v, 4) for k, v in errors.items()}, "config": asdict(config)})
    return errors
