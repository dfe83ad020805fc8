"""What the student sees: crops whose maps the teacher computed once, kept on disk and seen again and again.

The teacher takes several times as long as a step of the student. Some crops are pictures that the student paints as it
would once shipped, half-finished and finished, each followed by its style: an optimizer finds whatever pleases the
student and not VGG-19, such as noise, ringing and strokes of the wrong size.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from impasto.configs import ExtractorConfig
from impasto.course import Course
from impasto.errors import ImpastoError
from impasto.features.compact import Compact
from impasto.features.extractor import Extractor
from impasto.refine.checkpoint import Position
from impasto.refine.descend import descend
from impasto.refine.pyramid import plan
from impasto.settings import Settings
from impasto.training.data import augment, crops
from impasto.training.memory import Memory
from impasto.training.student import TAUGHT, Student, fold

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: Pictures that are kept of a painting: one on the way, at the finest scale, and the finished one.
KEPT = 2
#: Half of the paintings have the default λ; the others draw it between these powers of ten.
LEAST, MOST = -4.2, -2.3
PAINTED_KEPT = 250  # paintings that are shown: the newest, of the best trained student
EACH = KEPT + 1  # rows of a painting: its pictures, then the style


class Rehearsal:
    """The memory of one process: first the fresh crops of ``images``, uint8 (3, H, W), then paintings and styles.

    It lies beside the checkpoint of ``course``, if there is one, until the training is over: 4.7 MB a crop of 256 px.

    Raises:
        ImpastoError: the disk has no room; or the course is resumed and its memory is gone.
    """

    def __init__(
        self, config: ExtractorConfig, images: list[Tensor], teacher: Extractor, fabric: Fabric, course: Course
    ) -> None:
        self.config, self.images, self.teacher, self.fabric = config, images, teacher, fabric
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self.part = config.batch // self.world  # rows of a batch that are this process's
        self.filling = -(-config.memory // config.batch)  # steps that bring fresh crops
        self.shown = len(range(self.rank, config.painted, self.world))  # paintings in a batch, and new ones at a time
        self.generator = torch.Generator()
        rows = self.filling * self.part + (config.steps - 1) // config.paint_every * self.shown * EACH
        self.scratch = tempfile.TemporaryDirectory() if course.path is None else None
        self.folder = f"{course.path}-memory-{self.rank}" if self.scratch is None else self.scratch.name
        if self.scratch is None and not course.resumed:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.memory = Memory(self.folder, rows, config.side, TAUGHT)
        if 0 < course.done < config.steps and not self.memory.found:
            raise ImpastoError(f"{self.folder}: what VGG-19 saw so far is gone; remove {course.path} to begin anew")

    def draw(self, step: int, painter: Student) -> tuple[Tensor, dict[str, Tensor], int]:
        """What a step (0-based) shows; ``painter`` paints, where the step asks for it.

        Returns crops (B, 3, H, W) in [0, 1], the teacher's maps of them, and how many of the first are paintings, whose
        styles are as many of the next.
        """
        # Seeded by the step, so that a resumed run sees what an uninterrupted one would.
        config, seed = self.config, self.config.seed * 1_000_003 + step + 1
        self.generator.manual_seed(seed)
        if step < self.filling:
            fresh = augment(crops(self.images, config.batch, config.side, self.generator), self.generator)
            self.remember(step * self.part, fresh[self.rank :: self.world])
        painted = step // config.paint_every if config.painted else 0
        if painted and step % config.paint_every == 0:
            self.remember(self.row((painted - 1) * self.shown), self.paint(painter))
            self.generator.manual_seed(-seed)  # The process that painted drew numbers that the others did not.
        rows, pairs = self.choose(step, painted)
        batch, targets = self.memory.read(rows)
        device = self.fabric.device
        return batch.to(device), {layer: maps.to(device) for layer, maps in targets.items()}, pairs

    def choose(self, step: int, painted: int) -> tuple[list[int], int]:
        """Rows of the memory, and how many of the first are paintings; there were ``painted`` rounds of them."""
        rows = torch.randint(min(step + 1, self.filling) * self.part, (self.part,), generator=self.generator)
        pairs = min(self.shown, self.part // 2) if painted else 0
        if pairs:
            last = painted * self.shown
            oldest = max(0, last - PAINTED_KEPT // self.world)
            first = self.row(torch.randint(oldest, last, (pairs,), generator=self.generator))
            rows[:pairs] = first + torch.randint(KEPT, (pairs,), generator=self.generator)
            rows[pairs : 2 * pairs] = first + KEPT
        return rows.tolist(), pairs

    def row(self, painting: int | Tensor) -> int | Tensor:
        """The first row of a painting."""
        return self.filling * self.part + painting * EACH

    def paint(self, painter: Student) -> Tensor:
        """New paintings and their styles, this process's of all (B, 3, H, W). The first process paints."""
        contents, styles = (crops(self.images, self.config.painted, self.config.side, self.generator) for _ in range(2))
        pictures = paint_pairs(painter, contents, styles, self.generator) if self.fabric.is_global_zero else None
        return cast(Tensor, self.fabric.broadcast(pictures))[self.rank :: self.world].flatten(0, 1)

    def remember(self, row: int | Tensor, pictures: Tensor) -> None:
        """Keep pictures, and the teacher's maps of them."""
        own = (pictures * 255).round().byte()
        with torch.no_grad(), self.fabric.autocast():
            self.memory.write(int(row), own, self.teacher(own.to(self.fabric.device).float() / 255, TAUGHT))

    def close(self, *, over: bool) -> None:
        """Remove the files, unless the training is to be resumed."""
        if self.scratch is not None:
            self.scratch.cleanup()
        elif over:
            shutil.rmtree(self.folder)


def paint(extractor: Extractor, content: Tensor, style: Tensor, generator: torch.Generator) -> Tensor:
    """Paint ``content`` in ``style``, (1, 3, H, W) each in [0, 1], through ``extractor`` with the default steps.

    ``generator`` draws λ, and the step that is kept. Returns (KEPT, 3, H, W) in [0, 1].
    """
    usual, power, moment = torch.rand(3, generator=generator).tolist()
    settings = Settings() if usual < 0.5 else Settings(content_weight=10 ** (LEAST + (MOST - LEAST) * power))
    scales = plan(max(content.shape[-2:]))
    halfway = 1 + int(moment * (scales[-1].steps - 1))
    kept = []

    def keep(position: Position) -> None:
        if (position.level, position.step) == (len(scales) - 1, halfway) and position.state is not None:
            kept.append(position.state.image)

    finished = descend(content, [style], extractor, settings, scales, lambda size: content, after_step=keep)
    return torch.cat([*kept, finished])


def paint_pairs(student: Student, contents: Tensor, styles: Tensor, generator: torch.Generator) -> Tensor:
    """What the student would paint if it shipped now, each painting followed by its style: (B, KEPT + 1, 3, H, W)."""
    device = student.mean.device
    tensors = {name: tensor.float() for name, tensor in fold(student).items()}
    painter = Compact.from_tensors(tensors, student.architecture).to(device)
    pairs = []
    for content, style in zip(contents.split(1), styles.split(1), strict=True):
        pictures = paint(painter, content.to(device), style.to(device), generator)
        pairs.append(torch.cat([pictures.cpu(), style]))
    return torch.stack(pairs)
