from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import pytest
import typer
from annotated_types import Ge, Interval
from hypothesis import given
from hypothesis import strategies as st

from impasto.cli import app
from impasto.cli.options import Command, options_of, spell
from impasto.errors import ImpastoError
from impasto.job import Job
from impasto.settings import LOOK, OUTPUT, About, Settings, about

from .conftest import Run


@dataclass(frozen=True)
class Kinds:
    """A field of every kind that there is."""

    count: Annotated[int, Interval(ge=1, le=99), About("How many.")] = 3
    limit: Annotated[Annotated[int, Ge(1)] | None, About("At most (default: no limit).")] = None
    share: Annotated[Annotated[float, Interval(ge=0, le=1)] | None, About("How much; see `count`.")] = None
    mode: Annotated[Literal["soft", "hard"], About("How, if not by `mode=hard`.")] = "soft"
    tone: Annotated[Literal["soft", "hard"] | None, About("How it sounds.")] = None
    depth: Annotated[Literal[8, 16], About("Bits.", OUTPUT)] = 8
    some_weights: Annotated[tuple[float, ...] | None, About("One for each.", metavar="W,W...")] = None
    layers: Annotated[Mapping[str, float] | None, About("Layers.", metavar="LAYER=W,...")] = None
    force: Annotated[bool, About("Overwrite.", OUTPUT, short="-f")] = False
    name: Annotated[str, About("What it is called [sic].", metavar="NAME")] = "nobody"
    file: Annotated[str | None, About("Where.", metavar="FILE")] = None
    size: Annotated[str | int | None, About("Memory.", metavar="SIZE")] = None
    no_setting: int = 7


Parse = Callable[..., dict[str, Any]]


def command_of(received: list[dict[str, Any]], kind: type[Any] = Kinds, **choice: Any) -> Any:
    """A command with those options, that puts what it receives into a list."""
    small = typer.Typer(rich_markup_mode=None, add_completion=False)

    @small.command(cls=Command)
    @options_of(kind, "settings", **choice)
    def paint(
        picture: Annotated[str, typer.Argument()],
        settings: dict[str, Any],
        loud: Annotated[bool, typer.Option()] = False,
    ) -> None:
        """Paint."""
        received.append({"picture": picture, "loud": loud, **settings})

    return typer.main.get_command(small)


@pytest.fixture
def parse() -> Parse:
    """What a command with an option for each field of Kinds receives."""

    def parse(*arguments: str, **choice: Any) -> dict[str, Any]:
        received: list[dict[str, Any]] = []
        command_of(received, **choice).main(args=["a.png", *arguments], standalone_mode=False)
        (values,) = received
        assert values.pop("picture") == "a.png"
        values.pop("loud")
        return values

    return parse


def help_of(command: Any) -> str:
    shown: str = command.get_help(command.context_class(command))
    return shown


