"""Train a network that paints in one pass.

The loss is that of the refinement, ``λ · content + style``, plus ``β · discriminator`` for the adversarial network.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from impasto.configs import AutoencoderConfig
from impasto.course import Course
from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.files.atomic import write_atomically
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import total_loss
from impasto.machine import own_torch
from impasto.networks.autoencoder import AutoEncoder
from impasto.networks.discriminator import Critic, critic_loss, painter_loss
from impasto.networks.learning import running_mean
from impasto.training.batches import Batch, draw_batches, measure_output
from impasto.training.data import list_images, read_images
from impasto.training.devices import start
from impasto.training.evaluation import Scores, evaluate, validation_pairs
from impasto.training.journal import Journal

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LAYERS = [CONTENT_LAYER, *STYLE_LAYERS]
SHEET_PAIRS = 6  # at most


@own_torch()
def train(
    config: AutoencoderConfig,
    content: Path,
    style: Path,
    extractor: Extractor,
    out: Path,
    *,
    judge: Extractor | None = None,
    devices: int = 1,
    device: str = "cpu",
    start_from: Path | None = None,
    journal: Path | None = None,
    sheet_every: int = 250,
    course: Course | None = None,
) -> Scores:
    """Train, write ``out`` (and the critic beside it) and return the scores on pairs of the validation split.

    ``content`` and ``style`` are folders, see :func:`impasto.training.data.list_images`; ``extractor`` is in the loss,
    and ``judge`` (default: the same) gives the scores. On a CPU, ``devices`` processes share its cores. The file
    ``start_from`` is of a training with the same ``residual``; the critic beside it is used if it is there. Into the
    folder ``journal`` go TensorBoard files and, every ``sheet_every`` steps, a sheet.

    Raises:
        ImpastoError: no images, a checkpoint of other settings, or a loss that is not a number.
    """
    folders = {"content": content, "style": style}
    listed = [list_images(folders[name], split, name) for split in ("train", "validation") for name in folders]
    course = course or Course()
    fabric, config = start(config, devices, device, course)
    contents, styles, *held = (read_images(paths) for paths in listed)
    counts = [len(images) for images in (contents, styles, *held)]
    course.log("{} photographs and {} paintings; {} and {} are held out".format(*counts))

    apprentice = Apprentice(config, extractor.to(fabric.device), fabric, start_from)
    course.begin(config.steps, {"settings": asdict(config), "extractor weights": extractor.sha256}, apprentice.parts)
    shown = held_pairs(held, min(SHEET_PAIRS, config.judged_pairs), config.judged_side, extractor, fabric.device)
    book = Journal(journal if course.leads else None, shown, sheet_every, course.done)
    batches = draw_batches(config, contents, styles, extractor, fabric, course.done)
    for step, batch in zip(course, batches, strict=False):
        losses = apprentice.learn(batch, step, course)
        stop = course.tell(**losses)
        book.write(course.done, {**losses, "rate": rate(step, config.steps)}, apprentice.mean.module)
        if fabric.broadcast(stop):
            break
    course.keep()
    book.close(apprentice.mean.module)
    scores = apprentice.finish(out, held, judge or extractor, course) if course.leads else None
    fabric.barrier()
    return cast(Scores, fabric.broadcast(scores))


class Apprentice:
    """What trains: the network, its running mean, which ships, and the critic; ``parts`` are kept in checkpoints."""

    def __init__(self, config: AutoencoderConfig, extractor: Extractor, fabric: Fabric, begin: Path | None) -> None:
        self.config, self.extractor, self.fabric = config, extractor, fabric
        torch.manual_seed(config.seed)
        self.network, self.critic = AutoEncoder(residual=config.residual), Critic()
        if begin is not None:
            read_start(begin, self.network, self.critic)
        # A short memory at first, so that the mean does not drag the untrained weights along.
        self.mean = running_mean(self.network, lambda step: 1 - min(config.average, (step + 1) / (step + 10)))
        self.mean.to(fabric.device)
        adam = torch.optim.Adam(self.network.parameters(), config.learning_rate, betas=(0.9, 0.99))
        self.painter, self.optimizer = fabric.setup(self.network, adam)
        self.parts: dict[str, Any] = {"network": self.network, "mean": self.mean, "optimizer": adam}
        if config.adversarial:
            adam = torch.optim.Adam(self.critic.parameters(), config.critic_learning_rate, betas=(0.5, 0.99))
            self.spectator, self.critic_optimizer = fabric.setup(self.critic, adam)
            self.parts |= {"critic": self.critic, "critic_optimizer": adam}
        self.painter.train()

    def learn(self, batch: Batch, step: int, course: Course) -> dict[str, float]:
        """One step (0-based): its losses. Raises ImpastoError if they are not finite."""
        config, fabric, share = self.config, self.fabric, rate(step, self.config.steps)
        self.parts["optimizer"].param_groups[0]["lr"] = config.learning_rate * share
        output = self.painter(batch.contents, batch.styles, corner=batch.corner)
        losses: dict[str, Tensor] = {}
        if config.adversarial:
            self.parts["critic_optimizer"].param_groups[0]["lr"] = config.critic_learning_rate * share
            losses["critic"] = self.teach_critic(batch.styles, output.detach())

        with fabric.autocast():
            maps = self.extractor(output, LAYERS)
        losses["content"], losses["style"] = measure_output(maps, batch)
        total = total_loss(losses["content"], losses["style"], config.content_weight)
        if config.adversarial and config.adversarial_weight:
            # The critic's weights stay as they are.
            self.critic.requires_grad_(False)
            with fabric.autocast():
                losses["discriminator"] = painter_loss(self.critic(output).float())
            self.critic.requires_grad_(True)
            total = total + config.adversarial_weight * losses["discriminator"]
        losses["total"] = total
        self.optimizer.zero_grad()
        fabric.backward(total)
        norm = fabric.clip_gradients(self.painter, self.optimizer, max_norm=config.clip, error_if_nonfinite=False)
        # All at once: one exchange between the processes, one wait for the device.
        values = cast(Tensor, fabric.all_reduce(torch.stack([loss.detach() for loss in losses.values()])))
        told = dict(zip(losses, values.tolist(), strict=True))
        course.check(told["total"], float(cast(Tensor, norm)))
        self.optimizer.step()
        self.mean.update_parameters(self.network)
        return told

    def teach_critic(self, paintings: Tensor, painted: Tensor) -> Tensor:
        """One step of the critic; its loss."""
        real, fake = self.spectator(torch.cat([paintings, painted])).float().chunk(2)
        loss = critic_loss(real, fake)
        self.critic_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.critic_optimizer.step()
        return loss

    def finish(self, out: Path, held: list[list[Tensor]], judge: Extractor, course: Course) -> Scores:
        """Judge the network as it ships, rounded to fp16, and write it with its scores; the critic beside it."""
        config, network = self.config, cast(AutoEncoder, self.mean.module)
        course.log(f"judging {config.judged_pairs} pairs of {config.judged_side} px")
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.half())
        pairs = held_pairs(held, config.judged_pairs, config.judged_side, judge, self.fabric.device)
        scores = evaluate(network, pairs, judge.to(self.fabric.device), self.critic if config.adversarial else None)
        told: dict[str, Any] = {"judge": scores.extractor, "pairs": len(pairs)}
        told |= {"style_share": round(scores.style_share, 4), "content_error": round(scores.content_error, 4)}
        if scores.critic is not None:
            told["critic_accuracy"] = round(scores.critic.total, 4)
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.critic.state_dict().items()}
            write_atomically(critic_path(out), save(tensors))
        network.to_file(out, {"config": asdict(config), "extractor": self.extractor.name, "scores": told})
        return scores


def rate(step: int, steps: int) -> float:
    """Learning rate at ``step`` (0-based) as a share of the highest: a linear warm-up, then a cosine."""
    warm_up = max(1, min(200, steps // 20))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def held_pairs(
    held: list[list[Tensor]], count: int, side: int, extractor: Extractor, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of validation images on the device, large enough for the extractor."""
    contents, styles = held
    pairs = validation_pairs(contents, styles, count, side, extractor.smallest_side(LAYERS))
    return [(content.to(device), style.to(device)) for content, style in pairs]


def critic_path(out: Path) -> Path:
    """Where the critic of the network ``out`` is kept."""
    return out.with_suffix(".critic.safetensors")


def read_start(path: Path, network: AutoEncoder, critic: Critic) -> None:
    """Load the weights of an earlier training. Raises ImpastoError for another kind of network or a damaged file."""
    start = AutoEncoder.from_file(path)
    if start.settings != network.settings:
        kind = "a residual" if start.residual else "a plain"
        raise ImpastoError(f"{path} holds {kind} network; train the same kind, or leave it out", setting="start_from")
    network.load_state_dict(start.state_dict())
    beside = critic_path(path)
    if beside.is_file():
        try:
            critic.load_state_dict(load_file(beside))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ImpastoError(f"{beside}: cannot be read as a critic; remove it to begin with none") from error
