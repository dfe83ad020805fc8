"""Where the weights lie that ship inside the package; imports nothing that is slow to load."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def shipped(name: str) -> Path:
    """The file of ``compact`` or ``autoencoder``; its card lies beside it."""
    return Path(str(resources.files("impasto") / "pretrained" / f"{name}.safetensors"))
