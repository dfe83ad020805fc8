"""What the commands that train have in common: options, checkpoint, progress, result."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from impasto.cli.options import (
    Debug,
    Force,
    Json,
    Quiet,
    Resume,
    check_weights_out,
    check_word_or_file,
    one_voice,
    options_of,
)
from impasto.cli.report import duration, note, say, say_json
from impasto.cli.run import stoppable
from impasto.configs import LOSS, TRAINING
from impasto.errors import ImpastoError
from impasto.files.atomic import check_no_input, claimed, discard
from impasto.job import check_checkpoint, checkpoint_of
from impasto.settings import MACHINE, OUTPUT, Settings, check_fields

if TYPE_CHECKING:
    from impasto.course import Step


def place(help: str, panel: str, metavar: str = "DIR", *names: str) -> Any:
    """An option that names a file or folder."""
    return typer.Option(*names, metavar=metavar, help=help, show_default=False, rich_help_panel=panel)


def source(help: str, metavar: str = "DIR") -> Any:
    """An option that names what to learn from."""
    return place(help, "What to learn from", metavar)


def beside(help: str) -> Any:
    """An option that names a folder for what comes beside the weights."""
    return place(help, OUTPUT)


Out = Annotated[Path, place("The .safetensors file to write.", OUTPUT, "FILE", "--out", "-o")]
Devices = Annotated[int, typer.Option(help="Devices that share every batch.", min=1, rich_help_panel=MACHINE)]
StartFrom = Annotated[Path | None, place("Network of an earlier training to begin with.", TRAINING, "FILE")]

InLoss = Annotated[str, typer.Option(metavar="compact|vgg19|FILE", help="CNN in the loss.", rich_help_panel=LOSS)]
Judge = Annotated[
    str,
    typer.Option(
        metavar="auto|vgg19|compact|FILE",
        help="CNN that judges at the end; auto is VGG-19 where its weights are here.",
        rich_help_panel=OUTPUT,
    ),
]


class TrainingReporter:
    """Prints every step as an object (``json``), or else a line every ten seconds."""

    EVERY = 10.0  # seconds

    def __init__(self, *, quiet: bool, json: bool) -> None:
        self._quiet, self._json = quiet, json
        self._said_at = -self.EVERY
        self._first: Step | None = None

    def log(self, line: str) -> None:
        """Print a line."""
        if not self._quiet:
            note(line)

    def step(self, record: Step) -> None:
        """A step is done."""
        if self._first is None:
            # The pace is taken from here: earlier steps are of another run, and the first step takes longer.
            self._first, self._said_at = record, record.seconds - self.EVERY
        if self._quiet:
            return
        if self._json:
            counted = {"step": record.step, "steps": record.steps}
            say_json({**counted, **record.figures, "seconds": round(record.seconds, 3)})
        elif record.seconds - self._said_at >= self.EVERY or record.step == record.steps:
            self._said_at = record.seconds
            told = "".join(f"  {name} {value:.4g}" for name, value in record.figures.items() if value is not None)
            note(f"step {record.step}/{record.steps}{told}{self._left(record, self._first)}")

    @staticmethod
    def _left(record: Step, first: Step) -> str:
        done = record.step - first.step
        pace = (record.seconds - first.seconds) / done if done else 0.0
        return f"  {duration(pace * (record.steps - record.step))} left" if done else ""


@dataclass(frozen=True)
class Session:
    """One training from the command line."""

    given: dict[str, Any]  # the settings that were typed
    config: Any  # all of them
    out: Path
    machine: Settings  # device and threads
    resume: bool
    force: bool
    quiet: bool
    json: bool
    leads: bool  # whether this process prints; with several devices the command runs once for each

    def beside(self, given: Path | None, setting: str) -> Path:
        """The folder that was given, or one beside the output, named after the setting; ImpastoError for a file."""
        place = given or self.out.with_name(f"{self.out.stem}-{setting}")
        if place.exists() and not place.is_dir():
            raise ImpastoError(f"{place} is a file; name a folder", setting=setting)
        return place

    @contextmanager
    def running(self) -> Iterator[dict[str, Any]]:
        """Around the training and all that it writes: gives it its ``device`` and its ``course``.

        Raises:
            ImpastoError: a checkpoint is there, and neither to be resumed nor to be replaced; another run writes the
                same file; no such device.
            typer.Exit: after Ctrl-C.
        """
        reporter = TrainingReporter(quiet=self.quiet, json=self.json)

        from impasto.course import Course
        from impasto.machine import freed_memory_kept, own_torch, resolve_device

        with claimed(self.out) if self.leads else nullcontext():
            checkpoint = check_checkpoint(self.out, resume=self.resume, force=self.force)
            if self.resume and self.leads and not checkpoint.exists():
                reporter.log(f"there is no {checkpoint} to go on from; beginning anew")
            with freed_memory_kept(), own_torch(self.machine.threads), stoppable(checkpoint, tell=self.leads):
                course = Course(checkpoint, resume=self.resume, callback=reporter.step, log=reporter.log)
                yield {"device": resolve_device(self.machine.device), "course": course}
            if self.leads:
                discard(checkpoint)

    def tell(self, figures: dict[str, Any], text: str) -> None:
        """Print the result: with ``--json`` the figures, else the text."""
        if self.json and self.leads:
            say_json({"output": str(self.out), **figures})
        elif not self.quiet:
            say(text)


def _is_finished(out: Path, config: Any) -> bool:
    """Whether the file is what a training of these settings leaves."""
    if not out.is_file():
        return False
    from impasto.files.cards import read_card

    try:
        card = read_card(out) or {}
    except Exception:  # Some other file.
        return False
    return bool(card.get("config") == asdict(config))


def trains(
    kind: type[Any], *, needs: Sequence[str] = (), extra: str = "", beside: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: the command gets the options of its settings and of all trainings, and is called with a session.

    ``kind`` is the dataclass of its settings, ``needs`` are packages of the ``extra`` that it needs, and ``beside`` the
    endings of files that it writes beside the output.
    """
    defaults = {"precision": "auto"} if hasattr(kind, "precision") else {}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(
            out: Out,
            settings: dict[str, Any],
            machine: dict[str, Any],
            resume: Resume = False,
            force: Force = False,
            quiet: Quiet = False,
            json: Json = False,
            debug: Debug = False,
            **own: Any,
        ) -> None:
            one_voice(quiet=quiet, json=json)
            config = kind(**check_fields(kind, settings))
            if resume and not checkpoint_of(out).exists() and _is_finished(out, config):
                if not quiet:
                    note(f"{out} is finished already; there is nothing left to do")
                return
            others = [out.with_suffix(ending) for ending in beside]
            check_weights_out(out, *others, force=force or (resume and checkpoint_of(out).exists()))
            check_no_input(out, *(value for value in own.values() if isinstance(value, str | Path)))
            missing = [name for name in needs if find_spec(name) is None]
            if missing:
                raise ImpastoError(f"{' and '.join(missing)} missing; install it: pip install 'impasto[{extra}]'")
            leads = os.environ.get("LOCAL_RANK", "0") == "0"
            known = Settings.check(machine)
            command(Session(settings, config, out, known, resume, force, quiet or not leads, json, leads), **own)

        ours = [item for name, item in inspect.signature(run).parameters.items() if name != "own"]
        own = [item for name, item in inspect.signature(command).parameters.items() if name != "session"]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in (*own, *ours)]
        )
        run.__annotations__ = get_type_hints(command, include_extras=True) | {
            name: hint for name, hint in get_type_hints(run, include_extras=True).items() if name != "own"
        }
        run.__doc__ = command.__doc__
        return options_of(kind, "settings", defaults=defaults)(
            options_of(Settings, "machine", only=("device", "threads"))(run)
        )

    return decorate


def check_cnns(extractor: str, judge: str) -> None:
    """Raise ImpastoError if the CNN in the loss or the one that judges is neither known nor a file."""
    check_word_or_file(extractor, ("compact", "vgg19"), "extractor")
    check_word_or_file(judge, ("auto", "vgg19", "compact"), "judge")


def check_folder(path: Path, setting: str, what: str) -> None:
    """Raise ImpastoError if the path is no folder."""
    if not path.is_dir():
        raise ImpastoError(f"{path} is no folder; name one with {what} in it", setting=setting)


def check_start(path: Path | None) -> None:
    """Raise ImpastoError if the file of an earlier training is not there."""
    if path is not None and not path.is_file():
        raise ImpastoError(f"there is no {path}; name the file of an earlier training", setting="start_from")
