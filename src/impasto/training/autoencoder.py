"""Train a network that paints in one pass.

Read from top to bottom: configuration, data, one step, the loop, the file. The metric is that of the refinement:
``total = λ · content + style``, with the discriminator's β-weighted term for the adversarial network. Every row of a
batch is a pair of its own, a content and a style. Targets are worked out once for every crop; the styles then move on
by one row, so that the same crops make other pairs.
"""

from __future__ import annotations

import copy
import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features.extractor import CONTENT_LAYER, STYLE_LAYERS, Extractor
from impasto.files.atomic import write_atomically
from impasto.files.state import write_state
from impasto.losses import content_loss, gram_matrix, style_loss, total_loss
from impasto.machine import keep_freed_memory
from impasto.networks.autoencoder import AutoEncoder, grain_corner
from impasto.networks.discriminator import Critic, critic_loss, painter_loss
from impasto.training.data import crops, list_images, read_images
from impasto.training.devices import check_shares, start_fabric
from impasto.training.evaluation import Scores, evaluate, validation_pairs
from impasto.training.journal import Journal

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Step", "TrainConfig", "critic_path", "list_pictures", "train"]

#: Of the final evaluation and of the sheets.
JUDGED_PAIRS, JUDGED_SIDE = 40, 256
SHEET_PAIRS = 6


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines the outcome, next to images, extractor and the network to start from."""

    residual: bool = False
    adversarial: bool = False
    content_weight: float = 1e-3  # λ
    adversarial_weight: float = 1e-1  # β
    steps: int = 6000
    batch: int = 8
    side: int = 128  # pixels
    learning_rate: float = 6e-3  # at its highest
    critic_learning_rate: float = 4e-4
    pairings: int = 2  # steps that the same crops serve
    clip: float = 1.0  # norm of the gradient
    average: float = 0.998  # how long the shipped weights remember, at the end
    precision: str = "fp32"
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """One step, for a progress bar.

    Attributes:
        step: 1-based.
        steps: of the whole run.
        losses: ``content``, ``style``, ``total`` and, of an adversarial network, ``discriminator`` and ``critic``.
        seconds: since the beginning, the time before a resumption included.
    """

    step: int
    steps: int
    losses: dict[str, float]
    seconds: float


def list_pictures(folder: Path, split: str, option: str) -> list[Path]:
    """The images below ``folder`` that belong to ``split``; a ``manifest.csv`` in it, or beside it, decides which.

    Raises:
        ImpastoError: there are none; ``option`` is the one that named the folder.
    """
    beside = not (folder / "manifest.csv").is_file() and (folder.parent / "manifest.csv").is_file()
    try:
        paths = list_images(folder.parent if beside else folder, split)
    except ImpastoError:
        paths = []
    if beside:
        paths = [path for path in paths if folder in path.parents]
    if not paths:
        raise ImpastoError(
            f"{option}: {folder} has no {split} images; name a folder with at least 20 JPEG or PNG files"
        )
    return paths


def rate(step: int, steps: int) -> float:
    """The share of the highest learning rate at ``step`` (0-based): up in a line, down along a cosine."""
    warm_up = max(1, min(200, steps // 20))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


@dataclass
class Batch:
    """Crops and what the extractor sees in them; row i of the styles belongs to row i of the contents.

    Attributes:
        contents: (B, 3, side, side) in [0, 1].
        styles: the same.
        features: of the contents at relu4_2.
        grams: of the styles, by layer.
        content_grams: of the contents, by layer.
        corner: where the grain begins, for all of them.
    """

    contents: Tensor
    styles: Tensor
    features: Tensor
    grams: dict[str, Tensor]
    content_grams: dict[str, Tensor]
    corner: tuple[int, int] = (0, 0)

    def turned(self) -> Batch:
        """Every content with the next row's style."""
        grams = {layer: gram.roll(-1, 0) for layer, gram in self.grams.items()}
        return replace(self, styles=self.styles.roll(-1, 0), grams=grams)


