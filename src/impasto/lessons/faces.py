"""The second warm-up: two networks, from scratch, of which one paints faces and the other tells them from real ones.

Read from top to bottom: configuration, data, losses, what is shown, loop, file. The generator never sees a real face.
All it has is the gradient of the discriminator's answer, which says how every pixel would look more real; the
discriminator learns from real faces and from the generator's newest. The losses are the non-saturating ones, with a
penalty on the discriminator's gradient at real faces that keeps the two from going around in circles.

Goodfellow et al.: Generative Adversarial Nets (2014, arXiv:1406.2661).
"""

from __future__ import annotations

import copy
import hashlib
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.files.state import write_state
from impasto.images import save_image
from impasto.lessons.celeba import CelebA
from impasto.lessons.distance import Yardstick
from impasto.lessons.generator import SIDES, FaceDiscriminator, FaceGenerator, between, latents, sheet
from impasto.lessons.pictures import FolderOfPictures, ZipOfPictures, find_pictures

__all__ = ["FaceProgress", "FacesConfig", "FacesResult", "read_faces", "train"]

#: Every fifth face is held back, to measure with.
HELD = 5
#: Faces that are measured, at most: generated ones, held ones, and ones of the training.
MEASURED = 500
#: With fewer faces than this the discriminator would learn them by heart; it sees each a little changed then.
FEW = 10_000
#: Faces of a sheet, and of a row in it; rows and faces of the strips between faces.
SHEET, ROW, STRIPS, STRIP = 64, 8, 6, 9


@dataclass(frozen=True)
class FacesConfig:
    """Everything that determines the outcome, next to the faces and the extractor that measures."""

    steps: int = 4000
    batch: int = 16
    side: int = 64  # pixels: 16, 32, 64 or 128
    width: int = 16  # channels of the finest maps of both networks
    latent: int = 64  # numbers that a face is made from
    learning_rate: float = 1e-3  # of both networks, at its highest
    penalty: float = 1.0  # γ of the gradient penalty
    penalty_every: int = 8  # steps
    average: float = 0.995  # how long the weights that are kept remember, at the end
    augment: bool | None = None  # None: where there are fewer faces than FEW
    sample_every: int = 500  # steps between two sheets and measurements
    seed: int = 0


@dataclass(frozen=True)
class FaceProgress:
    """One step; ``distance`` is the last one that was measured."""

    step: int
    steps: int
    discriminator_loss: float
    generator_loss: float
    distance: float
    seconds: float


@dataclass(frozen=True)
class FacesResult:
    """What the training came to.

    Attributes:
        distance: of the generated faces from held real ones, at the end.
        before: the same, of the untrained generator.
        floor: of real faces from held real ones.
        history: all distances, by step.
    """

    distance: float
    before: float
    floor: float
    history: dict[int, float]


