from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.refine.checkpoint import Position, read_checkpoint, write_checkpoint
from impasto.refine.descend import descend
from impasto.refine.pyramid import plan
from impasto.settings import Settings

SCALES = plan(128, 8)


class Interrupted(Extractor):
    """Looks like another extractor, until it is interrupted at its ``look``-th look at a picture of a size.

    Beginning with a scale it looks at the photograph and the painting, then at the picture at every step.
    """

    def __init__(self, genuine: Extractor, longest: int, look: int) -> None:
        super().__init__()
        self.genuine, self.longest, self.look = genuine, longest, look
        self.name, self.layers = genuine.name, genuine.layers

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        if max(image.shape[-2:]) == self.longest:
            self.look -= 1
            if self.look == 0:
                raise KeyboardInterrupt
        return self.genuine(image, layers)


def run(pair: tuple[Tensor, Tensor], extractor: Extractor, algorithm: str, position: Position | None = None) -> Tensor:
    settings = Settings(size=128, optimizer=algorithm)  # type: ignore[arg-type]
    return descend(
        pair[0], [pair[1]], extractor, settings, SCALES, lambda size: pair[0], position=position or Position()
    )


@pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
@pytest.mark.parametrize("look", [1, 2, 6, 7], ids=["photograph", "painting", "first step", "second step"])
@pytest.mark.parametrize("scale", [0, 1], ids=["coarse", "fine"])
def test_interrupted_anywhere_the_checkpoint_says_one_state(
    tiny: Extractor, pair: tuple[Tensor, Tensor], tmp_path: Path, algorithm: str, look: int, scale: int
) -> None:
    """Not half of each: between two scales, too, the run goes on in the same bytes."""
    undisturbed = run(pair, tiny, algorithm)
    position = Position()
    with pytest.raises(KeyboardInterrupt):
        run(pair, Interrupted(tiny, SCALES[scale].longest, look), algorithm, position)
    done = (0 if scale == 0 else SCALES[0].steps) + max(0, look - 6)
    assert len(position.losses) == len(position.times) == done
    write_checkpoint(tmp_path / "run", position, "{}")
    assert (tmp_path / "run").exists() == (done > 0)
    if done:
        position = read_checkpoint(tmp_path / "run", "{}", "cpu")
        assert torch.equal(run(pair, tiny, algorithm, position), undisturbed)
        assert len(position.losses) == 8


class Forgetful:
    """A memory that is interrupted while it is brought to the next scale."""

    def grown(self, *arguments: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
def test_interrupted_between_two_scales_the_position_is_the_old_scales(
    tiny: Extractor, pair: tuple[Tensor, Tensor], algorithm: str
) -> None:
    undisturbed = run(pair, tiny, algorithm)
    position, kept = Position(), []

    def after_step(at: Position) -> None:
        assert at.state is not None
        if at.step == SCALES[0].steps and not kept:
            kept.append(at.state.memory)
            at.state.memory = Forgetful()  # type: ignore[assignment]

    settings = Settings(size=128, optimizer=algorithm)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        descend(
            pair[0],
            [pair[1]],
            tiny,
            settings,
            SCALES,
            lambda size: pair[0],
            position=position,
            after_step=after_step,
        )
    assert position.state is not None
    assert (position.level, position.step) == (0, SCALES[0].steps)
    assert max(position.state.image.shape) == SCALES[0].longest
    position.state.memory = kept[0]
    assert torch.equal(run(pair, tiny, algorithm, position), undisturbed)


def test_two_scales(tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
    """The scales are gone through in order, each with its steps; the losses of every step are kept."""
    seen: list[tuple[int, int, tuple[int, ...]]] = []
    position = Position()

    def after_step(at: Position) -> None:
        assert at.state is not None
        seen.append((at.level, at.step, tuple(at.state.image.shape)))

    settings = Settings(size=128)
    image = descend(
        pair[0],
        [pair[1]],
        tiny,
        settings,
        SCALES,
        lambda size: torch.full((1, 3, *size), 0.5),
        position=position,
        after_step=after_step,
    )
    assert image.shape == (1, 3, 96, 128)
    steps = [scale.steps for scale in SCALES]
    assert [(level, step) for level, step, _ in seen] == [
        (level, step) for level, count in enumerate(steps) for step in range(1, count + 1)
    ]
    assert {shape for level, _, shape in seen if level == 0} == {(1, 3, 48, 64)}
    assert [list(losses.terms) for losses in position.losses] == [["content", "style"]] * 8
    assert position.times == sorted(position.times)


def test_stopped_after_a_step(tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
    position = Position()
    image = descend(
        pair[0],
        [pair[1]],
        tiny,
        Settings(size=128),
        SCALES,
        lambda size: pair[0],
        position=position,
        after_step=lambda at: len(at.losses) == 2,
    )
    assert len(position.losses) == 2
    assert max(image.shape) == SCALES[0].longest


def test_a_loss_that_is_not_a_number(tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
    settings = Settings(size=64, content_weight=float("inf"))
    with pytest.raises(ImpastoError, match=r"^step 1: the loss is (inf|nan); take precision='fp32', or a smaller"):
        descend(pair[0], [pair[1]], tiny, settings, plan(64, 2), lambda size: pair[1])