def draw_batches(
    config: TrainConfig, contents: list[Tensor], styles: list[Tensor], extractor: Extractor, fabric: Fabric, first: int
) -> Iterator[Batch]:
    """The batches of every step from ``first`` on; this process's rows of them, where there are several."""
    rows = slice(fabric.global_rank, None, fabric.world_size)
    generator = torch.Generator()
    batch = None
    for step in range(first - first % config.pairings, config.steps):
        # A generator for each step makes a resumed run see what an undisturbed one would have seen.
        generator.manual_seed(config.seed * 1_000_003 + step + 1)
        if batch is None or step % config.pairings == 0:
            drawn = [crops(images, config.batch, config.side, generator) for images in (contents, styles)]
            content, style = (images[rows].to(fabric.device) for images in drawn)
            with torch.no_grad():
                with fabric.autocast():
                    own = extractor(content, [CONTENT_LAYER, *STYLE_LAYERS])
                    theirs = extractor(style, STYLE_LAYERS)
                batch = Batch(content, style, own[CONTENT_LAYER].float(), find_grams(theirs), find_grams(own))
        else:
            batch = batch.turned()
        if step >= first:
            yield replace(batch, corner=grain_corner(int(torch.randint(2**31, (), generator=generator))))


def find_grams(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The Gram matrices of the style layers, in float32."""
    return {layer: gram_matrix(maps[layer].float()) for layer in STYLE_LAYERS}


def measure_output(maps: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """Content and style loss (relative, the mean over the pairs) of an output, from what the extractor sees in it.

    A style that hardly has any energy, a night scene, would count thousands of times in the mean. Where even the
    untouched content is farther off than an empty picture, the loss is therefore the share that is left of its own.
    """
    style = []
    for layer, gram in find_grams(maps).items():
        target = batch.grams[layer]
        untouched = pair_losses(batch.content_grams[layer], target)
        style.append((pair_losses(gram, target) / untouched.clamp_min(1)).mean())
    return content_loss(maps[CONTENT_LAYER].float(), batch.features), torch.stack(style).mean()


def pair_losses(grams: Tensor, targets: Tensor) -> Tensor:
    """The relative style loss of every pair, (B,)."""
    losses: Tensor = torch.vmap(style_loss)(grams[:, None], targets[:, None])
    return losses


def train(
    config: TrainConfig,
    content: Path,
    style: Path,
    extractor: Extractor,
    out: Path,
    *,
    judge: Extractor | None = None,
    devices: int = 1,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 120.0,
    start_from: Path | None = None,
    journal: Path | None = None,
    sheet_every: int = 250,
    callback: Callable[[Step], bool | None] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Scores:
    """Train, write ``out`` (and the critic beside it) and return the scores on pairs of the validation split.

    Args:
        config: the settings.
        content: folder of photographs, see :func:`list_pictures`.
        style: folder of paintings.
        extractor: in the loss.
        out: the fp16 safetensors file to write, for :meth:`impasto.networks.autoencoder.AutoEncoder.from_file`.
        judge: the extractor of the final scores; the one of the loss if None.
        devices: how many processes share a batch; on a CPU they share its cores, too.
        device: ``cpu``, ``cuda`` or ``mps``.
        checkpoint: file that is written every ``checkpoint_seconds``, and continued from if it exists.
        checkpoint_seconds: see there.
        start_from: a file that an earlier training wrote, with the same ``residual``; its critic is used if it is
            there.
        journal: folder for TensorBoard files and sheets.
        sheet_every: steps between two sheets.
        callback: receives a :class:`Step` after each step; returning True stops the run.
        log: receives a line now and then.

    Raises:
        ImpastoError: no images, a checkpoint of other settings, or a loss that is not a number.
    """
    check_shares(config.batch, devices, "pairs")
    listed = [
        list_pictures(folder, split, option)
        for split in ("train", "validation")
        for folder, option in ((content, "--content"), (style, "--style"))
    ]
    keep_freed_memory()
    fabric = start_fabric(devices, device, config.precision)
    leads = fabric.is_global_zero

    # Data: read once, cropped anew at every draw.
    contents, styles, held_contents, held_styles = (read_images(paths) for paths in listed)
    if leads:
        log(
            f"{len(contents)} photographs and {len(styles)} paintings; "
            f"{len(held_contents)} and {len(held_styles)} are held out"
        )

    # Networks: what trains, its running average, which is what ships, and the critic.
    torch.manual_seed(config.seed)
    network, critic = AutoEncoder(residual=config.residual), Critic()
    if start_from is not None:
        read_start(start_from, network, critic)
    average = copy.deepcopy(network).eval().requires_grad_(False).to(fabric.device)
    extractor.to(fabric.device)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.9, 0.99))
    painter, painter_optimizer = fabric.setup(network, optimizer)
    if config.adversarial:
        critic_optimizer = torch.optim.Adam(critic.parameters(), config.critic_learning_rate, betas=(0.5, 0.99))
        spectator, spectator_optimizer = fabric.setup(critic, critic_optimizer)

    settings = {**asdict(config), "extractor": extractor.sha256}
    kept: dict[str, Any] = {"network": network, "average": average, "optimizer": optimizer}
    if config.adversarial:
        kept |= {"critic": critic, "critic_optimizer": critic_optimizer}
    first, seconds = 0, 0.0
    if checkpoint is not None and checkpoint.is_file():
        first, seconds = read_checkpoint(checkpoint, settings, kept)
        if leads:
            log(f"continuing after step {first}")
    started = time.monotonic() - seconds
    saved = time.monotonic()

    smallest = extractor.smallest_side([CONTENT_LAYER, *STYLE_LAYERS])
    shown = [
        (one.to(fabric.device), two.to(fabric.device))
        for one, two in validation_pairs(held_contents, held_styles, SHEET_PAIRS, JUDGED_SIDE, smallest)
    ]
    book = Journal(journal if leads else None, first)

    done = first
    painter.train()
    for step, batch in enumerate(draw_batches(config, contents, styles, extractor, fabric, first), start=first):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate(step, config.steps)

        output = painter(batch.contents, batch.styles, corner=batch.corner)
        losses: dict[str, Tensor] = {}
        if config.adversarial:
            # The critic first: it says which are paintings, and learns.
            for group in critic_optimizer.param_groups:
                group["lr"] = config.critic_learning_rate * rate(step, config.steps)
            real, painted = spectator(torch.cat([batch.styles, output.detach()])).float().chunk(2)
            losses["critic"] = critic_loss(real, painted)
            spectator_optimizer.zero_grad()
            fabric.backward(losses["critic"])
            spectator_optimizer.step()

        with fabric.autocast():
            maps = extractor(output, [CONTENT_LAYER, *STYLE_LAYERS])
        losses["content"], losses["style"] = measure_output(maps, batch)
        total = total_loss(losses["content"], losses["style"], config.content_weight)
        if config.adversarial and config.adversarial_weight:
            critic.requires_grad_(False)
            with fabric.autocast():
                losses["discriminator"] = painter_loss(critic(output).float())
            critic.requires_grad_(True)
            total = total + config.adversarial_weight * losses["discriminator"]
        losses["total"] = total
        painter_optimizer.zero_grad()
        fabric.backward(total)
        norm = fabric.clip_gradients(painter, painter_optimizer, max_norm=config.clip, error_if_nonfinite=False)
        # One exchange between the processes and one wait for the device, for all of them.
        values = cast(Tensor, fabric.all_reduce(torch.stack([loss.detach() for loss in losses.values()])))
        said = dict(zip(losses, values.tolist(), strict=True))
        if not math.isfinite(said["total"]) or not math.isfinite(float(cast(Tensor, norm))):
            raise ImpastoError(f"step {step + 1}: the loss is not a number; lower --learning-rate")
        painter_optimizer.step()
        # A short memory at first, so that the average does not drag the untrained weights along.
        memory = min(config.average, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - memory)

        done, now = step + 1, time.monotonic()
        stop = False
        if leads:
            book.scalars(done, {**said, "rate": rate(step, config.steps)})
            if done % sheet_every == 0 or done == config.steps:
                book.picture(done, average, shown)
            stop = bool(callback and callback(Step(done, config.steps, said, now - started)))
            if checkpoint is not None and now - saved > checkpoint_seconds:
                write_checkpoint(checkpoint, settings, kept, done, now - started)
                saved = now
        if fabric.broadcast(stop):
            break
    book.close()

    scores: Scores | None = None
    if leads:
        if checkpoint is not None:
            write_checkpoint(checkpoint, settings, kept, done, time.monotonic() - started)
        scores = finish(config, out, average, critic, held_contents, held_styles, extractor, judge or extractor, log)
    fabric.barrier()
    return cast(Scores, fabric.broadcast(scores))


def finish(
    config: TrainConfig,
    out: Path,
    average: AutoEncoder,
    critic: Critic,
    held_contents: list[Tensor],
    held_styles: list[Tensor],
    extractor: Extractor,
    judge: Extractor,
    log: Callable[[str], None],
) -> Scores:
    """Judge the network as it ships, rounded to fp16, and write it with its scores; the critic beside it."""
    log(f"judging {JUDGED_PAIRS} pairs of {JUDGED_SIDE} px")
    device = next(average.parameters()).device
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.copy_(parameter.half())
    smallest = judge.smallest_side([CONTENT_LAYER, *STYLE_LAYERS])
    pairs = validation_pairs(held_contents, held_styles, JUDGED_PAIRS, JUDGED_SIDE, smallest)
    pairs = [(content.to(device), style.to(device)) for content, style in pairs]
    scores = evaluate(average, pairs, judge.to(device), critic if config.adversarial else None)
    card: dict[str, Any] = {
        "config": asdict(config),
        "extractor": extractor.name,
        "scores": {
            "judge": scores.extractor,
            "pairs": len(pairs),
            "style_share": round(scores.style_share, 4),
            "content_error": round(scores.content_error, 4),
        },
    }
    if scores.critic is not None:
        card["scores"]["critic_accuracy"] = round(scores.critic.total, 4)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in critic.state_dict().items()}
        write_atomically(critic_path(out), save(tensors))
    average.to_file(out, card)
    return scores


def critic_path(out: Path) -> Path:
    """Where the critic of the network ``out`` is kept, for a training that starts from it."""
    return out.with_suffix(".critic.safetensors")


def read_start(path: Path, network: AutoEncoder, critic: Critic) -> None:
    """Begin with the weights of an earlier training.

    Raises:
        ImpastoError: it was of another kind of network, or cannot be read.
    """
    start = AutoEncoder.from_file(path)
    if start.settings != network.settings:
        kind = "a residual" if start.residual else "a plain"
        raise ImpastoError(f"--start-from: {path} holds {kind} network; train the same kind, or start from nothing")
    network.load_state_dict(start.state_dict())
    if critic_path(path).is_file():
        try:
            critic.load_state_dict(load_file(critic_path(path)))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ImpastoError(
                f"{critic_path(path)}: cannot be read as a critic; remove it to begin with none"
            ) from error


def write_checkpoint(path: Path, settings: dict[str, Any], kept: Mapping[str, Any], step: int, seconds: float) -> None:
    """Everything that a resumed run needs to end in the same bytes."""
    state = {name: thing.state_dict() for name, thing in kept.items()}
    write_state(path, {"settings": settings, "step": step, "seconds": seconds, **state})


def read_checkpoint(path: Path, settings: dict[str, Any], kept: Mapping[str, Any]) -> tuple[int, float]:
    """Fill ``kept`` from the file; returns the steps done and the seconds they took.

    Raises:
        ImpastoError: it was made with other settings, or cannot be read.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        if state["settings"] != settings:
            raise ImpastoError(
                f"{path}: made with other settings or another extractor; remove it or train with the same"
            )
        for name, thing in kept.items():
            thing.load_state_dict(state[name])
        return state["step"], state["seconds"]
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error
