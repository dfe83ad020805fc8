"""Every setting of the five trainings, once: type, bounds, default and help.

The fields with a help text become the options of ``impasto train``. No torch is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

from impasto.errors import ImpastoError
from impasto.settings import MACHINE, About

TRAINING, LOSS, NETWORK = "The training", "The loss", "The network"
FACE_SIDES = (16, 32, 64, 128)  # of the GAN, in pixels

# The bounds are those of what makes any sense; a network and its batch have to fit into memory besides.
Count = Annotated[int, Interval(ge=1, le=100_000_000)]
Batch = Annotated[int, Interval(ge=1, le=65_536)]
Width = Annotated[int, Interval(ge=1, le=512)]
Factor = Annotated[float, Interval(ge=0, le=1e6)]
Steps = Annotated[Count, About("Batches to learn from.", TRAINING)]
Rate = Annotated[Factor, About("Learning rate at its highest.", TRAINING)]
Decay = Annotated[Factor, About("Weight decay of AdamW.", TRAINING)]
# The seeds of the steps, multiples of it, have to fit into 64 bits.
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1), About("Seed of weights, order and augmentation.", TRAINING)]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"], About("Arithmetic; auto is bf16 where the device is fast at it.", MACHINE)
]


class OnDevices:
    """A training that several devices can share."""

    batch: int

    def check_devices(self, devices: int) -> None:
        """Raise ImpastoError if so many devices cannot share a batch."""
        if self.batch % devices:
            raise ImpastoError(f"{self.batch} cannot be shared by {devices} devices; give a multiple", setting="batch")


@dataclass(frozen=True)
class AttributesConfig:
    """The CNN that tells attributes of faces."""

    epochs: Annotated[Count, About("Times through the training faces, at most.", TRAINING)] = 30
    batch: Annotated[Batch, Ge(2), About("Faces a step.", TRAINING)] = 32
    side: Annotated[int, Interval(ge=16, le=1024), About("Side of a face in pixels, a multiple of 16.", NETWORK)] = 64
    width: Annotated[Width, About("Channels of the first block; every next one has twice as many.", NETWORK)] = 32
    learning_rate: Rate = 5e-3
    weight_decay: Decay = 0.05
    patience: Annotated[Count, About("Epochs without a better average precision before it ends.", TRAINING)] = 6
    seed: Seed = 0

    def __post_init__(self) -> None:
        _check_side(self.side)


@dataclass(frozen=True)
class FacesConfig:
    """The GAN that paints faces."""

    steps: Steps = 4000
    batch: Annotated[Batch, Ge(2), About("Faces a step.", TRAINING)] = 16
    side: Annotated[int, Interval(ge=16, le=1024), About("Side of a face in pixels: 16, 32, 64 or 128.", NETWORK)] = 64
    width: Annotated[Width, About("Channels of the finest maps; more see and paint better.", NETWORK)] = 16
    learning_rate: Rate = 1e-3
    penalty: Annotated[Factor, About("γ: weight of the discriminator's gradient.", LOSS)] = 1.0
    augment: Annotated[
        bool | None, About("Show the discriminator faces a little changed (default: below 10,000 faces).", TRAINING)
    ] = None
    sample_every: Annotated[Count, About("Steps between two sheets and measurements.", TRAINING)] = 500
    seed: Seed = 0
    latent: int = 64  # numbers that a face is made from
    penalty_every: int = 8  # steps
    average: float = 0.995  # memory of the running mean, at the end
    few: int = 10_000  # faces: fewer are augmented, or the discriminator would learn them by heart

    def __post_init__(self) -> None:
        if self.side not in FACE_SIDES:
            raise ImpastoError(f"{self.side} pixels; give one of {', '.join(map(str, FACE_SIDES))}", setting="side")


@dataclass(frozen=True)
class AutoencoderConfig(OnDevices):
    """A network that paints in one pass."""

    residual: Annotated[bool, About("Connect encoder and decoder at every scale.", NETWORK)] = False
    adversarial: Annotated[bool, About("Train a critic of painted pictures along with it.", LOSS)] = False
    content_weight: Annotated[Factor, About("λ: weight of the content loss.", LOSS)] = 1e-3
    adversarial_weight: Annotated[Factor, About("β: weight of the critic; 0 only trains it.", LOSS)] = 0.1
    steps: Steps = 6000
    batch: Annotated[Batch, About("Pairs a step.", TRAINING)] = 8
    side: Annotated[int, Interval(ge=32, le=1024), About("Side of a crop in pixels, a multiple of 16.", TRAINING)] = 128
    learning_rate: Rate = 6e-3
    seed: Seed = 0
    precision: Precision = "fp32"
    critic_learning_rate: float = 4e-4
    pairings: int = 2  # steps that the same crops serve
    clip: float = 1.0  # norm of the gradient
    average: float = 0.998  # memory of the running mean, at the end
    judged_pairs: int = 40  # of the validation images
    judged_side: int = 256  # pixels

    def __post_init__(self) -> None:
        _check_side(self.side)


@dataclass(frozen=True)
class AdaptConfig:
    """The auto-encoder, which learns one painting."""

    minutes: Annotated[float, Gt(0), About("Minutes to learn for.", TRAINING)] = 5.0
    steps: Annotated[int | None, Ge(1), About("Batches to learn from, instead of a time.", TRAINING)] = None
    size: Annotated[int, Ge(32), About("Size in pixels at which the strokes are learned.", TRAINING)] = 512
    content_weight: Annotated[float, Ge(0), About("λ: weight of the content loss.", LOSS)] = 2e-3
    rank: Annotated[int, Interval(ge=1, le=64), About("Rank of what is added to every kernel.", NETWORK)] = 3
    batch: Annotated[int, Ge(1), About("Crops a step.", TRAINING)] = 3
    side: Annotated[int, Ge(32), About("Side of a crop in pixels, a multiple of 16.", TRAINING)] = 192
    seed: Seed = 0
    precision: Precision = "auto"
    offset_rate: float = 1.5e-2  # learning rates at their highest
    kernel_rate: float = 1e-2
    clip: float = 1.0  # norm of the gradient

    def __post_init__(self) -> None:
        _check_side(self.side)


@dataclass(frozen=True)
class ExtractorConfig(OnDevices):
    """The compact extractor, which learns to see what VGG-19 sees."""

    steps: Steps = 3000
    batch: Annotated[Batch, About("Crops a step.", TRAINING)] = 10
    side: Annotated[int, Interval(ge=32, le=1024), About("Side of a crop in pixels.", TRAINING)] = 256
    memory: Annotated[Count, About("Crops to see again and again; VGG-19's maps lie on disk.", TRAINING)] = 1200
    learning_rate: Rate = 5e-4
    weight_decay: Decay = 1e-4
    gram_weight: Annotated[Factor, About("Weight of the error of the Gram matrices.", LOSS)] = 1.0
    gap_weight: Annotated[Factor, About("Weight of the error of what paintings lack of their style.", LOSS)] = 4.0
    gradient_weight: Annotated[
        float, Ge(0), About("Weight of the error of the gradient at the pixels; above 0, VGG-19 runs every step.", LOSS)
    ] = 0.0
    painted: Annotated[
        int, Interval(ge=0, le=65_536), About("Paintings a step of the network itself, each with its style.", TRAINING)
    ] = 2
    paint_every: Annotated[Count, About("Steps between two paintings.", TRAINING)] = 30
    seed: Seed = 0
    precision: Precision = "fp32"
    gradient_crops: int = 2  # of a batch, on each device, whose gradients are compared
    first_crops: int = 96  # for least squares: all of the teacher's maps of them have to fit into memory
    first_side: int = 160  # pixels, at most
    first_rounds: int = 60  # of the nonlinear problem

    def __post_init__(self) -> None:
        if 2 * self.painted > self.batch:
            wrong = f"{self.painted} of {self.batch} crops, with their styles; give at most half of `batch`"
            raise ImpastoError(wrong, setting="painted")

    def check_devices(self, devices: int) -> None:
        """Raise ImpastoError for fewer than two pictures on each device, too, where gradients are compared."""
        super().check_devices(devices)
        if self.gradient_weight and self.batch < 2 * devices:
            raise ImpastoError("compares pictures of a batch; give `batch` two for each device", "gradient_weight")


def _check_side(side: int) -> None:
    if side < 16 or side % 16:
        raise ImpastoError(f"{side} is no multiple of 16; give {max(16, side // 16 * 16)}", setting="side")
