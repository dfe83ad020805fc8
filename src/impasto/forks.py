"""Whether this process is the child of a fork. ``import impasto`` loads this: no fork after it goes unnoticed."""

from __future__ import annotations

import os

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def forked() -> bool:
    """Whether this process is the child of a fork of one that had imported impasto."""
    return _forked
