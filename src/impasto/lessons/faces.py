"""The second warm-up: two networks, from scratch, of which one paints faces and the other tells them from real ones.

The losses are the non-saturating ones, with a penalty on the discriminator's gradient at real faces.

Goodfellow et al.: Generative Adversarial Nets (2014, arXiv:1406.2661).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.configs import FacesConfig
from impasto.course import Course
from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.images import save_image
from impasto.lessons.celeba import CelebA
from impasto.lessons.distance import Yardstick
from impasto.lessons.generator import FaceDiscriminator, FaceGenerator, between, latents, sheet
from impasto.lessons.pictures import FolderOfPictures, Pictures, ZipOfPictures, find_pictures
from impasto.lessons.showing import deal, moved
from impasto.machine import own_torch
from impasto.networks.learning import running_mean

HELD = 5  # every fifth face is held back, to measure with
MEASURED = 500  # faces that are measured, at most: generated ones, held ones, and ones of the training
SHEET, ROW, STRIPS, STRIP = 64, 8, 6, 9  # faces of a sheet and of its rows; strips, and faces of each


@dataclass(frozen=True)
class FacesResult:
    """Distances from held real faces."""

    distance: float  # of the generated faces
    before: float  # of those of the untrained generator
    floor: float  # of other real faces
    history: dict[int, float]  # of the generated faces, by step


def read_faces(path: str | Path) -> CelebA:
    """The faces to learn from, without any table; every fifth is held back, as the ``validation`` split.

    ``path`` is a folder with CelebA's images as :func:`impasto.lessons.pictures.find_pictures` finds them, a zip of
    images, or any folder of JPEG or PNG files, however deep.

    Raises:
        ImpastoError: no images there, or a zip cut short.
    """
    path = Path(path)
    if path.is_file():
        pictures: Pictures = ZipOfPictures.open(path)
    elif any((place / f"img_align_celeba{end}").exists() for place in (path, path / "Img") for end in ("", ".zip")):
        pictures = find_pictures(path)
    else:
        pictures = FolderOfPictures.below(path)
    names = sorted(pictures.names)
    if len(names) < 2 * HELD:
        raise ImpastoError(f"{path}: {len(names)} JPEG or PNG files; {2 * HELD} are the least, thousands are better")
    split = tuple("validation" if index % HELD == HELD - 1 else "train" for index in range(len(names)))
    return CelebA(path, tuple(names), (), None, split, pictures)


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Cross-entropy of logits (B,): -log σ(D(x)) - log(1 - σ(D(G(z)))), each the mean over its faces."""
    return F.softplus(-real).mean() + F.softplus(generated).mean()


