"""The first warm-up: a convolutional network, from scratch, that tells 40 attributes of a face.

Read from top to bottom: configuration, network, loss, what it is shown, loop, file. Half of the attributes are rare
(one face in fifty is bald), and a plain loss is nearly as low for a network that always says no. Here the faces with
and without an attribute weigh the same, and what that adds to the answer is taken off again afterwards, so that a
probability is one.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.files.cards import pack, read_network
from impasto.files.state import write_state
from impasto.images import to_pil
from impasto.lessons.celeba import SPLITS, CelebA, square_of
from impasto.lessons.scores import Scores, average_precision, linear_on_pixels, majority, score

__all__ = [
    "AttributeNet",
    "AttributeProgress",
    "AttributesConfig",
    "balanced_loss",
    "load_attributes",
    "predict",
    "train",
]

FORMAT = "impasto-attributes-1"

#: Rarer than this is weighed as if it were not: one face would pull as hard as a hundred others.
RAREST = 0.01


@dataclass(frozen=True)
class AttributesConfig:
    """Everything that determines the outcome."""

    epochs: int = 30
    batch: int = 32
    side: int = 64  # pixels, a multiple of 16
    width: int = 32  # channels of the first convolution; every next one has twice as many
    learning_rate: float = 5e-3
    weight_decay: float = 0.05
    patience: int = 6  # epochs without a better average precision
    seed: int = 0
    checkpoint_seconds: float = 10.0


@dataclass(frozen=True)
class AttributeProgress:
    """One step; the average precision is that after the last whole epoch, None in the first."""

    step: int
    steps: int
    epoch: int
    loss: float
    average_precision: float | None
    seconds: float


class AttributeNet(nn.Module):
    """Four blocks of two 3 × 3 convolutions, each halving the sides, and a linear map.

    Args:
        attributes: their names.
        side: of the faces, in pixels; a multiple of 16.
        width: channels of the first block.
    """

    shift: Tensor

    def __init__(self, attributes: Sequence[str], side: int = 64, width: int = 32) -> None:
        super().__init__()
        self.attributes, self.side, self.width = tuple(attributes), side, width
        blocks: list[nn.Module] = []
        before = 3
        for channels in (width, 2 * width, 4 * width, 8 * width):
            for inputs, stride in ((before, 2), (channels, 1)):
                convolution = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                blocks += [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            before = channels
        self.blocks = nn.Sequential(*blocks)
        # Not the mean over the map: the faces are aligned, so where something was seen tells what it is.
        self.answer = nn.Linear(before * (side // 16) ** 2, len(self.attributes))
        # By how much the balanced loss raises the logit of each attribute, see balanced_loss.
        self.register_buffer("shift", torch.zeros(len(self.attributes)))

    def forward(self, faces: Tensor) -> Tensor:
        """Logits of the balanced question: (B, 3, side, side) in [0, 1] -> (B, attributes)."""
        return self.answer(self.blocks(4 * faces - 2).flatten(1))

    def probabilities(self, faces: Tensor) -> Tensor:
        """How likely each attribute is among faces like those of the training: (B, attributes) in [0, 1]."""
        return torch.sigmoid(self(faces) - self.shift)


def balanced_loss(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    r"""Cross-entropy in which faces with and without an attribute weigh the same, whatever its share p.

    .. math:: -\frac{1}{2p}\, y \log σ(z) - \frac{1}{2(1-p)}\, (1-y) \log(1-σ(z))

    Its minimum is z = log-odds of the attribute + log((1-p)/p): subtract that, and σ(z) is a probability again
    (King and Zeng: Logistic Regression in Rare Events Data, 2001).

    Args:
        logits: (B, A).
        labels: (B, A), bool.
        shares: (A,), p of each attribute in the training, within (0, 1).

    Returns:
        A scalar, the mean over faces and attributes.
    """
    weights = torch.where(labels, 0.5 / shares, 0.5 / (1 - shares))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), weights)


def augment(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the faces mirrored; each moved by up to a sixteenth of its side and made brighter or darker by a fifth.

    Args:
        faces: (B, 3, side, side) in [0, 1].
        generator: of the random numbers.
    """
    count, _, side, _ = faces.shape
    mirrored = torch.rand(count, generator=generator) < 0.5
    faces = torch.where(mirrored.view(-1, 1, 1, 1), faces.flip(-1), faces)
    reach = side // 16
    moves = torch.randint(-reach, reach + 1, (count, 2, 1), generator=generator)
    # The border is repeated where a face moves away from it.
    places = (torch.arange(side) + moves).clamp_(0, side - 1)
    rows, columns = places[:, 0, None, :, None], places[:, 1, None, None, :]
    faces = faces[torch.arange(count).view(-1, 1, 1, 1), torch.arange(3).view(1, -1, 1, 1), rows, columns]
    gains = 0.8 + 0.4 * torch.rand(count, 1, 1, 1, generator=generator)
    return (faces * gains).clamp_(0, 1)