def read_faces(path: str | Path) -> CelebA:
    """The faces to learn from; no table is needed. Every fifth is held back, as the ``validation`` split.

    Args:
        path: a folder with CelebA's ``img_align_celeba`` or its zip in it, a zip of images, or any folder of JPEG or
            PNG files, however deep.

    Raises:
        ImpastoError: no images there, or a zip cut short.
    """
    path = Path(path)
    pictures: FolderOfPictures | ZipOfPictures
    release = [place / f"img_align_celeba{ending}" for place in (path, path / "Img") for ending in ("", ".zip")]
    if path.is_file():
        pictures = ZipOfPictures.open(path)
    elif any(there.exists() for there in release):
        pictures = find_pictures(path)
    else:
        found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        images = (file for file in found if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        pictures = FolderOfPictures(path, frozenset(file.relative_to(path).as_posix() for file in images))
    names = sorted(pictures.names)
    if len(names) < 2 * HELD:
        raise ImpastoError(f"{path}: {len(names)} JPEG or PNG files; {2 * HELD} are the least, thousands are better")
    split = tuple("validation" if index % HELD == HELD - 1 else "train" for index in range(len(names)))
    return CelebA(path, tuple(names), (), None, split, pictures)


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Cross-entropy: -log σ(D(x)) - log(1 - σ(D(G(z)))), each the mean over its faces.

    Args:
        real: logits (B,).
        generated: logits (B,).
    """
    return F.softplus(-real).mean() + F.softplus(generated).mean()


def generator_loss(generated: Tensor) -> Tensor:
    """Not the negative of the discriminator's, which is flat where it wins, but -log σ(D(G(z))) (Goodfellow et al.).

    Args:
        generated: logits (B,).
    """
    return F.softplus(-generated).mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1: half of the squared norm of the logit's gradient, the mean over real faces.

    Where the generated faces are as the real ones, a discriminator has nothing to tell apart; this makes it fall silent
    there (Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406).

    Args:
        discriminator: faces to logits.
        real: (B, 3, side, side).
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def augment(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Each face a little moved, brighter or darker, with more or less contrast, so that gradients pass through.

    Real and generated faces are changed alike: what the discriminator sees of both, the generator need not imitate
    (Zhao et al.: Differentiable Augmentation for Data-Efficient GAN Training, 2020, arXiv:2006.10738).

    Args:
        faces: (B, 3, side, side) in [0, 1].
        generator: of the random numbers, on the CPU.
    """
    count, _, side, _ = faces.shape
    gains, shifts = torch.rand(2, count, 1, 1, 1, generator=generator).to(faces.device)
    middle = faces.mean(dim=(1, 2, 3), keepdim=True)
    faces = (faces - middle) * (0.75 + 0.5 * gains) + middle + 0.3 * shifts - 0.15
    reach = side // 12
    moves = torch.randint(-reach, reach + 1, (count, 2, 1), generator=generator)
    # The border is repeated where a face moves away from it.
    places = (torch.arange(side) + moves).clamp_(0, side - 1).to(faces.device)
    rows, columns = places[:, 0, None, :, None], places[:, 1, None, None, :]
    batch = torch.arange(count, device=faces.device).view(-1, 1, 1, 1)
    return faces[batch, torch.arange(3, device=faces.device).view(1, -1, 1, 1), rows, columns]


def rate(step: int, steps: int) -> float:
    """The share of the highest learning rate at ``step`` (0-based): all of it, then down in a line from the middle."""
    return min(1.0, 2 * (1 - step / steps))


def train(
    config: FacesConfig,
    data: CelebA,
    extractor: Extractor,
    out: str | Path,
    *,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
    samples: str | Path | None = None,
    callback: Callable[[FaceProgress], bool | None] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> FacesResult:
    """Train both networks and write the generator: the average of its weights over the last steps.

    Args:
        config: the settings.
        data: from :func:`read_faces`. All faces are held in memory, 12 kB each at 64 pixels.
        extractor: what measures the distance.
        out: the safetensors file to write.
        device: where torch computes. Only on the CPU does a resumed training end in the very same bytes.
        checkpoint: file that is written every ``checkpoint_seconds`` and continued from if it exists.
        checkpoint_seconds: see there.
        samples: folder for ``sheet-STEP.png``, faces of the same random numbers each time, and ``strip-STEP.png``, ways
            from one face to another.
        callback: receives a :class:`FaceProgress` after each step; returning True ends the training there.
        log: receives a line now and then.

    Raises:
        ImpastoError: a side that does not fit, images that cannot be read, a checkpoint that is damaged or of another
            training, or a loss that is not a number.
    """
    if config.side not in SIDES:
        raise ImpastoError(f"side: {config.side} pixels; give one of {', '.join(map(str, SIDES))}")
    faces, held = data.load(config.side, "train"), data.load(config.side, "validation")
    few = len(faces) < FEW if config.augment is None else config.augment
    log(f"{len(faces)} faces to learn from{', each a little changed' if few else ''}; {len(held)} held back")
    yardstick = Yardstick(extractor.to(device), spread(held), spread(faces))

    torch.manual_seed(config.seed)
    generator = FaceGenerator(config.side, config.width, config.latent)
    discriminator = FaceDiscriminator(config.side, config.width)
    for network in (generator, discriminator):
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(generator)
    optimizers = [
        torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.0, 0.99))
        for network in (generator, discriminator)
    ]
    kept: dict[str, Any] = {"generator": generator, "discriminator": discriminator, "average": average}
    memory = {"generator_optimizer": optimizers[0], "discriminator_optimizer": optimizers[1]}
    pixels = hashlib.sha256(faces.numpy().data).hexdigest() + hashlib.sha256(held.numpy().data).hexdigest()
    belongs_to = {"config": asdict(config), "faces": pixels, "extractor": extractor.sha256}
    shown = latents(max(MEASURED, SHEET), config.latent, config.seed)

    done, history = 0, {0: yardstick(average.paint(shown[:MEASURED]))}
    if checkpoint and Path(checkpoint).is_file():
        done, history = read_checkpoint(Path(checkpoint), belongs_to, {**kept, **memory})
        log(f"continuing after step {done}")
    log(f"distance from real faces: {history[0]:.3f} untrained, {yardstick.floor:.3f} of real ones")

    def keep() -> None:
        if checkpoint:
            state = {name: thing.state_dict() for name, thing in {**kept, **memory}.items()}
            write_state(checkpoint, {**belongs_to, "step": done, "history": history, **state})

    batch = min(config.batch, len(faces))
    each = len(faces) // batch  # steps an epoch; the few faces left over come up in another one
    dice = torch.Generator()
    started = saved = time.monotonic()
    stop = False
    while done < config.steps and not stop:
        # Order, latents and augmentation follow from the step alone: a resumed run sees what an undisturbed one would.
        epoch, place = divmod(done, each)
        order = torch.randperm(len(faces), generator=dice.manual_seed(config.seed * 1_000_003 + epoch))
        dice.manual_seed((config.seed + 1) * 1_000_000_007 + done)
        real = faces[order[place * batch : (place + 1) * batch]].to(device).float() / 255
        mirrored = torch.rand(batch, 1, 1, 1, generator=dice) < 0.5
        real = torch.where(mirrored.to(device), real.flip(-1), real)
        generated = generator(torch.randn(batch, config.latent, generator=dice).to(device))
        if few:
            real, generated = augment(real, dice), augment(generated, dice)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate(done, config.steps)

        # The discriminator: what is real, what is not.
        answers = discriminator(torch.cat([real, generated.detach()]))
        loss = discriminator_loss(*answers.chunk(2))
        told = loss.detach()
        if done % config.penalty_every == 0:
            loss = loss + config.penalty * config.penalty_every * gradient_penalty(discriminator, real)
        optimizers[1].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[1].step()

        # The generator: what would look more real to it?
        discriminator.requires_grad_(False)
        painted = generator_loss(discriminator(generated))
        optimizers[0].zero_grad(set_to_none=True)
        painted.backward()
        optimizers[0].step()
        discriminator.requires_grad_(True)
        if not math.isfinite(loss.item() + painted.item()):
            raise ImpastoError(f"step {done + 1}: the loss is not a number; lower --learning-rate")
        follow(average, generator, min(config.average, (done + 1) / (done + 10)))

        done += 1
        if done % config.sample_every == 0 or done == config.steps:
            history[done] = yardstick(average.paint(shown[:MEASURED]))
            if samples is not None:
                write_samples(Path(samples), done, average, shown)
        now = time.monotonic()
        if callback:
            record = FaceProgress(done, config.steps, told.item(), painted.item(), history[max(history)], now - started)
            stop = bool(callback(record))
        if now - saved > checkpoint_seconds:
            keep()
            saved = now
    if done not in history:
        history[done] = yardstick(average.paint(shown[:MEASURED]))
    keep()
    result = FacesResult(history[done], history[0], yardstick.floor, history)
    scores = {name: round(value, 5) for name, value in (("distance", result.distance), ("floor", result.floor))}
    about = {"config": asdict(config), "faces": len(faces), "steps": done, "extractor": extractor.name, **scores}
    average.to_file(out, about)
    return result


