"""What a person asked for, and what a run tells: plain data that goes to JSON and back, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from impasto.errors import ImpastoError
from impasto.settings import OUTPUT, REFINED, About, Settings, check_fields, described


@dataclass(frozen=True)
class Job:
    """Inputs, output and settings of one picture. Make them with :meth:`check`.

    Attributes:
        content: path of the photograph, or ``gallery:NAME``.
        styles: the paintings, likewise.
        output: path of the picture.
        settings: what determines the picture beside its inputs.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    settings: Settings = Settings()  # noqa: RUF009 (frozen)
    depth: Annotated[Literal[8, 16], About("Bits a channel; 16 for .png and .tif.", OUTPUT)] = 8
    preview: Annotated[
        str | None, About("Folder for a picture every so many steps.", OUTPUT, REFINED, metavar="DIR")
    ] = None
    preview_every: Annotated[int, Ge(1), About("Steps between two previews.", OUTPUT, REFINED)] = 25
    quality: Annotated[int, Interval(ge=1, le=100), About("Quality of .jpg, .webp and .avif.", OUTPUT)] = 95
    no_recipe: Annotated[bool, About("Write no recipe into the picture: nothing tells how it was made.", OUTPUT)] = (
        False
    )
    force: Annotated[bool, About("Overwrite files that exist.", OUTPUT, short="-f")] = False

    @classmethod
    def check(
        cls, /, content: str, styles: Sequence[str], output: str, settings: Mapping[str, Any], **rest: Any
    ) -> Job:
        """A job that is in order as far as its text tells; no file is looked at.

        Raises:
            ImpastoError: a setting that cannot be used.
        """
        job = cls(content, tuple(styles), output, Settings.check(settings), **check_fields(cls, rest))
        job.settings.shares(len(job.styles))
        job.settings.refuse_idle(cls, rest)
        return job

    def to_json(self) -> str:
        """One line. What is left at its default is not in it."""
        given = {item.name: getattr(self, item.name) for item, _, _ in described(type(self))}
        rest = {name: value for name, value in given.items() if value != getattr(type(self), name)}
        inputs = {"content": self.content, "styles": self.styles, "output": self.output}
        return json.dumps({**inputs, "settings": self.settings.given(), **rest})

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that :meth:`to_json` wrote.

        Raises:
            ImpastoError: the text is no job, or has a setting that cannot be used.
        """
        wrong = ImpastoError("the text is no job: give content, styles, output and settings as JSON")
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise wrong from error
        kinds = {"content": str, "styles": list, "output": str, "settings": dict}
        if not isinstance(parts, dict) or not all(isinstance(parts.get(name), kind) for name, kind in kinds.items()):
            raise wrong
        if not all(isinstance(style, str) for style in parts["styles"]):
            raise wrong
        return cls.check(**parts)


class _Event:
    name: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values under ``event``, the kind, and the names of the fields."""
        shown = {item.name: getattr(self, item.name) for item in fields(self) if item.init and item.repr}  # type: ignore[arg-type]
        return {"event": self.name, **shown}


@dataclass(frozen=True)
class Planned(_Event):
    """A run begins.

    Attributes:
        scales: longest side in pixels, and number of steps, of every scale, coarsest first; of a picture that is
            painted in one pass a step is a tile.
    """

    scales: tuple[tuple[int, int], ...]

    name: ClassVar[str] = "planned"


@dataclass(frozen=True)
class Progress(_Event):
    """One step of a run.

    Attributes:
        step: number of the step in the whole run, from 1.
        steps: steps in the whole run.
        scale: longest side of the picture at present, in pixels.
        losses: value of every term of the loss before the step: ``content``, ``style``, and what else was asked for.
        total_loss: their weighted sum.
        seconds: since the run began, pauses of a resumed run left out.
    """

    step: int
    steps: int
    scale: int
    losses: Mapping[str, float]
    total_loss: float
    seconds: float
    _image: Any = field(default=None, repr=False, compare=False)

    name: ClassVar[str] = "progress"

    def image(self) -> Any:
        """The picture after the step (1, 3, h, w), in [0, 1]: only inside the callback, a history keeps no pictures.

        Raises:
            ImpastoError: asked of a record in ``Painting.losses``.
        """
        if self._image is None:
            raise ImpastoError("the picture of a step is there during the callback only; keep record.image() there")
        return self._image.detach().cpu().clone()


@dataclass(frozen=True)
class Notice(_Event):
    """Something worth knowing that is no error."""

    text: str

    name: ClassVar[str] = "notice"


@dataclass(frozen=True)
class Saved(_Event):
    """The picture is finished and lies in its file.

    Attributes:
        output: the path.
        width: in pixels.
        height: in pixels.
        losses: of the last step; empty where nothing was refined.
        seconds: how long it took, pauses left out.
        extractor: name of the CNN in the loss; None where nothing was refined.
        settings: as the recipe has them.
        notices: of the run.
    """

    output: str
    width: int
    height: int
    losses: Mapping[str, float]
    seconds: float
    extractor: str | None
    settings: Mapping[str, Any]
    notices: tuple[str, ...]

    name: ClassVar[str] = "saved"


Event = Planned | Progress | Notice | Saved


def event_from_json(values: Mapping[str, Any]) -> Event:
    """The event that ``to_json`` made, from values that have been through JSON.

    Raises:
        ImpastoError: they are no event.
    """
    kinds: dict[str, Any] = {kind.name: kind for kind in (Planned, Progress, Notice, Saved)}
    try:
        known = dict(values)
        kind = kinds[known.pop("event")]
        if kind is Planned:
            known["scales"] = tuple((longest, steps) for longest, steps in known["scales"])
        if kind is Saved:
            known["notices"] = tuple(known["notices"])
        if "_image" in known:
            raise KeyError("_image")
        event: Event = kind(**known)
    except (KeyError, TypeError, ValueError) as error:
        raise ImpastoError(f"the values are no event: {error}") from error
    return event


def checkpoint_of(output: str | Path) -> Path:
    """Where a run keeps what it needs to go on: beside its output."""
    output = Path(output)
    return output.with_name(output.name + ".checkpoint")


def check_checkpoint(output: str | Path, *, resume: bool, force: bool) -> Path:
    """The checkpoint of a run. One of an earlier run is resumed, or, with ``force``, replaced in time.

    Raises:
        ImpastoError: there is one, and neither was asked for: work is not thrown away.
    """
    checkpoint = checkpoint_of(output)
    if checkpoint.exists() and not resume and not force:
        raise ImpastoError(f"{checkpoint} is there from a run cut short; add `resume` to go on, `force` to begin anew")
    return checkpoint