@torch.no_grad()
def answers(model: AttributeNet, faces: Tensor, device: str = "cpu", batch: int = 256) -> Tensor:
    """Probabilities of many faces: (N, 3, side, side) uint8 -> (N, attributes) float32 on the CPU."""
    training = model.training
    model.eval()
    parts = [model.probabilities(part.to(device).float() / 255).cpu() for part in faces.split(batch)]
    model.train(training)
    return torch.cat(parts)


def train(
    config: AttributesConfig,
    data: CelebA,
    out: str | Path,
    *,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    callback: Callable[[AttributeProgress], bool | None] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Scores:
    """Train, write ``out``, and return how it does on the test split, beside two baselines.

    After every epoch the validation split is asked; the network of the best epoch is kept, and after
    ``config.patience`` epochs without a better one the training ends. The test split is looked at once, at the end.

    Args:
        config: the settings.
        data: the faces, with labels.
        out: the safetensors file to write.
        device: where torch computes. Only on the CPU does a resumed training end in the very same bytes.
        checkpoint: file that is written every ``config.checkpoint_seconds`` and continued from if it exists.
        callback: receives an :class:`AttributeProgress` after each step; returning True ends the training there.
        log: receives a line now and then.

    Raises:
        ImpastoError: no labels, a split without faces, images that cannot be read, a side that does not fit, a
            checkpoint that is damaged or of another training, or a loss that is not a number.
    """
    if config.side < 16 or config.side % 16:
        raise ImpastoError(f"side: {config.side} pixels; give a multiple of 16")
    if data.labels is None:
        raise ImpastoError(f"{data.folder}: has no list_attr_celeba.csv or .txt to learn from; put one there")
    rows = {split: data.rows(split) for split in SPLITS}
    for split, least in zip(SPLITS, (2, 1, 1), strict=True):
        if len(rows[split]) < least:
            raise ImpastoError(f"{data.folder}: {len(rows[split])} faces in the {split} split; more are needed")
    faces = {split: data.load(config.side, split) for split in SPLITS}
    labels = {split: data.labels[rows[split]] for split in SPLITS}
    log(", ".join(f"{len(rows[split])} faces for {split}" for split in SPLITS))

    torch.manual_seed(config.seed)
    model = AttributeNet(data.attributes, config.side, config.width).to(device)
    shares = labels["train"].float().mean(dim=0).clamp(RAREST, 1 - RAREST).to(device)
    model.shift.copy_(torch.log((1 - shares) / shares))
    batch = min(config.batch, len(rows["train"]))
    each = len(rows["train"]) // batch  # steps an epoch; the few faces left over come up in another one
    steps = config.epochs * each
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps + 1, pct_start=0.1, final_div_factor=1e3
    )

    belongs_to = {"config": _deciding(config), "data": _fingerprint(data)}
    state: dict[str, Any] = {"step": 0, "best": -1.0, "best_epoch": 0, "best_model": None, "ended": False}
    if checkpoint and Path(checkpoint).is_file():
        state = _read_checkpoint(Path(checkpoint), belongs_to, device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        log(f"continuing after step {state['step']}")

    def keep() -> None:
        if checkpoint:
            memory = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
            write_state(checkpoint, {**belongs_to, **state, "model": model.state_dict(), **memory})

    started = saved = time.monotonic()
    generator = torch.Generator()
    model.train()
    while state["step"] < steps and not state["ended"]:
        epoch, place = divmod(state["step"], each)
        # Order and augmentation follow from the step alone: a resumed run sees what an undisturbed one would have.
        order = torch.randperm(len(rows["train"]), generator=generator.manual_seed(config.seed * 1_000_003 + epoch))
        chosen = order[place * batch : (place + 1) * batch]
        generator.manual_seed((config.seed + 1) * 1_000_000_007 + state["step"])
        shown = augment(faces["train"][chosen].float() / 255, generator).to(device)
        loss = balanced_loss(model(shown), labels["train"][chosen].to(device), shares)
        if not torch.isfinite(loss):
            raise ImpastoError(f"step {state['step'] + 1}: the loss is not a number; lower --learning-rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        state["step"] += 1
        if place == each - 1:
            reached = average_precision(answers(model, faces["validation"], device), labels["validation"])
            if reached > state["best"]:
                kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                state |= {"best": reached, "best_epoch": epoch + 1, "best_model": kept}
            state["ended"] = epoch + 1 - state["best_epoch"] >= config.patience
        now = time.monotonic()
        if callback:
            asked = state["best"] if state["best_epoch"] else None
            record = AttributeProgress(state["step"], steps, epoch + 1, loss.item(), asked, now - started)
            state["ended"] = bool(callback(record)) or state["ended"]
        if now - saved > config.checkpoint_seconds:
            keep()
            saved = now
    keep()
    if state["best_model"] is not None:
        model.load_state_dict(state["best_model"])
    log(f"the best of {-(-state['step'] // each)} epochs was number {state['best_epoch']}; measuring it and baselines")
    predictions = {
        "network": answers(model, faces["test"], device),
        "linear": linear_on_pixels(faces, labels),
        "majority": majority(labels["train"], len(rows["test"])),
    }
    scores = score(data.attributes, predictions, labels["test"])
    card = {"config": _deciding(config), "best_epoch": state["best_epoch"], "means": scores.means}
    write_atomically(Path(out), _packed(model, card))
    return scores


def load_attributes(path: str | Path) -> AttributeNet:
    """The network that :func:`train` wrote, ready to answer.

    Raises:
        ImpastoError: the file is missing, cut, or holds something else.
    """
    advice = "give a file of 'impasto train attributes'"
    if not Path(path).is_file():
        raise ImpastoError(f"{path}: no such file; {advice}")
    return read_network(
        path,
        FORMAT,
        lambda card: AttributeNet(card["attributes"], card["side"], card["width"]),
        other=f"no weights of the attribute network; {advice}",
        damaged=f"damaged weights; {advice}",
    )


@torch.no_grad()
def predict(model: AttributeNet, image: Tensor) -> Tensor:
    """The probability of each of ``model.attributes``.

    Args:
        model: from :func:`load_attributes`.
        image: (B, 3, H, W), sRGB in [0, 1]. Its central square is looked at, as in training; the faces there are
            aligned as CelebA's: upright, eyes a little below the middle, hair and chin inside.

    Returns:
        (B, attributes) in [0, 1]; the attribute is taken to be there above 0.5.
    """
    faces = torch.stack([square_of(to_pil(face), model.side) for face in image])
    return answers(model, faces)


def _packed(model: AttributeNet, card: dict[str, Any]) -> bytes:
    card = {**card, "format": FORMAT, "attributes": model.attributes, "side": model.side, "width": model.width}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    return pack(tensors, card)


def _deciding(config: AttributesConfig) -> dict[str, Any]:
    """The settings that the outcome depends on: not how often it is saved."""
    return {name: value for name, value in asdict(config).items() if name != "checkpoint_seconds"}


def _fingerprint(data: CelebA) -> str:
    """Of names, labels and splits; not of the pixels, which would have to be read first."""
    table = [] if data.labels is None else data.labels.int().tolist()
    return hashlib.sha256(json.dumps([data.names, data.attributes, table, data.split]).encode()).hexdigest()


def _read_checkpoint(path: Path, belongs_to: dict[str, Any], device: str) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if any(state[name] != value for name, value in belongs_to.items()):
            raise ImpastoError(f"{path}: made with other settings or faces; remove it or train with the same ones")
    except ImpastoError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error
    return state
