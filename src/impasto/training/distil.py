"""Train the compact extractor: a small CNN learns to see what VGG-19 sees.

The student (``student.py``) begins as a thinned teacher (``initialize.py``) and learns from photographs and from its
own paintings (``rehearsal.py``). A projection P for each layer carries its features F to the teacher's T; the loss
(``comparison.py``) is the relative error of P F, of the Gram matrices and of their distances from those of the style.
Why it is made like this is told in ``docs/extractor.md``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from impasto.configs import ExtractorConfig
from impasto.course import Course
from impasto.features.compact import ARCHITECTURE, Architecture
from impasto.features.extractor import Extractor
from impasto.machine import own_torch
from impasto.networks.learning import one_cycle, running_mean
from impasto.training.comparison import Comparison, feature_errors, pixel_gradient
from impasto.training.data import augment, crops, list_images, read_images
from impasto.training.devices import start
from impasto.training.initialize import fit_stem, fit_to_teacher, fit_to_weights
from impasto.training.rehearsal import Rehearsal
from impasto.training.student import Student, export, read_start

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: Effective length of the running mean of the weights, in steps.
MEAN_OF = 500


@own_torch()
def train(
    config: ExtractorConfig,
    data: str | Path,
    teacher: Extractor,
    out: str | Path,
    *,
    architecture: Architecture = ARCHITECTURE,
    devices: int = 1,
    device: str = "cpu",
    start_from: str | Path | None = None,
    course: Course | None = None,
) -> dict[str, float]:
    """Train, write ``out`` and return the errors on the validation split.

    ``data`` is a folder of images, see :func:`impasto.training.data.list_images`; ``teacher`` is VGG-19. The student
    has the names and widths of ``architecture``, and begins with the file ``start_from``, of a training with any
    settings, or else with a thinned teacher. On a CPU, ``devices`` processes share its cores.

    Raises:
        ImpastoError: no images, a checkpoint of other settings, or a loss that is not a number.
    """
    course = course or Course()
    fabric, config = start(config, devices, device, course)
    torch.manual_seed(config.seed)
    images, validation = (read_images(list_images(data, split)) for split in ("train", "validation"))
    course.log(f"{len(images)} training and {len(validation)} validation images")

    # Only the first process fits the student; the others are given its weights.
    student = Student(architecture)
    if course.leads and not course.resumed:
        fit(config, student, teacher, images, start_from)
        begun = feature_errors(student, teacher, validation)
        course.log(f"{start_from or 'least squares'}: {', '.join(f'{name} {begun[name]:.3f}' for name in begun)}")
    learner = Learner(config, student, teacher.to(fabric.device), fabric)
    settings = {**asdict(config), "architecture": student.architecture}
    course.begin(config.steps, {"settings": settings}, learner.parts)
    if not course.resumed:
        course.keep()  # What least squares found is worth minutes.

    rehearsal = Rehearsal(config, images, teacher, fabric, course)
    for step in course:
        losses = learner.learn(*rehearsal.draw(step, learner.shipped), course)
        if fabric.broadcast(course.tell(**losses)):
            break
    course.keep()
    rehearsal.close(over=course.done == config.steps)
    errors = learner.finish(out, validation) if course.leads else {}
    fabric.barrier()
    return fabric.broadcast(errors)


def fit(
    config: ExtractorConfig, student: Student, teacher: Extractor, images: list[Tensor], start_from: str | Path | None
) -> None:
    """Begin with ``start_from``, or else with a thinned teacher."""
    generator = torch.Generator().manual_seed(config.seed)
    sample = augment(crops(images, config.first_crops, min(config.first_side, config.side), generator), generator)
    if start_from is not None:
        fit_to_weights(student, read_start(start_from, student.architecture), sample)
    else:
        fit_stem(student, teacher, sample[: config.first_crops // 3])
        fit_to_teacher(student, teacher, sample, generator, rounds=config.first_rounds)


class Learner:
    """The student, its running mean ``shipped``, which paints and ships, and the optimizer."""

    def __init__(self, config: ExtractorConfig, student: Student, teacher: Extractor, fabric: Fabric) -> None:
        self.config, self.teacher, self.fabric = config, teacher, fabric
        trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
        adam, self.schedule = one_cycle(trained, config.learning_rate, config.weight_decay, config.steps, 0.05)
        self.comparison, self.optimizer = fabric.setup(Comparison(student), adam)
        # Over fewer steps at first, so that the mean soon leaves the initial weights behind.
        self.mean = running_mean(student, lambda step: max(1 / MEAN_OF, 1 / (2 + step / 10)))
        self.student, self.shipped = student, cast(Student, self.mean.module)
        self.parts = {"student": student, "mean": self.mean, "optimizer": adam, "schedule": self.schedule}
        student.train()

    def learn(self, batch: Tensor, targets: dict[str, Tensor], pairs: int, course: Course) -> dict[str, float]:
        """One step: its ``loss``, and the errors of features and ``gradient``. ImpastoError if they are not finite."""
        config, fabric, gradient = self.config, self.fabric, None
        if config.gradient_weight:
            with fabric.autocast():
                gradient = pixel_gradient(self.teacher, batch[: config.gradient_crops])
        maps, grams, gaps = self.comparison(batch, targets, pairs, gradient)
        compared = maps.pop("gradient", None)
        terms = ((1.0, maps), (config.gram_weight, grams), (config.gap_weight, gaps))
        loss = torch.stack([weight * value for weight, term in terms for value in term.values()]).sum()
        if compared is not None:
            loss = loss + config.gradient_weight * compared
            maps["gradient"] = compared
        self.optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(self.comparison, self.optimizer, max_norm=3.0, error_if_nonfinite=False)
        # All at once: one exchange between the processes, one wait for the device.
        said = torch.stack([loss.detach(), *(value.detach() for value in maps.values())])
        told = dict(zip(("loss", *maps), cast(Tensor, fabric.all_reduce(said)).tolist(), strict=True))
        course.check(told["loss"])
        self.optimizer.step()
        self.schedule.step()
        self.mean.update_parameters(self.student)
        return told

    def finish(self, out: str | Path, validation: list[Tensor]) -> dict[str, float]:
        """Measure and write what ships; returns its errors."""
        errors = feature_errors(self.shipped, self.teacher, validation)
        card = {"errors": {layer: round(error, 4) for layer, error in errors.items()}, "config": asdict(self.config)}
        export(self.shipped, out, card)
        return errors
