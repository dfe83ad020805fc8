"""Make settings.md, the reference of all settings, from the fields of ``Settings`` and ``Job``."""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from impasto.cli.options import spell
from impasto.errors import ImpastoError
from impasto.job import Job
from impasto.settings import METHODS, Settings, described

PAGE = Path(__file__).with_name("settings.md")

INTRODUCTION = """# Settings

Every setting of a painting: on the command line as it stands here, in Python as a keyword of `impasto.stylize`, with
underscores for the dashes (`content_weight=1e-3`), and in the recipe inside the picture. This page is made from
`src/impasto/settings.py` by `docs/make_reference.py`.
"""


def page() -> str:
    """The page, as Markdown."""
    parts = [INTRODUCTION]
    for panel in dict.fromkeys(facts.panel for kind in (Settings, Job) for _, _, facts in described(kind)):
        rows = [row(*field) for kind in (Settings, Job) for field in described(kind) if field[2].panel == panel]
        head = "| option | values | default | methods | |\n| --- | --- | --- | --- | --- |"
        parts.append(f"## {panel}\n\n" + "\n".join([head, *rows]) + "\n")
    return "\n".join(parts)


def row(item: Any, hint: Any, facts: Any) -> str:
    """A line of the table."""
    methods = "all" if facts.methods == set(METHODS) else ", ".join(m for m in METHODS if m in facts.methods)
    default = "" if item.default is None or item.default is False else f"`{item.default}`"
    text = ImpastoError(facts.help).spelled(spell)
    shape = facts.metavar.replace("|", ", ") if facts.metavar else values(hint)
    return f"| `{spell(item.name)}` | {shape} | {default} | {methods} | {text} |"


def values(hint: Any) -> str:
    """What a setting may be, in words."""
    span = ""
    while get_origin(hint) in (Annotated, Union, UnionType):
        first, *notes = get_args(hint)
        for note in notes:
            low, high = getattr(note, "ge", None), getattr(note, "le", None)
            if low is not None:
                span = f" from {low} up" if high is None or high > 1e9 else f", {low} to {high}"
        hint = first
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    return {int: "whole number", float: "number", bool: "", str: "text"}[hint] + span


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
