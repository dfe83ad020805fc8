"""AlexNet in name only: pystiche imports it, and no benchmark uses it."""

from __future__ import annotations

from typing import NoReturn

#: Nothing is downloaded.
model_urls = {"alexnet": ""}


def alexnet(**settings: object) -> NoReturn:
    """Refused."""
    raise NotImplementedError("this stand-in for torchvision has no AlexNet")