class TestOptionsOf:
    def test_nothing_typed_nothing_passed(self, parse: Parse) -> None:
        assert parse() == {}

    @pytest.mark.parametrize(
        ("arguments", "values"),
        [
            ("--count 7", {"count": 7}),
            ("--count many", {"count": "many"}),  # The check of the settings knows the bounds.
            ("--count 1.5", {"count": "1.5"}),
            ("--share half", {"share": "half"}),
            ("--count 3", {"count": 3}),  # Typed, though it is the default.
            ("--limit 2", {"limit": 2}),
            ("--share 0.5", {"share": 0.5}),
            ("--share -1", {"share": -1.0}),  # Bounds are the settings' affair.
            ("--mode hard", {"mode": "hard"}),
            ("--tone hard", {"tone": "hard"}),
            ("--depth 16", {"depth": 16}),
            ("--some-weights 0.7,0.3", {"some_weights": (0.7, 0.3)}),
            ("--some-weights 1", {"some_weights": (1.0,)}),
            ("--layers relu1_1,relu2_1=0.5", {"layers": {"relu1_1": 1.0, "relu2_1": 0.5}}),
            ("--force", {"force": True}),
            ("-f", {"force": True}),
            ("--name 8", {"name": "8"}),
            ("--file a/b.png", {"file": "a/b.png"}),
            ("--size 2G --count 4 --force", {"size": "2G", "count": 4, "force": True}),
        ],
    )
    def test_what_was_typed_and_nothing_else(self, parse: Parse, arguments: str, values: dict[str, Any]) -> None:
        received = parse(*arguments.split())
        assert received == values
        assert {name: type(value) for name, value in received.items()} == {
            name: type(value) for name, value in values.items()
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("--mode loud", "'loud' is not one of 'soft', 'hard'"),
            ("--depth 12", "'12' is not one of '8', '16'"),
            ("--depth deep", "'deep' is not one of '8', '16'"),
            ("--no-setting 3", "No such option: --no-setting"),
            ("--settings 3", "No such option: --settings"),
        ],
    )
    def test_what_is_none_of_its_kind(self, parse: Parse, arguments: str, message: str) -> None:
        with pytest.raises(typer.BadParameter.__base__) as refused:  # type: ignore[arg-type]
            parse(*arguments.split())
        assert message in refused.value.format_message()  # type: ignore[attr-defined]

    def test_the_help_is_plain_text_without_bounds(self) -> None:
        shown = help_of(command_of([]))
        for item in fields(Kinds):
            assert (spell(item.name) in shown) is (item.name != "no_setting")
        text = " ".join(shown.split())
        for part in (
            "How many. [default: 3]",
            "At most (default: no limit). --",
            "How much; see --count. --",
            "How, if not by --mode hard. [default: soft]",
            "Bits. [default: 8]",
            "--some-weights W,W... One for each.",
            "--layers LAYER=W,... Layers.",
            "-f, --force Overwrite.",
            "--name NAME What it is called [sic]. [default: nobody]",
            "--file FILE Where.",
        ):
            assert part in text, part
        for noise in ("None", "<=", ">=", "99", "Annotated", "`"):
            assert noise not in text, noise
        assert re.findall(r"^(\S.*):$", shown, re.MULTILINE) == ["Arguments", LOOK, OUTPUT, "Options"]

    def test_only_and_without(self) -> None:
        shown = help_of(command_of([], only=("count", "mode", "force"), without=("force",)))
        assert {spell(item.name) for item in fields(Kinds) if spell(item.name) in shown} == {"--count", "--mode"}

    def test_defaults_of_the_command(self, parse: Parse) -> None:
        defaults = {"count": 9, "share": 0.25}
        assert parse(defaults=defaults) == defaults
        assert parse("--count", "5", defaults=defaults) == {"count": 5, "share": 0.25}
        text = " ".join(help_of(command_of([], defaults=defaults)).split())
        assert "How many. [default: 9]" in text
        assert "see --count. [default: 0.25]" in text

    def test_two_kinds_in_one_command(self) -> None:
        small, received = typer.Typer(rich_markup_mode=None, add_completion=False), []

        @small.command()
        @options_of(Kinds, "kinds", only=("count", "depth"))
        @options_of(Job, "job", only=("force",))
        def paint(context: typer.Context, kinds: dict[str, Any], job: dict[str, Any]) -> None:
            received.append((context.info_name is not None, kinds, job))

        typer.main.get_command(small).main(args=["-f", "--depth", "16"], prog_name="x", standalone_mode=False)
        assert received == [(True, {"depth": 16}, {"force": True})]

    @given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5))
    def test_weights_are_read_as_written(self, weights: list[float]) -> None:
        received: list[dict[str, Any]] = []
        text = ",".join(map(repr, weights))
        command_of(received).main(args=["a.png", f"--some-weights={text}"], standalone_mode=False)
        assert received[0]["some_weights"] == tuple(weights)

    @pytest.mark.parametrize(("text", "part"), [("1,", ""), ("a;b", "a;b"), ("0.7 0.3", "0.7 0.3")])
    def test_wrong_weights(self, parse: Parse, text: str, part: str) -> None:
        with pytest.raises(ImpastoError, match=f"^some_weights: '{part}' is not a number; write for example 0.7$"):
            parse("--some-weights", text)

    def test_layers(self, parse: Parse) -> None:
        read = parse("--layers", "relu1_1=1, relu2_1=0.5,relu4_2")["layers"]
        assert read == {"relu1_1": 1.0, "relu2_1": 0.5, "relu4_2": 1.0}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("relu4_2=1,relu4_2=2", "layers: relu4_2 stands there twice; name it once"),
            ("relu4_2=", "layers: '' is not a number"),
            ("relu4_2=much", "layers: 'much' is not a number; write for example 0.7"),
        ],
    )
    def test_wrong_layers(self, parse: Parse, text: str, message: str) -> None:
        with pytest.raises(ImpastoError, match=f"^{message}"):
            parse("--layers", text)


@pytest.mark.parametrize("text", ["conv4_2", ""])
@pytest.mark.parametrize("option", ["--content-layers", "--style-layers"])
def test_what_is_no_layer(run: Run, option: str, text: str) -> None:
    result = run("stylize", "a.png", "b.png", "-o", "c.png", option, text)
    assert result.code == 2
    assert result.error == f"impasto: error: {option}: {text!r} is no layer; write for example relu4_2"


def test_every_option_of_stylize_is_a_setting_or_one_of_a_few() -> None:
    """A setting is written down once: in Settings or in Job, with its help."""
    command = typer.main.get_command(app).commands["stylize"]  # type: ignore[attr-defined]
    options = {item.name: item for item in command.params if item.param_type_name == "option"}
    settings = about(Settings) | about(Job)
    assert set(options) - set(settings) == {"output", "resume", "quiet", "json", "debug"}
    assert set(settings) <= set(options)
    for name, facts in settings.items():
        assert options[name].help == ImpastoError(facts.help).spelled(spell)
        assert options[name].rich_help_panel == facts.panel
