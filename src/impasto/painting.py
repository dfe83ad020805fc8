"""The one call: a photograph and paintings in, a painting out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto import __version__
from impasto.color import match_color, match_luminance, preserve_color
from impasto.errors import ImpastoError
from impasto.features import load_extractor
from impasto.features.extractor import Extractor
from impasto.images import Picture, fit_size, load_image, resize, save_image, to_pil
from impasto.machine import keep_freed_memory, machine_memory, resolve_device, resolve_precision
from impasto.recipe import Input, Recipe
from impasto.refine.budget import Budget, read_size, size_text, space_for
from impasto.refine.checkpoint import Position, read_checkpoint, write_checkpoint
from impasto.refine.descend import descend
from impasto.refine.objective import Weights
from impasto.refine.pyramid import fit, fit_style, plan
from impasto.refine.space import Space
from impasto.settings import METHODS, HybridSettings, Settings

__all__ = ["Painting", "Progress", "Source", "listed", "style_colors", "stylize"]

Source = str | Path | Image.Image | Tensor

CHECKPOINT_SECONDS = 10.0
#: Of a large photograph, colors are taken from a smaller copy where memory is limited. Rows colored at a time.
COLOR_SIZE, COLOR_ROWS = 2048, 256
#: Of the machine's memory, the share that a run takes if no limit was set.
MEMORY = 0.7


@dataclass(frozen=True)
class Progress:
    """One step of a run.

    Attributes:
        step: number of the step in the whole run, from 1.
        steps: steps in the whole run.
        scale: longest side of the picture at present, in pixels.
        content_loss: before the step.
        style_loss: before the step.
        total_loss: before the step.
        seconds: since the run began, pauses of a resumed run left out.
    """

    step: int
    steps: int
    scale: int
    content_loss: float
    style_loss: float
    total_loss: float
    seconds: float
    _image: Tensor | None = field(default=None, repr=False, compare=False)

    def image(self) -> Tensor:
        """The picture after the step (1, 3, h, w), in [0, 1]: only inside the callback, a history keeps no pictures.

        Raises:
            ImpastoError: asked of a record in ``Painting.losses``.
        """
        if self._image is None:
            raise ImpastoError("the picture of a step is there during the callback only; keep record.image() there")
        return self._image.detach().cpu().clone()


@dataclass(frozen=True)
class Painting:
    """What came out.

    Attributes:
        tensor: the picture (1, 3, H, W), sRGB in [0, 1].
        alpha: the photograph's transparency (1, 1, H, W), if it had any.
        losses: one record for each step; none where nothing was refined.
        recipe: how to make the picture again.
        notices: plain lines worth telling.
        seconds: how long it took.
    """

    tensor: Tensor
    alpha: Tensor | None
    losses: list[Progress]
    recipe: Recipe
    notices: tuple[str, ...]
    seconds: float

    @property
    def image(self) -> Image.Image:
        """The picture as a PIL image, with the photograph's transparency if it had any."""
        return to_pil(self.tensor, self.alpha)

    def save(self, path: str | Path, *, depth: int = 8, force: bool = False) -> None:
        """Write the picture, with its recipe inside.

        Args:
            path: .png, .jpg, .webp or .tif.
            depth: bits a channel, 8 or 16.
            force: replace a file that exists.

        Raises:
            ImpastoError: the file exists, cannot be written, or cannot hold 16 bits.
        """
        save_image(path, self.tensor, alpha=self.alpha, depth=depth, recipe=self.recipe.to_json(), force=force)


def listed(styles: Source | Sequence[Source]) -> list[Source]:
    """One painting or several, as a list."""
    return [styles] if isinstance(styles, str | Path | Image.Image | Tensor) else list(styles)


