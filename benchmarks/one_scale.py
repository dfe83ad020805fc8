"""``impasto`` with the same options, but all steps at the full size: for the time of one.

    python benchmarks/one_scale.py stylize CONTENT STYLE -o OUT.png --size 512 --steps 6

impasto takes most of its steps at smaller sizes, other programs none. This leaves the pyramid out and everything else
as it is.
"""

from __future__ import annotations

import sys

from impasto.refine import pyramid
from impasto.refine.pyramid import Scale, default_steps


def one_scale(size: int, steps: int | None = None, smallest: int = 0) -> tuple[Scale, ...]:
    """In place of :func:`impasto.refine.pyramid.plan`."""
    return (Scale(size, steps or default_steps(size)),)


if __name__ == "__main__":
    # Before anything imports it from there.
    pyramid.plan = one_scale
    from impasto.cli import main

    sys.exit(main())
