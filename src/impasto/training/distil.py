"""Train the compact extractor: a small CNN learns to see what VGG-19 sees.

Read from top to bottom: configuration, network, loss, loop, export. The student begins as a thinned-out teacher, see
:mod:`impasto.training.initialize`, and has batch norm while it trains; for the shipped file it is folded into the
convolutions. A projection P for each layer carries the student's features F to the teacher's T. Down to relu2_1 the
student stays as least squares made it, for training made that no better; the deeper layers train. The loss is the
relative error of P F against T, and of the Gram matrices P F Fᵀ Pᵀ against T Tᵀ, because Gram matrices are what the
style loss compares; where asked for, also that of the gradient that a refinement through the student sends to the
pixels, against the teacher's.

To ask the teacher takes several times as long as to teach the student: what it saw is kept on disk and seen again, see
:mod:`impasto.training.memory`. Some of it are pictures that the student painted itself, see
:mod:`impasto.training.painted`. Where it takes one of them for finished, the teacher sees what is missing: the
difference between the Gram matrices of the painting and those of its style. This is what the student has to see too.
"""

from __future__ import annotations

import copy
import math
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.compact import ARCHITECTURE, FORMAT, LAYERS, PIXEL_MEAN, Architecture, Compact, walk
from impasto.features.extractor import CONTENT_LAYER, STYLE_LAYERS, VGG19_CHANNELS, Extractor
from impasto.files.atomic import write_atomically
from impasto.files.cards import halved, pack
from impasto.files.state import write_state
from impasto.losses import content_loss, style_loss, total_loss
from impasto.networks.moments import full_precision
from impasto.training.data import augment, crops, list_images, read_images
from impasto.training.devices import check_shares, start_fabric
from impasto.training.initialize import fit_stem, fit_to_teacher, fit_to_weights
from impasto.training.memory import Memory
from impasto.training.painted import KEPT, paint

__all__ = ["Student", "TrainConfig", "TrainProgress", "evaluate", "export", "train"]

