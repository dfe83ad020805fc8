"""``impasto`` and ``python -m impasto``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

#: Seconds after a signal in which others change nothing: a second Ctrl-C must not break off what the first one keeps.
PATIENCE = 5.0


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP end the program alike: what a run needs to go on is kept.

    Only the program takes signals, the library leaves them to its caller.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._until = -1.0
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # As under nohup.
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() < self._until:
            return
        self.number, self._until = number, time.monotonic() + PATIENCE
        raise KeyboardInterrupt

    def code(self, code: int) -> int:
        """The exit code: 130 after Ctrl-C, and for the others likewise 128 and their number."""
        return 128 + self.number if code == 130 and self.number is not None else code


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line as a program of its own; see :func:`impasto.cli.main`."""
    try:
        signals = Signals()
        from impasto.cli import main

        return signals.code(main(arguments))
    except KeyboardInterrupt:  # While it was loaded.
        return 130


if __name__ == "__main__":
    sys.exit(run())