def spread(faces: Tensor) -> Tensor:
    """Evenly over all of them, :data:`MEASURED` at most."""
    count = min(MEASURED, len(faces))
    return faces[[index * len(faces) // count for index in range(count)]]


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, memory: float) -> None:
    """Move every number of ``average`` a part of the way to the network's, batch norm's statistics included.

    A generator swings around the best place; the mean of its weights is nearer to it than any of them
    (Yazici et al.: The Unusual Effectiveness of Averaging in GAN Training, 2018, arXiv:1806.04498).
    """
    for mean, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(new, 1 - memory)
        else:
            mean.copy_(new)


def write_samples(folder: Path, step: int, generator: FaceGenerator, shown: Tensor) -> None:
    """A sheet of faces, and strips between some of them; the same latents at every step."""
    ways = torch.cat([between(shown[2 * row], shown[2 * row + 1], STRIP) for row in range(STRIPS)])
    folder.mkdir(parents=True, exist_ok=True)
    for name, latent, columns in (("sheet", shown[:SHEET], ROW), ("strip", ways, STRIP)):
        save_image(folder / f"{name}-{step:06}.png", sheet(generator.paint(latent), columns), force=True)


def read_checkpoint(path: Path, belongs_to: Mapping[str, Any], kept: Mapping[str, Any]) -> tuple[int, dict[int, float]]:
    """Fill ``kept`` from the file; returns the steps done and the distances so far.

    Raises:
        ImpastoError: it was made with other settings or faces, or cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if any(state[name] != value for name, value in belongs_to.items()):
            raise ImpastoError(f"{path}: made with other settings or faces; remove it or train with the same ones")
        for name, thing in kept.items():
            thing.load_state_dict(state[name])
        return state["step"], state["history"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error
