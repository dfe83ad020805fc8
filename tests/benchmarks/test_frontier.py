from __future__ import annotations

import pytest

import frontier
from impasto.features.extractor import Extractor
from runner import CONTENT


def test_multiplications_of_the_page() -> None:
    found = {name: frontier.multiplications(tuple(widths.items())) for name, widths in frontier.WIDTHS.items()}
    assert (found["half as wide"], found["shipped widths"], found["five quarters"]) == (16_200, 59_616, 95_562)


@pytest.mark.skipif(not CONTENT.exists(), reason="needs the folder shared")
def test_a_step_of_each(tiny: Extractor) -> None:
    found = frontier.step_times({"one": tiny, "other": tiny}, 64)
    assert list(found) == ["one", "other"]
    assert all(0 < milliseconds < 60_000 for milliseconds in found.values())
