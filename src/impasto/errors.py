"""The one exception that people see."""

from __future__ import annotations

import re
from collections.abc import Callable

#: A setting inside a message, alone or with a value: ``max_pixels``, ``runtime=onnx``, between backquotes.
_SETTING = re.compile(r"`([a-z_]+)(?:=([^`]+))?`")


class ImpastoError(ValueError):
    """A mistake that the user can mend.

    The message is one plain line: it names the file or the setting, says what is wrong with it, and how to mend it.
    Settings inside the text stand between backquotes, so that the command line can say ``--max-pixels`` where Python
    says ``max_pixels``.

    Args:
        text: the message.
        setting: name of the setting that the message begins with.

    Example:
        >>> str(ImpastoError("3 is out of range; lower `size`", setting="strength"))
        'strength: 3 is out of range; lower size'
    """

    def __init__(self, text: str, setting: str | None = None) -> None:
        super().__init__(text, setting)
        self.text, self.setting = text, setting

    def __str__(self) -> str:
        return self.spelled(_in_python)

    def spelled(self, spell: Callable[[str, str | None], str]) -> str:
        """The message with every setting, and the value that it is to have, as ``spell`` writes them."""
        text = _SETTING.sub(lambda match: spell(match[1], match[2]), self.text)
        return text if self.setting is None else f"{spell(self.setting, None)}: {text}"


def _in_python(name: str, value: str | None) -> str:
    """``size``, ``size=64``, ``method='instant'``."""
    if value is None:
        return name
    return f"{name}={value if value.isdecimal() else repr(value)}"
