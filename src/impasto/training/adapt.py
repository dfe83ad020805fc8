"""Teach a network one painting, or the paintings of one artist, in minutes.

The loss is that of every training; the targets are the whole paintings at the size that is to be painted at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from impasto import gallery
from impasto.configs import AdaptConfig
from impasto.course import Course, Step
from impasto.errors import ImpastoError
from impasto.features import load_extractor
from impasto.features.extractor import Extractor
from impasto.files.hashing import file_sha256
from impasto.images import Picture, Source, listed, load_image, save_image
from impasto.instant.models import shipped_path
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import content_loss, style_loss, total_loss
from impasto.machine import own_torch, resolve_device, resolve_precision
from impasto.networks.adapted import Apprenticeship, write_adapted
from impasto.networks.autoencoder import AutoEncoder, Code
from impasto.networks.grain import grain_corner
from impasto.refine.objective import precision
from impasto.refine.pyramid import fit, fit_style
from impasto.settings import check_fields
from impasto.training.batches import find_grams
from impasto.training.data import ENDINGS, crops, read_images
from impasto.training.evaluation import Scores, evaluate
from impasto.training.journal import sheet

LAYERS = [CONTENT_LAYER, *STYLE_LAYERS]
#: Steps that are timed before the first, to find out how many there is time for; at least so many are taken.
TIMED, FEWEST = 3, 10


@dataclass(frozen=True)
class Adapted:
    """What came of it: judged before and after on the photographs of the gallery, which are on the sheet, too."""

    steps: int
    before: Scores
    after: Scores
    sheet: Path


@dataclass(frozen=True)
class Target:
    """A painting as the network and the extractor see it."""

    image: Tensor
    code: Code
    grams: Mapping[str, Tensor]


def adapt(
    styles: Source | Sequence[Source],
    out: str | Path,
    *,
    content: str | Path | None = None,
    start_from: str | Path | None = None,
    extractor: str = "compact",
    judge: str = "auto",
    device: str = "auto",
    callback: Callable[[Step], bool | None] | None = None,
    checkpoint: str | Path | None = None,
    **settings: Any,
) -> Adapted:
    """Teach a network one painting, or the paintings of one artist.

    Args:
        styles: a painting, or a sequence of them: paths, ``gallery:NAME``, PIL images, tensors or arrays.
        out: the .safetensors file to write, for ``model`` of :func:`impasto.stylize` with ``method="instant"``.
        content: a folder of photographs to learn on; None for the pictures of the gallery.
        start_from: the network to begin with; None for the one that comes with the package.
        extractor: in the loss: ``compact``, ``vgg19`` or a file of weights.
        judge: gives the scores; ``auto`` is VGG-19 where its weights are on this machine.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        callback: receives a :class:`impasto.course.Step` after each; returning True ends the training there.
        checkpoint: a file that keeps the state; if it exists, the training goes on from it.
        **settings: the fields of :class:`impasto.configs.AdaptConfig`, such as ``minutes``, ``steps`` and ``size``.

    Raises:
        ImpastoError: a setting, picture or file that cannot be used.

    Example:
        >>> impasto.adapt("painting.jpg", "painting.safetensors", minutes=5)  # doctest: +SKIP
        >>> options = {"method": "instant", "model": "painting.safetensors"}
        >>> impasto.stylize("photo.jpg", "painting.jpg", **options)  # doctest: +SKIP
    """
    config = AdaptConfig(**check_fields(AdaptConfig, settings))
    pictures = [load_image(source, role="style") for source in listed(styles)]
    sees, judges = load_extractor(extractor), load_extractor(judge)
    folder, begin = (None if path is None else Path(path) for path in (content, start_from))
    course, device = Course(checkpoint, callback=callback), resolve_device(device)
    return teach(
        config, pictures, sees, Path(out), content=folder, base=begin, judge=judges, device=device, course=course
    )


@own_torch()
def teach(
    config: AdaptConfig,
    styles: Sequence[Picture],
    extractor: Extractor,
    out: Path,
    *,
    content: Path | None = None,
    base: Path | None = None,
    judge: Extractor | None = None,
    device: str = "cpu",
    course: Course | None = None,
) -> Adapted:
    """:func:`adapt` with everything read: learn ``styles``, write ``out`` and a sheet beside it.

    Args:
        config: for how long, at which size.
        styles: the paintings.
        extractor: in the loss.
        out: the file of what was learned, for ``model``.
        content: a folder of photographs to learn on; None for the pictures of the gallery.
        base: the network to begin with; None for the one that comes with the package.
        judge: gives the scores; None for ``extractor``.
        device: where torch computes.
        course: counts, reports and keeps a checkpoint.

    Raises:
        ImpastoError: no pictures, a checkpoint of other settings, or a loss that is not a number.
    """
    course, base = course or Course(), base or shipped_path()
    config = replace(config, precision=resolve_precision(config.precision, device))
    contents = read_images(_gallery() if content is None else _images_in(content), config.size * 2)
    torch.manual_seed(config.seed)
    network = AutoEncoder.from_file(base).to(device)
    extractor.to(device)
    pupil = Pupil(config, network, [picture.tensor.to(device) for picture in styles], extractor, contents)
    pairs = _shown(config.size, pupil.targets[0].image)
    judge = (judge or extractor).to(device)
    before = evaluate(network.eval(), pairs, judge)

    hashes, network_sha256 = [picture.sha256 for picture in styles], file_sha256(base)
    made_of = {"settings": asdict(config), "paintings": hashes, "network": network_sha256}
    memo: dict[str, Any] = {}
    course.begin(1, made_of | {"extractor weights": extractor.sha256}, pupil.parts, memo)
    course.steps = memo.setdefault("steps", config.steps or pupil.count_steps())
    for step in course:
        if course.tell(**pupil.learn(step, course)):
            break
    course.keep()

    after = evaluate(network.eval(), pairs, judge)
    names = [{"name": Path(picture.name).name, "sha256": picture.sha256} for picture in styles]
    scores = {"judge": judge.name, "before": _figures(before), "after": _figures(after)}
    about = {"paintings": names, "config": asdict(config), "steps": course.done, "scores": scores}
    write_adapted(out, pupil.learned.tensors(), network_sha256, config.rank, {**about, "base_name": base.name})
    drawn = out.with_suffix(".sheet.webp")
    save_image(drawn, sheet(network, pairs), force=True)
    return Adapted(course.done, before, after, drawn)


class Pupil:
    """What learns: offsets and kernels of ``network``; ``parts`` are kept in checkpoints."""

    def __init__(
        self,
        config: AdaptConfig,
        network: AutoEncoder,
        styles: Sequence[Tensor],
        extractor: Extractor,
        contents: list[Tensor],
    ) -> None:
        self.config, self.network, self.extractor, self.contents = config, network, extractor, contents
        # What the encoder sees stays the same, and with it the code.
        self.targets = [self._look(style) for style in styles]
        self.learned = Apprenticeship(network, config.rank)
        groups = self.learned.groups(config.offset_rate, config.kernel_rate)
        self.rates = [group["lr"] for group in groups]
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.parts: dict[str, Any] = {"network": network, "optimizer": self.adam}
        self.generator = torch.Generator()

    @torch.no_grad()
    def _look(self, style: Tensor) -> Target:
        image = fit_style(style, self.config.size, self.extractor.smallest_side(LAYERS))
        return Target(image, self.network.encode_style(image), find_grams(self.extractor(image, STYLE_LAYERS)))

    def losses(self, step: int) -> dict[str, Tensor]:
        """Content, style and total loss of the crops of a step (0-based)."""
        config, target = self.config, self.targets[step % len(self.targets)]
        # Seeded by the step, so that a resumed run sees what an uninterrupted one would.
        self.generator.manual_seed(config.seed * 1_000_003 + step + 1)
        device = target.image.device
        contents = crops(self.contents, config.batch, config.side, self.generator).to(device)
        corner = grain_corner(int(torch.randint(2**31, (), generator=self.generator)))
        with precision(device, config.precision == "bf16"):
            with torch.no_grad():
                features = self.extractor(contents, [CONTENT_LAYER])[CONTENT_LAYER].float()
            output = self.network.train().paint(contents, target.code, corner=corner)
            maps = self.extractor(output, LAYERS)
        content = content_loss(maps[CONTENT_LAYER].float(), features)
        grams = find_grams(maps)
        style = torch.stack([style_loss(gram, target.grams[layer]) for layer, gram in grams.items()]).mean()
        return {"content": content, "style": style, "total": total_loss(content, style, config.content_weight)}

    def learn(self, step: int, course: Course) -> dict[str, float]:
        """One step (0-based): its losses. Raises ImpastoError if they are not finite."""
        share = rate(step, course.steps)
        for group, highest in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = share * highest
        losses = self.losses(step)
        self.adam.zero_grad()
        cast(Any, losses["total"]).backward()
        moving = list(chain.from_iterable(group["params"] for group in self.adam.param_groups))
        norm = torch.nn.utils.clip_grad_norm_(moving, self.config.clip)
        told = {name: loss.item() for name, loss in losses.items()}
        course.check(told["total"], norm.item())
        self.adam.step()
        return told

    def count_steps(self) -> int:
        """How many steps there is time for. The first one takes longer and is not timed."""
        for timed in range(1 + TIMED):
            if timed == 1:
                began = time.monotonic()
            cast(Any, self.losses(timed)["total"]).backward()
        self.adam.zero_grad()
        return max(FEWEST, round(60 * self.config.minutes * TIMED / (time.monotonic() - began)))


def rate(step: int, steps: int) -> float:
    """Learning rate at ``step`` (0-based) as a share of the highest: ten steps of warm-up, and the last third falls."""
    return min(1.0, (step + 1) / 10, 3 * (steps - step) / steps)


def _gallery() -> list[Path]:
    """What there is to learn on in the package: its photographs, and its paintings too."""
    return [gallery.path(name) for name in gallery.names()]


def _images_in(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise ImpastoError(f"{folder} has no images; name a folder with JPEG or PNG files", setting="content")
    return paths


def _shown(size: int, style: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The photographs of the gallery at ``size``, each with the painting."""
    shown = []
    for name in gallery.names("photograph"):
        photograph = load_image(gallery.PREFIX + name).tensor
        shown.append((fit(photograph, size).to(style.device), style))
    return shown


def _figures(scores: Scores) -> dict[str, float]:
    return {"style_share": round(scores.style_share, 4), "content_error": round(scores.content_error, 4)}
