"""The first warm-up: a convolutional network, from scratch, that tells 40 attributes of a face.

Most attributes are rare, so the loss is balanced: faces with and without an attribute weigh the same. The shift of the
logits that results is subtracted afterwards, so that the answers are probabilities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Interval, MaxLen
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.configs import AttributesConfig
from impasto.course import Course
from impasto.errors import ImpastoError
from impasto.files.cards import Filed, Width, bounded
from impasto.images import to_pil
from impasto.lessons.celeba import SPLITS, CelebA, square_of
from impasto.lessons.scores import Scores, average_precision, linear_on_pixels, majority, score
from impasto.lessons.showing import deal, moved
from impasto.machine import own_torch
from impasto.networks.learning import one_cycle

#: The least share that is weighed by: a face with a rarer attribute would pull as hard as hundreds of others.
RAREST = 0.01


class AttributeNet(Filed):
    """Four blocks of two 3 × 3 convolutions, each halving the sides, and a linear map.

    ``side`` of the faces is a multiple of 16 pixels; the first block has ``width`` channels.
    """

    form, kind, command = "impasto-attributes-2", "a network of attributes", "impasto train attributes"
    shift: Tensor

    @bounded
    def __init__(
        self,
        attributes: Annotated[Sequence[str], MaxLen(4096)],
        side: Annotated[int, Interval(ge=16, le=1024)] = 64,
        width: Width = 32,
    ) -> None:
        super().__init__()
        self.attributes, self.side = tuple(attributes), side
        self.settings = {"attributes": self.attributes, "side": side, "width": width}
        blocks: list[nn.Module] = []
        before = 3
        for channels in (width, 2 * width, 4 * width, 8 * width):
            for inputs, stride in ((before, 2), (channels, 1)):
                convolution = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                blocks += [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            before = channels
        self.blocks = nn.Sequential(*blocks)
        # No mean over the map: the faces are aligned, so the place of a feature tells what it is.
        self.answer = nn.Linear(before * (side // 16) ** 2, len(self.attributes))
        # By how much the balanced loss raises the logit of each attribute, see balanced_loss.
        self.register_buffer("shift", torch.zeros(len(self.attributes)))

    def expect(self, labels: Tensor) -> Tensor:
        """Set the shift by the share of each attribute in ``labels`` (N, attributes); returns the shares."""
        shares = labels.float().mean(dim=0).clamp(RAREST, 1 - RAREST).to(self.shift.device)
        self.shift.copy_(torch.log((1 - shares) / shares))
        return shares

    def forward(self, faces: Tensor) -> Tensor:
        """Logits of the balanced question: (B, 3, side, side) in [0, 1] -> (B, attributes)."""
        return self.answer(self.blocks(4 * faces - 2).flatten(1))

    def probabilities(self, faces: Tensor) -> Tensor:
        """How likely each attribute is among faces like those of the training: (B, attributes) in [0, 1]."""
        return torch.sigmoid(self(faces) - self.shift)


def balanced_loss(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    r"""Cross-entropy in which faces with and without an attribute weigh the same, whatever its share p.

    .. math:: -\frac{1}{2p}\, y \log σ(z) - \frac{1}{2(1-p)}\, (1-y) \log(1-σ(z))

    Its minimum is z = log-odds of the attribute + log((1-p)/p); without the second term σ(z) is a probability (King and
    Zeng: Logistic Regression in Rare Events Data, 2001). Returns the mean over logits (B, A) and labels (B, A; bool);
    shares (A,) are p of each attribute in the training, within (0, 1).
    """
    weights = torch.where(labels, 0.5 / shares, 0.5 / (1 - shares))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), weights)


def augment(faces: Tensor, dice: torch.Generator) -> Tensor:
    """Faces (B, 3, side, side), half of them mirrored, moved by up to a sixteenth, brighter or darker by a fifth."""
    mirrored = torch.rand(len(faces), generator=dice) < 0.5
    faces = torch.where(mirrored.view(-1, 1, 1, 1), faces.flip(-1), faces)
    faces = moved(faces, faces.shape[-1] // 16, dice)
    gains = 0.8 + 0.4 * torch.rand(len(faces), 1, 1, 1, generator=dice)
    return (faces * gains).clamp_(0, 1)


@torch.no_grad()
def answers(model: AttributeNet, faces: Tensor, batch: int = 256) -> Tensor:
    """Probabilities of many faces: (N, 3, side, side) uint8 -> (N, attributes) float32 on the CPU."""
    training, device = model.training, model.shift.device
    model.eval()
    parts = [model.probabilities(part.to(device).float() / 255).cpu() for part in faces.split(batch)]
    model.train(training)
    return torch.cat(parts)


@own_torch()
def train(
    config: AttributesConfig,
    data: CelebA,
    out: str | Path,
    *,
    device: str = "cpu",
    course: Course | None = None,
    measure: Callable[[Tensor, Tensor], float] = average_precision,
) -> Scores:
    """Train, write ``out``, and return how it does on the test split, beside two baselines.

    The validation split decides which epoch was the best, and when to stop; the test split is used once, at the end.
    ``measure`` takes probabilities and labels, (N, attributes) each, of the validation split.

    Raises:
        ImpastoError: faces that cannot be used, a checkpoint of another training, or a loss that is not a number.
    """
    course = course or Course()
    faces, labels = read_splits(data, config.side)
    course.log(", ".join(f"{len(faces[split])} faces for {split}" for split in SPLITS))

    torch.manual_seed(config.seed)
    model = AttributeNet(data.attributes, config.side, config.width).to(device)
    shares = model.expect(labels["train"])
    batch = min(config.batch, len(faces["train"]))
    each = len(faces["train"]) // batch  # steps an epoch
    steps = config.epochs * each
    optimizer, schedule = one_cycle(model.parameters(), config.learning_rate, config.weight_decay, steps, 0.1)
    best: dict[str, Any] = {"precision": None, "epoch": 0, "model": None}
    made_of = {"settings": asdict(config), "faces": fingerprint(data)}
    course.begin(steps, made_of, {"model": model, "optimizer": optimizer, "schedule": schedule}, best)

    dice = torch.Generator()
    model.train()
    for step in course:
        epoch = step // each
        if epoch - best["epoch"] >= config.patience:
            break
        chosen = deal(len(faces["train"]), batch, step, config.seed, dice)
        shown = augment(faces["train"][chosen].float() / 255, dice).to(device)
        loss = balanced_loss(model(shown), labels["train"][chosen].to(device), shares)
        course.check(loss.item())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % each == 0:
            keep_best(best, measure(answers(model, faces["validation"]), labels["validation"]), epoch + 1, model)
        if course.tell(epoch=epoch + 1, loss=loss.item(), average_precision=best["precision"]):
            break
    course.keep()
    course.log(f"the best of {-(-course.done // each)} epochs was number {best['epoch']}; measuring it and baselines")
    if best["model"] is not None:
        model.load_state_dict(best["model"])
    scores = compare(model, faces, labels)
    model.to_file(out, {"config": asdict(config), "best_epoch": best["epoch"], "means": scores.means})
    return scores


def compare(model: AttributeNet, faces: dict[str, Tensor], labels: dict[str, Tensor]) -> Scores:
    """Measure the network and two baselines on the test split."""
    predictions = {
        "network": answers(model, faces["test"]),
        "linear": linear_on_pixels(faces, labels),
        "majority": majority(labels["train"], len(faces["test"])),
    }
    return score(model.attributes, predictions, labels["test"])


def keep_best(best: dict[str, Any], reached: float, epoch: int, model: AttributeNet) -> None:
    """Keep the weights after ``epoch`` if no earlier ones ``reached`` as much."""
    if best["precision"] is None or reached > best["precision"]:
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        best.update(precision=reached, epoch=epoch, model=weights)


def read_splits(data: CelebA, side: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Faces (N, 3, side, side) uint8 and labels (N, attributes) of every split; ImpastoError where some are missing."""
    if data.labels is None:
        raise ImpastoError(f"{data.folder}: has no list_attr_celeba.csv or .txt to learn from; put one there")
    rows = {split: data.rows(split) for split in SPLITS}
    for split, least in zip(SPLITS, (2, 1, 1), strict=True):
        if len(rows[split]) < least:
            raise ImpastoError(f"{data.folder}: {len(rows[split])} faces in the {split} split; more are needed")
    return {split: data.load(side, split) for split in SPLITS}, {split: data.labels[rows[split]] for split in SPLITS}


def fingerprint(data: CelebA) -> str:
    """A hash of names, labels and splits, but not of the pixels."""
    table = [] if data.labels is None else data.labels.int().tolist()
    return hashlib.sha256(json.dumps([data.names, data.attributes, table, data.split]).encode()).hexdigest()


@torch.no_grad()
def predict(model: AttributeNet, image: Tensor) -> Tensor:
    """The probability (B, attributes) of each of ``model.attributes``; above 0.5 it counts as there.

    Only the central square of ``image`` (B, 3, H, W), sRGB in [0, 1], is looked at. The faces should be aligned as
    CelebA's: upright, eyes a little below the middle, hair and chin inside.
    """
    faces = torch.stack([square_of(to_pil(face), model.side) for face in image])
    return answers(model, faces)
