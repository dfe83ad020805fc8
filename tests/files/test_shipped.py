from __future__ import annotations

import pytest

from impasto.files.shipped import shipped


@pytest.mark.parametrize("name", ["compact", "autoencoder"])
def test_weights_and_their_card(name: str) -> None:
    assert shipped(name).is_file()
    card = shipped(name).with_suffix(".md").read_text(encoding="utf-8")
    assert card.startswith(f"# {name}.safetensors\n")
