"""The one call: a photograph and paintings in, a painting out. Prepare, paint, finish, the same for every method."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto import __version__
from impasto.color import luminance, match_color, match_luminance, preserve_color
from impasto.errors import ImpastoError
from impasto.features import load_extractor
from impasto.features.extractor import Extractor
from impasto.files.atomic import claimed
from impasto.forks import forked
from impasto.images import Picture, Source, fit_size, listed, load_image, resize
from impasto.instant.models import Model, find_model, load_painter
from impasto.instant.passes import Painter, blend, encode, one_pass
from impasto.job import Event, Notice, Planned, Progress
from impasto.machine import freed_memory_kept, own_torch, resolve_device, resolve_precision
from impasto.networks.layers import MULTIPLE
from impasto.painting import Painting
from impasto.recipe import Input, Recipe
from impasto.refine.budget import Budget, limited, memory_limit, space_for
from impasto.refine.checkpoint import Position, read_checkpoint, write_checkpoint
from impasto.refine.descend import descend
from impasto.refine.pyramid import Scale, fit, fit_style, hybrid_plan, plan
from impasto.refine.space import Space
from impasto.settings import Settings, size_text

CHECKPOINT_SECONDS = 10.0
#: Where memory is limited, colors are taken from a copy of the photograph no larger than this.
COLOR_SIZE = 2048
#: Rows colored at a time.
COLOR_ROWS = 256

NO_VGG19 = (
    "VGG-19's weights are not on this machine, so the compact extractor paints; 'impasto weights get vgg19' gets them"
)
FORKED = "this process is the child of a fork, where torch's threads are gone: computing with one thread"


def stylize(
    content: Source,
    styles: Source | Sequence[Source],
    *,
    callback: Callable[[Progress], bool | None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **settings: Any,
) -> Painting:
    """Paint a photograph in the style of one painting or several.

    Args:
        content: the photograph: a path, ``gallery:NAME``, the bytes of a file or an open one, a PIL image, a tensor
            (3, H, W) or (1, 3, H, W) in [0, 1], or an array (H, W, 3).
        styles: a painting, or a sequence of them.
        callback: receives a :class:`Progress` after each step. If it returns True the run stops there.
        checkpoint: a file that keeps the state of the run, written every ten seconds or so and on Ctrl-C. It is one
            run's at a time.
        resume: go on from ``checkpoint`` if it exists. The picture has the bytes of an undisturbed run.
        **settings: the fields of :class:`impasto.settings.Settings`: ``method`` is ``refine``, gradient descent on the
            pixels (Gatys et al. 2015, arXiv:1508.06576), ``instant``, one pass of a network, or ``hybrid``. ``init``
            may also be a picture. ``callback``, ``checkpoint`` and ``resume`` mean nothing to ``instant``.

    Raises:
        ImpastoError: a setting or an image that cannot be used, or a loss that is not a number.

    Example:
        >>> painting = impasto.stylize("photo.jpg", "starry_night.jpg", size=512)  # doctest: +SKIP
        >>> painting.save("painting.png")  # doctest: +SKIP
    """
    init = settings.pop("init", None)
    picture = None if isinstance(init, str | os.PathLike) else init
    if init is not None:
        settings["init"] = init if picture is None else "picture"
    chosen = Settings.check(settings)
    if chosen.method == "instant":
        for name, value in (("callback", callback), ("checkpoint", checkpoint), ("resume", resume)):
            if value:
                raise ImpastoError("means nothing with `method=instant`, which takes no steps; leave it out", name)

    def report(event: Event) -> bool | None:
        return callback(event) if callback is not None and isinstance(event, Progress) else None

    with nullcontext() if checkpoint is None else claimed(checkpoint):
        if checkpoint is not None and not resume and Path(checkpoint).exists():
            mend = "add `resume` to go on, or remove it to begin anew"
            raise ImpastoError(f"{checkpoint} is there from a run cut short; {mend}")
        return paint(content, styles, chosen, init=picture, report=report, checkpoint=checkpoint, resume=resume)


def paint(
    content: Source,
    styles: Source | Sequence[Source],
    settings: Settings,
    *,
    init: Source | None = None,
    report: Callable[[Event], bool | None] = lambda event: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Painting:
    """:func:`stylize` with settings that are checked, reporting every event; ``report`` may return True to stop."""
    with own_torch(settings.threads):
        run = prepare(content, styles, settings, init)
        known = list(run.notices)
        for text in known:
            report(Notice(text))
        image = run.paint(report, None if checkpoint is None else Path(checkpoint), resume)
        for text in run.notices[len(known) :]:  # One pass reads its paintings one by one.
            report(Notice(text))
        return finish(run, image)


def prepare(content: Source, styles: Source | Sequence[Source], settings: Settings, init: Source | None) -> Run:
    """Read the inputs, and work out everything that the picture depends on.

    Raises:
        ImpastoError: a setting or an image that cannot be used.
    """
    paintings = listed(styles)
    shares = settings.shares(len(paintings))
    model = None if settings.method == "refine" else find_model(settings.model, _known_style(paintings, settings))
    photograph = load_image(content, max_pixels=settings.max_pixels, role="content")
    height, width = photograph.tensor.shape[-2:]
    size = max(fit_size(height, width, settings.size, settings.max_pixels))
    resolved = replace(settings, size=size, style_weights=shares)
    kind = OnePass if settings.method == "instant" else Refinement
    run = kind(resolved, photograph, paintings, model)
    if forked():
        run.notices.append(FORKED)
    run.prepare(init)
    return run


def finish(run: Run, image: Tensor) -> Painting:
    """The painting: at its size, in its colors, with its recipe."""
    photograph = fit(run.photograph.tensor, run.settings.size)
    size = photograph.shape[-2], photograph.shape[-1]
    image = resize(image.detach().cpu(), size)  # Smaller where it was stopped before the last scale.
    if run.gray:
        image = luminance(image).expand_as(image)
    elif run.settings.preserve_color == "luminance":
        parts = zip(image.split(COLOR_ROWS, -2), photograph.split(COLOR_ROWS, -2), strict=True)
        image = torch.cat([preserve_color(*rows) for rows in parts], -2)
    alpha = None if run.photograph.alpha is None else resize(run.photograph.alpha, size)
    return Painting(image, alpha, run.losses, run.recipe(), tuple(run.notices), run.seconds, run.photograph.credit)


@dataclass
class _Run:
    """What a run of any method knows: made by :func:`prepare`, used up by its ``paint``.

    Attributes:
        settings: with nothing left that is automatic.
        photograph: as it was read.
        styles: the paintings.
        model: the network, if one has a part in it.
        read: name and hash of every painting that has been read.
        notices: plain lines worth telling.
        losses: a record for each step of a refinement.
        seconds: spent so far.
        gray: whether photograph and paintings have no colors; then the picture gets none.
    """

    settings: Settings
    photograph: Picture
    styles: list[Source]
    model: Model | None
    read: list[Input] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    losses: list[Progress] = field(default_factory=list)
    seconds: float = 0.0
    gray: bool = False

    def _paintings(self) -> Iterator[Picture]:
        """Read the paintings, one after the other."""
        self.notices += self.photograph.notices
        self.gray = self.photograph.gray
        for source in self.styles:
            picture = load_image(source, max_pixels=self.settings.max_pixels, role="style")
            self.gray &= picture.gray
            self.read.append(_input(picture))
            self.notices += picture.notices
            yield picture

    def _recipe(self, extractor: Extractor | None, given: Picture | None) -> Recipe:
        return Recipe(
            version=__version__,
            content=_input(self.photograph),
            styles=tuple(self.read),
            init_image=None if given is None else _input(given),
            settings=self.settings.as_json(),
            extractor=None if extractor is None else extractor.name,
            extractor_sha256=None if extractor is None else extractor.sha256,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            model=None if self.model is None else self.model.input,
        )


@dataclass
class OnePass(_Run):
    """Paints in one pass of a network."""

    painter: Painter = field(init=False)

    def prepare(self, init: Source | None) -> None:
        """Load the network."""
        assert self.model is not None
        self.began = time.monotonic()
        self.painter, device = load_painter(self.model, self.settings.runtime, self.settings.device)
        self.settings = replace(self.settings, device=device)

    def paint(self, report: Callable[[Event], bool | None], checkpoint: Path | None, resume: bool) -> Tensor:
        """Paint, reading one painting after the other and keeping the photograph at one size only."""
        size, colors = self.settings.size, self.settings.preserve_color
        codes, planes = [], self.photograph.planes
        for picture in self._paintings():
            colored = style_colors(picture.planes, planes, colors)
            codes.append(encode(self.painter, fit_style(colored, size, MULTIPLE)))
            del picture, colored
        self.photograph = self.photograph.with_planes(fit(planes, size))
        del planes

        def after_tile(done: int, tiles: int) -> None:
            if done == 1:
                report(Planned(((size, tiles),)))
            report(Progress(done, tiles, size, {}, 0.0, time.monotonic() - self.began))

        style = blend(codes, self.settings.shares(len(codes)))
        seed, strength = self.settings.seed, self.settings.strength
        image = one_pass(self.painter, self.photograph.planes, style, strength, seed=seed, after_tile=after_tile)
        self.seconds = time.monotonic() - self.began
        return image

    def recipe(self) -> Recipe:
        """How to make the picture again."""
        return self._recipe(None, None)


@dataclass
class Refinement(_Run):
    """Descends on the pixels, from the photograph, from noise, from any picture, or from what a network painted."""

    extractor: Extractor = field(init=False)
    scales: tuple[Scale, ...] = ()
    budget: Budget | None = None
    pictures: list[Picture] = field(default_factory=list)
    given: Picture | None = None

    def prepare(self, init: Source | None) -> None:
        """Load the extractor, read the pictures, plan the scales and keep within the memory."""
        chosen = self.settings
        device = resolve_device(chosen.device)
        self.extractor = load_extractor(chosen.extractor, device=device, pooling=chosen.pooling)
        layers = [*chosen.layers_of_content, *chosen.layers_of_style]
        self.extractor.check_layers(layers)
        if chosen.extractor == "auto" and self.extractor.name == "compact":
            self.notices.append(NO_VGG19)
        smallest = self._smallest_scale(layers)
        self.pictures = list(self._paintings())
        if init is None and chosen.init not in ("content", "noise", "style"):
            init = chosen.init
        if init is not None:
            self.given = load_image(init, max_pixels=chosen.max_pixels, role="init")
            self.notices += self.given.notices
        self._limit(device, layers)
        planned = hybrid_plan if chosen.method == "hybrid" else plan
        self.scales = planned(chosen.size, chosen.steps, smallest)
        self.settings = replace(
            chosen,
            steps=sum(scale.steps for scale in self.scales),
            detail=chosen.resolved_detail,
            device=device,
            precision=resolve_precision(chosen.precision, device),
            extractor=self.extractor.name if chosen.extractor == "auto" else chosen.extractor,
            content_layers=chosen.layers_of_content,
            style_layers=chosen.layers_of_style,
            max_memory=self.budget.total if self.budget else None,
        )

    def paint(self, report: Callable[[Event], bool | None], checkpoint: Path | None, resume: bool) -> Tensor:
        """Descend through the scales; ``report`` may return True to stop."""
        recipe, device = self.recipe().to_json(), self.settings.device
        palette = self.photograph.planes
        content = palette.to(device)
        if self.budget is not None and max(palette.shape[-2:]) > COLOR_SIZE:
            palette = fit(palette, COLOR_SIZE)
        colors = self.settings.preserve_color
        styles = [style_colors(picture.planes, palette, colors).to(device) for picture in self.pictures]
        del palette
        self.pictures.clear()
        position = Position()
        if checkpoint is not None and resume and checkpoint.is_file():
            position = read_checkpoint(checkpoint, recipe, device, partial(self._space, content))
            self._check_position(checkpoint, position, content)
        report(Planned(tuple((scale.longest, scale.steps) for scale in self.scales)))
        written = time.monotonic()

        def keep() -> None:
            nonlocal written
            try:
                if checkpoint is not None:
                    write_checkpoint(checkpoint, position, recipe)
            except ImpastoError as error:  # There may be room for the picture.
                report(Notice(f"no checkpoint is kept: {error}"))
            written = time.monotonic()

        def after_step(at: Position) -> bool:
            assert at.state is not None
            stop = report(self._record(at, len(at.losses) - 1, at.state.image))
            if time.monotonic() - written > CHECKPOINT_SECONDS:
                keep()
            return bool(stop)

        start = self._start(content, styles)
        try:
            descent = partial(descend, budget=self.budget, position=position, after_step=after_step, gray=self.gray)
            with freed_memory_kept():
                image = descent(content, styles, self.extractor, self.settings, self.scales, start)
        except KeyboardInterrupt:
            keep()
            raise
        self.losses = [self._record(position, index) for index in range(len(position.losses))]
        self.seconds = position.seconds
        return image

    def recipe(self) -> Recipe:
        """How to make the picture again, as far as it was painted."""
        done, steps = len(self.losses), sum(scale.steps for scale in self.scales)
        return replace(self._recipe(self.extractor, self.given), stopped=done if 0 < done < steps else None)

    def _smallest_scale(self, layers: Sequence[str]) -> int:
        """The shortest longest side at which the extractor still sees something of the photograph.

        Raises:
            ImpastoError: ``size`` is below it.
        """
        height, width = self.photograph.tensor.shape[-2:]
        side, size = self.extractor.smallest_side(layers), self.settings.size
        # One pixel more than needed, so that no rounding of the shorter side falls below.
        smallest = -(-(side + 1) * max(height, width) // min(height, width))
        if size < smallest:
            name = self.photograph.name or "content"
            raise ImpastoError(
                f"{name}: {width} × {height} px leaves the shorter side under {side} px at `size={size}`; "
                f"give {smallest} or more"
            )
        return smallest

    def _limit(self, device: str, layers: Sequence[str]) -> None:
        """Keep the run within its memory: a budget, and pictures no larger than it needs them."""
        size, total = self.settings.size, memory_limit(self.settings.max_memory, device)
        if total is None:
            return
        budget = Budget(total, self.extractor, layers)
        self.budget, self.pictures, self.given = limited(budget, size, self.photograph, self.pictures, self.given)
        if self.budget is not None and self.settings.max_memory is None:
            self.notices.append(
                f"{size} pixels take more memory than this machine has at once: refined in tiles, "
                f"as with a limit of {size_text(self.budget.total)}"
            )

    def _space(self, content: Tensor, level: int) -> Space:
        height, width = content.shape[-2:]
        return space_for(self.budget, *fit_size(height, width, self.scales[level].longest))

    def _check_position(self, checkpoint: Path, position: Position, content: Tensor) -> None:
        """Refuse a position that is none of this run: its digest may be that of a file that somebody made."""
        level, step, state, done = position.level, position.step, position.state, len(position.losses)
        height, width = content.shape[-2:]
        size = fit_size(height, width, self.scales[level].longest)
        steps = [scale.steps for scale in self.scales]
        right = state is not None and state.image.shape == (1, 3, *size) and 0 <= step <= steps[level]
        if not right or level < 0 or done != sum(steps[:level]) + step:
            raise ImpastoError(f"{checkpoint}: a damaged checkpoint; remove it to begin anew")

    def _record(self, position: Position, index: int, image: Tensor | None = None) -> Progress:
        lengths = [scale.longest for scale in self.scales for _ in range(scale.steps)]
        losses = position.losses[index]
        return Progress(
            index + 1, len(lengths), lengths[index], losses.terms, losses.total, position.times[index], image
        )

    def _start(self, content: Tensor, styles: Sequence[Tensor]) -> Callable[[tuple[int, int]], Tensor]:
        """What gives the first picture (1, 3, h, w), of about the size (h, w)."""
        chosen, given = self.settings, self.given

        def noise(size: tuple[int, int]) -> Tensor:
            generator = torch.Generator().manual_seed(chosen.seed)
            return torch.rand((1, 3, *size), generator=generator).to(content.device)

        if self.model is not None:
            return self._network_start(self.model, content, styles)
        if given is not None:
            return lambda size: given.tensor.to(content.device)
        if chosen.init == "noise":
            return noise
        return lambda size: (styles[0] if chosen.init == "style" else content)[:, :3]

    def _network_start(
        self, model: Model, content: Tensor, styles: Sequence[Tensor]
    ) -> Callable[[tuple[int, int]], Tensor]:
        """What a network paints at that size."""
        chosen = self.settings
        painter, _ = load_painter(model, chosen.runtime, "cpu" if chosen.runtime == "onnx" else chosen.device)

        def painted(size: tuple[int, int]) -> Tensor:
            codes = [encode(painter, fit_style(style.cpu(), max(size), MULTIPLE)) for style in styles]
            style, small = blend(codes, chosen.shares(len(codes))), resize(content.cpu(), size)
            return one_pass(painter, small, style, chosen.strength, seed=chosen.seed).to(content.device)

        return painted


Run = OnePass | Refinement


def style_colors(style: Tensor, content: Tensor, mode: str) -> Tensor:
    """Gatys et al. 2016 (arXiv:1606.05897): what happens to the painting's colors before the run."""
    if mode == "histogram":
        return match_color(style, content)
    if mode == "luminance":
        return match_luminance(style, content)
    return style


def _known_style(styles: Sequence[Source], settings: Settings) -> str | os.PathLike[str] | None:
    """The painting for which the package may have a network of its own: one that is a file, in its own colors."""
    alone = styles[0] if len(styles) == 1 and settings.method == "instant" else None
    return alone if isinstance(alone, str | os.PathLike) and settings.preserve_color == "none" else None


def _input(picture: Picture) -> Input:
    return Input(picture.name, picture.sha256)