def generator_loss(generated: Tensor) -> Tensor:
    """-log σ(D(G(z))), from logits (B,). The negative of the discriminator's loss would be flat where it wins."""
    return F.softplus(-generated).mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1: half of the squared norm of the logit's gradient at real faces (B, 3, side, side), the mean over them.

    Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge? (2018, arXiv:1801.04406).
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def augment(faces: Tensor, dice: torch.Generator) -> Tensor:
    """Each face (B, 3, side, side) a little moved, brighter or darker, with more or less contrast; differentiable.

    Real and generated faces are both changed, so that the generator does not learn to imitate the changes (Zhao et al.:
    Differentiable Augmentation for Data-Efficient GAN Training, 2020, arXiv:2006.10738).
    """
    gains, shifts = torch.rand(2, len(faces), 1, 1, 1, generator=dice).to(faces.device)
    middle = faces.mean(dim=(1, 2, 3), keepdim=True)
    faces = (faces - middle) * (0.75 + 0.5 * gains) + middle + 0.3 * shifts - 0.15
    return moved(faces, faces.shape[-1] // 12, dice)


def rate(step: int, steps: int) -> float:
    """Learning rate at ``step`` (0-based) as a share of the highest: constant for half of the steps, then linear."""
    return min(1.0, 2 * (1 - step / steps))


@own_torch()
def train(
    config: FacesConfig,
    data: CelebA,
    extractor: Extractor,
    out: str | Path,
    *,
    device: str = "cpu",
    samples: str | Path | None = None,
    course: Course | None = None,
) -> FacesResult:
    """Train both networks and write the generator: the running mean of its weights.

    ``data`` is from :func:`read_faces`; all faces are held in memory, 12 kB each at 64 pixels. The distance is measured
    through ``extractor``. Into the folder ``samples`` go ``sheet-STEP.png``, always of the same latents, and
    ``strip-STEP.png``, ways between some of them.

    Raises:
        ImpastoError: images that cannot be read, a checkpoint of another training, or a loss that is not a number.
    """
    course = course or Course()
    faces, held = (data.load(config.side, split) for split in ("train", "validation"))
    few = len(faces) < config.few if config.augment is None else config.augment
    course.log(f"{len(faces)} faces to learn from{', each a little changed' if few else ''}; {len(held)} held back")
    yardstick = Yardstick(extractor.to(device), spread(held), spread(faces))

    pair = Pair(config, device)
    shown = latents(max(MEASURED, SHEET), config.latent, config.seed)
    memo = {"history": {0: yardstick(pair.shipped.paint(shown[:MEASURED]))}}
    pixels = [hashlib.sha256(part.numpy().data).hexdigest() for part in (faces, held)]
    made_of = {"settings": asdict(config), "faces": pixels, "extractor weights": extractor.sha256}
    course.begin(config.steps, made_of, pair.parts, memo)
    history = memo["history"]
    course.log(f"distance from real faces: {history[0]:.3f} untrained, {yardstick.floor:.3f} of real ones")

    dice, batch = torch.Generator(), min(config.batch, len(faces))
    for step in course:
        chosen = deal(len(faces), batch, step, config.seed, dice)
        losses = pair.learn(faces[chosen].to(device).float() / 255, step, dice, few, course)
        if (step + 1) % config.sample_every == 0 or step + 1 == config.steps:
            history[step + 1] = yardstick(pair.shipped.paint(shown[:MEASURED]))
            if samples is not None:
                write_samples(Path(samples), step + 1, pair.shipped, shown)
        if course.tell(**losses, distance=history[max(history)]):
            break
    if course.done not in history:
        history[course.done] = yardstick(pair.shipped.paint(shown[:MEASURED]))
    course.keep()
    result = FacesResult(history[course.done], history[0], yardstick.floor, history)
    scores = {"distance": round(result.distance, 5), "floor": round(result.floor, 5), "extractor": extractor.name}
    pair.shipped.to_file(out, {"config": asdict(config), "faces": len(faces), "steps": course.done, **scores})
    return result


class Pair:
    """The two networks, and the running mean of the generator, which ships."""

    def __init__(self, config: FacesConfig, device: str) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.generator = FaceGenerator(config.side, config.width, config.latent)
        self.discriminator = FaceDiscriminator(config.side, config.width)
        for network in (self.generator, self.discriminator):
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = running_mean(self.generator, lambda step: 1 - min(config.average, (step + 1) / (step + 10)))
        self.shipped = cast(FaceGenerator, self.mean.module)
        self.parts: dict[str, Any] = {"mean": self.mean}
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            adam = torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.0, 0.99))
            self.parts |= {name: network, f"{name}_optimizer": adam}

    def learn(self, real: Tensor, step: int, dice: torch.Generator, few: bool, course: Course) -> dict[str, float]:
        """One step (0-based) from real faces (B, 3, side, side) in [0, 1], augmented if ``few``: the two losses."""
        config, device = self.config, real.device
        painter, critic = self.parts["generator_optimizer"], self.parts["discriminator_optimizer"]
        mirrored = torch.rand(len(real), 1, 1, 1, generator=dice) < 0.5
        real = torch.where(mirrored.to(device), real.flip(-1), real)
        generated = self.generator(torch.randn(len(real), config.latent, generator=dice).to(device))
        if few:
            real, generated = augment(real, dice), augment(generated, dice)
        for group in painter.param_groups + critic.param_groups:
            group["lr"] = config.learning_rate * rate(step, config.steps)

        answers = self.discriminator(torch.cat([real, generated.detach()]))
        loss = discriminator_loss(*answers.chunk(2))
        told = loss.item()  # without the penalty, which not every step has
        if step % config.penalty_every == 0:
            loss = loss + config.penalty * config.penalty_every * gradient_penalty(self.discriminator, real)
        critic.zero_grad(set_to_none=True)
        loss.backward()
        critic.step()

        self.discriminator.requires_grad_(False)
        painted = generator_loss(self.discriminator(generated))
        painter.zero_grad(set_to_none=True)
        painted.backward()
        painter.step()
        self.discriminator.requires_grad_(True)
        course.check(loss.item(), painted.item())
        self.mean.update_parameters(self.generator)
        return {"discriminator_loss": told, "generator_loss": painted.item()}


def spread(faces: Tensor) -> Tensor:
    """:data:`MEASURED` of the faces at most, evenly over all of them."""
    count = min(MEASURED, len(faces))
    return faces[[index * len(faces) // count for index in range(count)]]


def write_samples(folder: Path, step: int, generator: FaceGenerator, shown: Tensor) -> None:
    """A sheet of faces, and strips between some of them; the same latents at every step."""
    ways = torch.cat([between(shown[2 * row], shown[2 * row + 1], STRIP) for row in range(STRIPS)])
    folder.mkdir(parents=True, exist_ok=True)
    for name, latent, columns in (("sheet", shown[:SHEET], ROW), ("strip", ways, STRIP)):
        save_image(folder / f"{name}-{step:06}.png", sheet(generator.paint(latent), columns), force=True)