def stylize(
    content: Source,
    styles: Source | Sequence[Source],
    *,
    method: str = "refine",
    callback: Callable[[Progress], bool | None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    max_pixels: int = 64_000_000,
    **settings: Any,
) -> Painting:
    """Paint a photograph in the style of one painting or several.

    Args:
        content: the photograph: a path, ``gallery:NAME``, a PIL image, or a tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        styles: a painting, or a sequence of them.
        method: ``refine`` descends on the pixels (Gatys et al. 2015, arXiv:1508.06576); ``instant`` is one pass of a
            network; ``hybrid`` refines what the network has painted, in fewer steps.
        callback: receives a :class:`Progress` after each step. If it returns True the run stops there.
        checkpoint: a file that keeps the state of the run, written every ten seconds or so and on Ctrl-C.
        resume: go on from ``checkpoint`` if it exists. The picture has the bytes of an undisturbed run.
        max_pixels: the most pixels that an image may have.
        **settings: the fields of :class:`impasto.settings.Settings`, of :class:`impasto.settings.InstantSettings` or
            of :class:`impasto.settings.HybridSettings`. Of the above, ``callback``, ``checkpoint`` and ``resume`` mean
            nothing to ``instant``, which takes no steps.

    Raises:
        ImpastoError: a setting or an image that cannot be used, or a loss that is not a number.

    Example:
        >>> painting = impasto.stylize("photo.jpg", "starry_night.jpg", size=512)  # doctest: +SKIP
        >>> painting.save("painting.png")  # doctest: +SKIP
    """
    if method not in METHODS:
        raise ImpastoError(f"--method: '{method}' is unknown; give refine, instant or hybrid")
    if method == "instant":
        from impasto.instant.paint import stylize_instant

        for name, value in (("callback", callback), ("checkpoint", checkpoint), ("resume", resume)):
            if value:
                raise ImpastoError(f"{name}: means nothing with --method instant, which takes no steps; leave it out")
        return stylize_instant(content, styles, settings, max_pixels=max_pixels)
    chosen = (HybridSettings if method == "hybrid" else Settings).check(settings)
    paintings = listed(styles)
    weights = chosen.weights(len(paintings))
    photograph = load_image(content, max_pixels=max_pixels, role="content")
    style_pictures = [load_image(style, max_pixels=max_pixels, role="style") for style in paintings]
    given = None
    if chosen.init not in ("content", "noise", "style"):
        given = load_image(chosen.init, max_pixels=max_pixels, role="init")

    device = resolve_device(chosen.device)
    precision = resolve_precision(chosen.precision, device)
    extractor = load_extractor(chosen.extractor, device=device, pooling=chosen.pooling)
    extractor.check_layers([*weights.content_layers, *weights.style_layers])
    height, width = photograph.tensor.shape[-2:]
    size = max(fit_size(height, width, chosen.size or 0, max_pixels))
    smallest = _smallest_scale(photograph, size, extractor, weights)
    notices = tuple(n for p in [photograph, *style_pictures, *([given] if given else [])] for n in p.notices)
    budget = None
    limit = _limit(chosen, device)
    if limit is not None:
        budget, style_pictures, given = _within(limit, photograph, style_pictures, given, size, extractor, weights)
    if budget is not None and chosen.max_memory is None:
        notices += (
            f"--size {size} takes more memory than this machine has at once: refined in tiles, "
            f"as with --max-memory {size_text(budget.total)}",
        )
    beginning = None
    if isinstance(chosen, HybridSettings):
        from impasto.instant.paint import Beginning, hybrid_plan

        beginning = Beginning(chosen, device)
        scales = hybrid_plan(size, chosen.steps, smallest)
    else:
        scales = plan(size, chosen.steps, smallest)
    count = sum(scale.steps for scale in scales)
    chosen = replace(
        chosen,
        size=size,
        steps=count,
        detail=chosen.resolved_detail(),
        device=device,
        precision=precision,
        extractor=extractor.name if chosen.extractor == "auto" else chosen.extractor,
        style_weights=tuple(weights.style_weights),
        content_layers=weights.content_layers,
        style_layers=weights.style_layers,
        max_memory=budget.total if budget else None,
    )
    recipe = Recipe(
        version=__version__,
        content=Input(photograph.name, photograph.sha256),
        styles=tuple(Input(picture.name, picture.sha256) for picture in style_pictures),
        init_image=Input(given.name, given.sha256) if given else None,
        settings=chosen.as_json(),
        extractor=extractor.name,
        extractor_sha256=extractor.sha256,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        model=beginning.model.input if beginning else None,
    )

    keep_freed_memory()
    content_image = photograph.tensor.to(device)
    palette = photograph.tensor
    if budget is not None and max(palette.shape[-2:]) > COLOR_SIZE:
        palette = fit(palette, COLOR_SIZE)
    style_images = [style_colors(p.tensor, palette, chosen.preserve_color).to(device) for p in style_pictures]
    del palette, style_pictures
    if beginning is None:
        start = _start(chosen, content_image, style_images, given)
    else:
        start = beginning.start(content_image, style_images, weights.style_weights)
    position = Position()

    def space_of(level: int) -> Space:
        return space_for(budget, *fit_size(height, width, scales[level].longest))

    if checkpoint is not None and resume and Path(checkpoint).is_file():
        position = read_checkpoint(Path(checkpoint), recipe.to_json(), device, space_of)
    lengths = [scale.longest for scale in scales for _ in range(scale.steps)]
    written = time.monotonic()

    def keep() -> None:
        if checkpoint is not None:
            write_checkpoint(Path(checkpoint), position, recipe.to_json())

    def record(index: int, image: Tensor | None = None) -> Progress:
        losses = position.losses[index]
        return Progress(
            index + 1, count, lengths[index], losses.content, losses.style, losses.total, position.times[index], image
        )

    def after_step(at: Position) -> bool:
        nonlocal written
        stop = False
        if callback is not None:
            assert at.state is not None
            stop = bool(callback(record(len(at.losses) - 1, at.state.image)))
        if time.monotonic() - written > CHECKPOINT_SECONDS:
            keep()
            written = time.monotonic()
        return stop

    try:
        image = descend(
            content_image,
            style_images,
            extractor,
            weights,
            scales,
            chosen.optimizer,
            start,
            detail=chosen.resolved_detail(),
            bf16=precision == "bf16",
            budget=budget,
            position=position,
            after_step=after_step,
        )
    except KeyboardInterrupt:
        keep()
        raise

    final = fit(photograph.tensor, size)
    image = image.detach().cpu()
    if image.shape != final.shape:  # Stopped before the last scale.
        image = resize(image, (final.shape[-2], final.shape[-1]))
    if chosen.preserve_color == "luminance":
        parts = zip(image.split(COLOR_ROWS, -2), final.split(COLOR_ROWS, -2), strict=True)
        image = torch.cat([preserve_color(*rows) for rows in parts], -2)
    alpha = None if photograph.alpha is None else resize(photograph.alpha, (final.shape[-2], final.shape[-1]))
    return Painting(
        tensor=image,
        alpha=alpha,
        losses=[record(index) for index in range(len(position.losses))],
        recipe=recipe,
        notices=notices,
        seconds=position.seconds,
    )


def _smallest_scale(photograph: Picture, size: int, extractor: Extractor, weights: Weights) -> int:
    """The shortest longest side at which the extractor still sees something of the photograph.

    Raises:
        ImpastoError: ``size`` is below it.
    """
    height, width = photograph.tensor.shape[-2:]
    side = extractor.smallest_side([*weights.content_layers, *weights.style_layers])
    # One pixel more than needed, so that no rounding of the shorter side falls below.
    smallest = -(-(side + 1) * max(height, width) // min(height, width))
    if size < smallest:
        name = photograph.name or "content"
        raise ImpastoError(
            f"{name}: {width} × {height} px leaves the shorter side under {side} px at --size {size}; "
            f"give --size {smallest} or more"
        )
    return smallest


def _limit(settings: Settings, device: str) -> int | None:
    """The bytes that a run may take.

    From the memory that the machine has, not from what is free at the moment: a run that is resumed has to be cut into
    the same tiles.
    """
    if settings.max_memory is not None:
        return read_size(settings.max_memory)
    memory = machine_memory() if device == "cpu" else None
    return None if memory is None else int(MEMORY * memory)


def _within(
    total: int,
    photograph: Picture,
    styles: list[Picture],
    given: Picture | None,
    size: int,
    extractor: Extractor,
    weights: Weights,
) -> tuple[Budget | None, list[Picture], Picture | None]:
    """The budget of a run whose memory is limited, with paintings no larger than it needs them.

    No budget, and everything as it was, where the whole run stays within the limit without tiles.

    Raises:
        ImpastoError: the limit is too low.
    """
    layers = [*weights.content_layers, *weights.style_layers]
    own = (photograph.tensor.shape[-2], photograph.tensor.shape[-1])
    height, width = fit_size(*own, size)

    def budget() -> Budget:
        pictures = [photograph, *styles, *([given] if given else [])]
        planes = [picture.tensor for picture in pictures] + [p.alpha for p in pictures if p.alpha is not None]
        held = sum(plane.numel() * plane.element_size() for plane in planes)
        breadth = max(min(style.tensor.shape[-2:]) / max(style.tensor.shape[-2:]) for style in styles)
        return Budget(total, extractor, layers, held, breadth, own)

    if budget().whole(height, width):
        return None, styles, given
    side = extractor.smallest_side(layers)
    styles = [
        replace(style, tensor=fit_style(style.tensor, size, side)) if max(style.tensor.shape[-2:]) > size else style
        for style in styles
    ]
    if given is not None and max(given.tensor.shape[-2:]) > size:
        given = replace(given, tensor=fit(given.tensor, size))
    limited = budget()
    limited.tiling(height, width)
    return limited, styles, given


def style_colors(style: Tensor, content: Tensor, mode: str) -> Tensor:
    """Gatys et al. 2016 (arXiv:1606.05897): what happens to the painting's colors before the run."""
    if mode == "histogram":
        return match_color(style, content)
    if mode == "luminance":
        return match_luminance(style, content)
    return style


def _start(
    chosen: Settings, content: Tensor, styles: Sequence[Tensor], given: Picture | None
) -> Callable[[tuple[int, int]], Tensor]:
    """What the run begins with."""

    def noise(size: tuple[int, int]) -> Tensor:
        generator = torch.Generator().manual_seed(chosen.seed)
        return torch.rand((1, 3, *size), generator=generator).to(content.device)

    if given is not None:
        return lambda size: given.tensor.to(content.device)
    if chosen.init == "noise":
        return noise
    if chosen.init == "style":
        return lambda size: styles[0]
    return lambda size: content
