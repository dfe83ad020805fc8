"""The one exception that people see."""

from __future__ import annotations

__all__ = ["ImpastoError"]


class ImpastoError(ValueError):
    """A mistake that the user can mend.

    The message is one plain line: it names the file or the setting, says what is wrong with it, and how to mend it.
    The command line prints it without a traceback and exits with code 2.
    """