#: Least squares sees this many crops, of this side at most: all of the teacher's maps of them have to fit into memory.
FIRST_CROPS, FIRST_SIDE = 96, 160
#: The last layer that does not train, and those of the metric that do.
FROZEN = "relu2_1"
TAUGHT = tuple(layer for layer in LAYERS if layer > FROZEN)
#: How many paintings are remembered; the oldest, of the least trained painter, go first.
PAINTED_KEPT = 250
#: The file has the mean of the weights, over the last so many steps in effect.
MEAN_OF = 500


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines the outcome."""

    steps: int = 3000
    batch: int = 10
    side: int = 256  # pixels
    memory: int = 1200  # crops of which the teacher's maps are kept
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    gram_weight: float = 1.0
    gap_weight: float = 4.0
    gradient_weight: float = 0.0
    gradient_crops: int = 2  # of a batch, on each device, whose gradients are compared, with a weight above 0
    painted: int = 2  # in a batch, and as many styles of theirs, once there are any
    paint_every: int = 30  # steps
    precision: str = "fp32"
    seed: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class TrainProgress:
    """One step, for a progress bar."""

    step: int
    steps: int
    loss: float
    errors: dict[str, float]  # of the features by layer, and of the ``gradient`` where it is compared
    seconds: float


class Student(nn.Module):
    """The compact extractor as it trains: batch norm after every convolution but the first, and projections.

    What comes before :data:`FROZEN`, and this layer itself, does not train.
    """

    mean: Tensor
    scales: Tensor

    def __init__(self, architecture: Architecture = ARCHITECTURE) -> None:
        super().__init__()
        self.architecture = tuple(architecture)
        self.convolutions, self.norms, self.projections = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        width = 3
        for name, channels in self.architecture:
            stem = width == 3
            self.convolutions[name] = nn.Conv2d(width, channels, 3, padding=1, bias=stem)
            if not stem:
                self.norms[name] = nn.BatchNorm2d(channels)
            if name in LAYERS:
                self.projections[name] = nn.Conv2d(channels, VGG19_CHANNELS[name], 1, bias=False)
            width = channels
        for part in (self.convolutions, self.norms, self.projections):
            for name, module in part.items():
                module.requires_grad_(name > FROZEN)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        # Typical size of the teacher's features: the projections are learned in units of it.
        self.register_buffer("scales", torch.ones(len(LAYERS)))

    def train(self, mode: bool = True) -> Student:
        """Batch norm of the frozen layers keeps its statistics."""
        super().train(mode)
        for name, norm in self.norms.items():
            norm.train(mode and name > FROZEN)
        return self

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


class Lesson(nn.Module):
    """What the student gets wrong in a batch, in one forward pass, as several devices need it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(
        self, images: Tensor, targets: Mapping[str, Tensor], pairs: int, gradient: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Relative squared errors by layer: of features, with that of the ``gradient``, of Gram matrices, and of gaps.

        Args:
            images: (B, 3, H, W) in [0, 1]; the first ``pairs`` are paintings, and their styles follow.
            targets: the teacher's maps of them, of the layers that are compared.
            pairs: how many paintings there are.
            gradient: the teacher's :func:`pixel_gradient` of the first of them, or None.
        """
        maps, grams, gaps = layer_errors(self.student, self.student(images), targets, pairs)
        if gradient is not None:
            # As it ships, with the statistics of batch norm fixed: no picture's gradient depends on the others.
            self.student.eval()
            own = pixel_gradient(self.teach, images[: len(gradient)], differentiable=True)
            self.student.train()
            # Over all pictures together: one that is in its style already has hardly a gradient to compare.
            maps["gradient"] = (own - gradient).square().sum() / gradient.square().sum().clamp_min(1e-12)
        return maps, grams, gaps

    def teach(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The student in the teacher's place: P F at every layer."""
        features = self.student(images)
        return {layer: apply(self.student.projection(layer), features[layer]) for layer in layers}


def apply(P: Tensor, maps: Tensor) -> Tensor:
    """P F (B, N, H, W) for maps F (B, n, H, W)."""
    return F.conv2d(maps, P[:, :, None, None])


def layer_errors(
    student: Student, features: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Relative squared errors for every layer, means over the pictures: of features, Gram matrices and style gaps.

    The gap is what a painting's Gram matrix G lacks of that of its style A: G − A, over A as in the style loss. The
    first ``pairs`` pictures are paintings, and the next ones are their styles; without any there are no gaps.
    """
    maps, grams, gaps = {}, {}, {}
    for layer, target in targets.items():
        with full_precision(target):
            P = student.projection(layer)
            f, t = features[layer].flatten(2).float(), target.flatten(2).float()
            maps[layer] = _relative(P @ f - t, t).mean()
            G, T = P @ (f @ f.mT) @ P.mT / f.shape[2], t @ t.mT / t.shape[2]
            if layer in STYLE_LAYERS:
                grams[layer] = _relative(G - T, T).mean()
            if layer in STYLE_LAYERS and pairs:
                wrong = G - T
                gaps[layer] = _relative(wrong[:pairs] - wrong[pairs : 2 * pairs], T[pairs : 2 * pairs]).mean()
    return maps, grams, gaps


def _relative(error: Tensor, target: Tensor) -> Tensor:
    """Squared errors over squares of the target (B,). One picture almost without features must not drown the others."""
    energy = target.square().sum(dim=(1, 2)).clamp_min(1e-6)
    return (error.square().sum(dim=(1, 2)) / energy).clamp_max(4)


def pixel_gradient(
    see: Callable[[Tensor, Sequence[str]], Mapping[str, Tensor]], images: Tensor, *, differentiable: bool = False
) -> Tensor:
    """What a refinement sends back to the pixels of every picture, whose content and style are the picture before it.

    Args:
        see: gives the maps of pictures at layers.
        images: (B, 3, H, W) in [0, 1], at least two.
        differentiable: whether the result (B, 3, H, W) can be differentiated in turn.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        maps = see(images, LAYERS)
        with full_precision(images):
            content = maps[CONTENT_LAYER].float()
            style = torch.zeros((), device=images.device)
            for layer in STYLE_LAYERS:
                rows = maps[layer].flatten(2).float()
                gram = rows @ rows.mT / rows.shape[2]  # Not gram_matrix: its gradient has none in turn.
                style = style + style_loss(gram, gram.detach().roll(1, 0)) / len(STYLE_LAYERS)
            total = total_loss(content_loss(content, content.detach().roll(1, 0)), style, 1e-3)
        (gradient,) = torch.autograd.grad(total, images, create_graph=differentiable)
    return gradient


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
        squares = torch.cat(rows).to(student.mean.device)
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


def read_start(path: str | Path, architecture: Architecture) -> dict[str, Tensor]:
    """The weights of an earlier training.

    Raises:
        ImpastoError: damaged, of another kind, or of another architecture.
    """
    if Compact.from_file(path).architecture != tuple(architecture):
        raise ImpastoError(f"--start-from: {path} holds a network of other widths; train from nothing instead")
    return load_file(path)


def read_training(path: str | Path) -> dict[str, Any]:
    """What a training left behind.

    Raises:
        ImpastoError: damaged, or of another kind.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if not {"config", "student", "mean", "optimizer", "schedule", "step"} <= state.keys():
            raise KeyError
    except (OSError, EOFError, KeyError, AttributeError, RuntimeError, pickle.UnpicklingError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error
    return state


def train(
    config: TrainConfig,
    data: str | Path,
    teacher: Extractor,
    out: str | Path,
    *,
    architecture: Architecture = ARCHITECTURE,
    devices: int = 1,
    device: str = "cpu",
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
        devices: how many processes share a batch; on a CPU they share its cores, too.
        device: ``cpu``, ``cuda`` or ``mps``.
        checkpoint: file that is written every ``config.checkpoint_seconds``, and continued from if it exists. Beside
            it, in CHECKPOINT-memory-0, lies what the teacher saw (4.7 MB a crop of 256 px) until the training is over.
        start_from: file of an earlier training, whatever its settings, with whose network this one begins.
        callback: receives a :class:`TrainProgress` after each step; returning True stops the run.
        log: receives a line now and then.

    Raises:
        ImpastoError: no images, a checkpoint of other settings, or a loss that is not a number.
    """
    check_shares(config.batch, devices, "crops")
    fabric = start_fabric(devices, device, config.precision)
    leads = fabric.is_global_zero
    torch.manual_seed(config.seed)
    images = read_images(list_images(data, "train"))
    validation = read_images(list_images(data, "validation"))
    if leads:
        log(f"{len(images)} training and {len(validation)} validation images")

    # The student, as it begins. Only the first process looks for it: the others are given its weights.
    student = Student(architecture)
    generator = torch.Generator().manual_seed(config.seed)
    going_on = checkpoint is not None and Path(checkpoint).is_file()
    if leads and not going_on:
        sample = augment(crops(images, FIRST_CROPS, min(FIRST_SIDE, config.side), generator), generator)
        if start_from is not None:
            fit_to_weights(student, read_start(start_from, student.architecture), sample)
        else:
            fit_stem(student, teacher, sample[: FIRST_CROPS // 3])
            fit_to_teacher(student, teacher, sample, generator)
        start = evaluate(student, teacher, validation)
        came_from = "least squares" if start_from is None else start_from
        log(f"{came_from}: " + ", ".join(f"{layer} {error:.3f}" for layer, error in start.items()))
    optimizer = torch.optim.AdamW(
        [p for p in student.parameters() if p.requires_grad], lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.05, final_div_factor=1e3
    )
    lesson, student_optimizer = fabric.setup(Lesson(student), optimizer)
    # What ships, and paints: a better student than any single step leaves.
    mean = copy.deepcopy(student).eval().requires_grad_(False)
    teacher.to(fabric.device)

    first = 0
    if checkpoint is not None and going_on:
        state = read_training(checkpoint)
        if state["config"] != asdict(config) or state.get("architecture") != student.architecture:
            raise ImpastoError(f"{checkpoint}: made with other settings; remove it or train with the same ones")
        student.load_state_dict(state["student"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
        if leads:
            log(f"continuing after step {first}")

    def keep(done: int) -> None:
        if checkpoint is not None and leads:
            state = {
                "config": asdict(config),
                "architecture": student.architecture,
                "student": student.state_dict(),
                "mean": mean.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "step": done,
            }
            write_state(checkpoint, state)

    if not going_on:
        # What least squares found is worth minutes, and the files of the memory are never without their checkpoint.
        keep(0)

    # Every process remembers its own part of the crops: first the fresh ones, then the paintings and their styles.
    part, filling = config.batch // devices, -(-config.memory // config.batch)  # crops, steps
    fresh_rows = filling * part
    shown = len(range(fabric.global_rank, config.painted, devices))  # pairs in every batch, and new ones at a time
    each = KEPT + 1  # rows of a pair: the style is the last one
    scratch = tempfile.TemporaryDirectory() if checkpoint is None else None  # Gone with this call, whatever ends it.
    folder = f"{checkpoint}-memory-{fabric.global_rank}" if scratch is None else scratch.name
    paintings = (config.steps - 1) // config.paint_every
    if scratch is None and not going_on:
        shutil.rmtree(folder, ignore_errors=True)
    memory = Memory(folder, fresh_rows + paintings * shown * each, config.side, TAUGHT)
    if 0 < first < config.steps and not memory.found:
        raise ImpastoError(f"{folder}: what VGG-19 saw so far is gone; remove {checkpoint} to begin anew")

    def remember(row: int, pictures: Tensor) -> None:
        own = (pictures * 255).round().byte()
        with torch.no_grad(), fabric.autocast():
            memory.write(row, own, teacher(own.to(fabric.device).float() / 255, TAUGHT))

    done = first
    started = saved = time.monotonic()
    student.train()
    for step in range(first, config.steps):
        # A generator for each step makes a resumed run see what an undisturbed one would have seen.
        generator.manual_seed(config.seed * 1_000_003 + step + 1)
        if step < filling:
            everyone = augment(crops(images, config.batch, config.side, generator), generator)
            remember(step * part, everyone[fabric.global_rank :: devices])
        painted = step // config.paint_every if config.painted else 0
        if painted and step % config.paint_every == 0:
            contents, styles = (crops(images, config.painted, config.side, generator) for _ in range(2))
            pictures = paint_all(mean, contents, styles, generator) if leads else None
            pictures = cast(Tensor, fabric.broadcast(pictures))[fabric.global_rank :: devices]
            remember(fresh_rows + (painted - 1) * shown * each, pictures.flatten(0, 1))
            # Who painted drew numbers that the other processes did not.
            generator.manual_seed(-(config.seed * 1_000_003 + step + 1))
        rows = torch.randint(min(step + 1, filling) * part, (part,), generator=generator)
        pairs = min(shown, part // 2) if painted else 0
        if pairs:
            last = painted * shown
            recent = torch.randint(max(0, last - PAINTED_KEPT // devices), last, (pairs,), generator=generator)
            first_rows = fresh_rows + recent * each
            rows[:pairs] = first_rows + torch.randint(KEPT, (pairs,), generator=generator)
            rows[pairs : 2 * pairs] = first_rows + KEPT
        batch, targets = memory.read(rows.tolist())
        batch = batch.to(fabric.device)
        targets = {layer: maps.to(fabric.device) for layer, maps in targets.items()}

        gradient = None
        if config.gradient_weight:
            with fabric.autocast():
                gradient = pixel_gradient(teacher, batch[: config.gradient_crops])
        maps, grams, gaps = lesson(batch, targets, pairs, gradient)
        compared = maps.pop("gradient", None)
        terms = ((1.0, maps), (config.gram_weight, grams), (config.gap_weight, gaps))
        loss = torch.stack([weight * value for weight, term in terms for value in term.values()]).sum()
        if compared is not None:
            loss = loss + config.gradient_weight * compared
            maps["gradient"] = compared
        student_optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(lesson, student_optimizer, max_norm=3.0, error_if_nonfinite=False)
        # One exchange between the processes and one wait for the device, for all of them.
        said = cast(Tensor, fabric.all_reduce(torch.stack([loss.detach(), *(v.detach() for v in maps.values())])))
        values = said.tolist()
        if not math.isfinite(values[0]):
            raise ImpastoError(f"step {step + 1}: the loss is not a number; lower --learning-rate")
        student_optimizer.step()
        schedule.step()
        follow(mean, student, step)

        done, now = step + 1, time.monotonic()
        stop = False
        if leads:
            errors = dict(zip(maps, values[1:], strict=True))
            stop = bool(callback and callback(TrainProgress(done, config.steps, values[0], errors, now - started)))
            if now - saved > config.checkpoint_seconds:
                keep(done)
                saved = now
        if fabric.broadcast(stop):
            break
    keep(done)
    errors = {}
    if leads:
        errors = evaluate(mean, teacher, validation)
        card = {"errors": {k: round(v, 4) for k, v in errors.items()}, "config": asdict(config)}
        export(mean, out, card)
    if scratch is not None:
        scratch.cleanup()
    elif done == config.steps:
        shutil.rmtree(folder)
    fabric.barrier()
    return cast(dict[str, float], fabric.broadcast(errors))


@torch.no_grad()
def follow(mean: Student, student: Student, step: int) -> None:
    """The running mean of the weights, and of what batch norm knows, takes in those after step ``step`` (0-based).

    At first it is over fewer steps, so that it soon moves on.
    """
    share = max(1 / MEAN_OF, 1 / (2 + step / 10))
    own, new = (
        [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
        for network in (mean, student)
    )
    torch._foreach_lerp_(own, new, share)


def paint_all(student: Student, contents: Tensor, styles: Tensor, generator: torch.Generator) -> Tensor:
    """What the student would paint if it shipped now, and after each painting its style: (B, KEPT + 1, 3, H, W)."""
    device = student.mean.device
    tensors = {name: tensor.float() for name, tensor in fold(student).items()}
    painter = Compact.from_tensors(tensors, student.architecture).to(device)
    pairs = []
    for content, style in zip(contents.split(1), styles.split(1), strict=True):
        pictures = paint(painter, content.to(device), style.to(device), generator)
        pairs.append(torch.cat([pictures.cpu(), style]))
    return torch.stack(pairs)
