from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.job import (
    Event,
    Job,
    Notice,
    Planned,
    Progress,
    Saved,
    check_checkpoint,
    checkpoint_of,
    event_from_json,
)
from impasto.settings import METHODS, Settings

TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
LOSSES = st.dictionaries(TEXT, NUMBER, max_size=3)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)

SETTINGS = {
    "refine": {"size": 300, "content_weight": 1e-4, "style_layers": {"relu1_1": 1.0}, "max_memory": "1G", "threads": 2},
    "instant": {"method": "instant", "strength": 0.5, "model": "net.safetensors", "seed": 7},
    "hybrid": {"method": "hybrid", "steps": 9, "strength": 0.5, "detail": 0.0, "max_pixels": 10**6},
}


def job(method: str = "refine", **rest: Any) -> Job:
    return Job.check("photo.jpg", ["night.png", "gallery:wave"], "out.png", SETTINGS[method], **rest)


jobs = st.builds(
    lambda method, content, styles, output, seed, depth, every, preview, force: Job.check(
        content,
        styles,
        output,
        {**SETTINGS[method], "seed": seed, "style_weights": [1.0] * len(styles)},
        depth=depth,
        force=force,
        **({"preview": preview, "preview_every": every} if method != "instant" else {}),
    ),
    st.sampled_from(METHODS),
    TEXT,
    st.lists(TEXT, min_size=1, max_size=3),
    TEXT,
    st.integers(0, 2**63 - 1),
    st.sampled_from([8, 16]),
    st.integers(1, 100),
    st.none() | TEXT,
    st.booleans(),
)


class TestJob:
    @given(jobs)
    def test_comes_back_from_json(self, job: Job) -> None:
        text = job.to_json()
        assert "\n" not in text
        assert Job.from_json(text) == job
        assert Job.from_json(text).to_json() == text

    @pytest.mark.parametrize("method", METHODS)
    def test_defaults_come_back(self, method: str) -> None:
        plain = Job.check("a.jpg", ["b.jpg"], "c.png", {"method": method})
        assert Job.from_json(plain.to_json()) == plain

    def test_json_is_short(self) -> None:
        """What is left at its default is not written down: a job of today means the same tomorrow."""
        assert json.loads(Job.check("a.jpg", ["b.jpg"], "c.png", {"size": 512}).to_json()) == {
            "content": "a.jpg",
            "styles": ["b.jpg"],
            "output": "c.png",
            "settings": {},
        }

    def test_names_that_are_not_utf8_survive(self) -> None:
        odd = Job.check("caf\udce9.jpg", ["b.jpg"], "c.png", {})
        assert Job.from_json(odd.to_json()).content == "caf\udce9.jpg"

    def test_values(self) -> None:
        made = job(depth=16, preview="steps", preview_every=5, force=True)
        assert (made.content, made.styles, made.output) == ("photo.jpg", ("night.png", "gallery:wave"), "out.png")
        assert (made.depth, made.preview, made.preview_every, made.force) == (16, "steps", 5, True)
        assert made.settings == Settings.check(SETTINGS["refine"])
        assert (job().depth, job().preview, job().preview_every, job().force) == (8, None, 25, False)
        with pytest.raises(FrozenInstanceError):
            made.depth = 8  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("rest", "message"),
        [
            ({"depth": 12}, "depth: 12 is unknown; give 8 or 16"),
            ({"depth": "8"}, "depth: '8' is unknown; give 8 or 16"),
            ({"preview": 3}, "preview: 3 cannot be used; give text"),
            ({"preview_every": 0}, "preview_every: 0 is out of range; give a whole number from 1 up"),
            ({"force": "yes"}, "force: 'yes' cannot be used; give true or false"),
            ({"quality": 0}, "quality: 0 is out of range; give a whole number from 1 to 100"),
            (
                {"grade": 3},
                "grade: no such setting; there are depth, force, no_recipe, preview, preview_every, quality",
            ),
        ],
    )
    def test_mistakes(self, rest: dict[str, Any], message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            job(**rest)
        assert str(caught.value) == message

    @pytest.mark.parametrize("rest", [{"preview": "steps"}, {"preview_every": 3}])
    def test_previews_mean_nothing_without_steps(self, rest: dict[str, Any]) -> None:
        with pytest.raises(ImpastoError, match=r"^preview(_every)?: means nothing with method='instant'; leave it out"):
            job("instant", **rest)
        job("hybrid", **rest)

    @pytest.mark.parametrize(
        ("styles", "given", "message"),
        [
            ([], {}, "styles: there is none; give at least one painting"),
            (["a.png"], {"style_weights": [1, 2]}, "style_weights: 2 weights for 1 paintings; give one for each"),
            (["a.png"], {"size": -1}, "size: -1 is out of range"),
            (["a.png"], {"colour": "red"}, "colour: no such setting"),
        ],
    )
    def test_mistakes_in_settings(self, styles: list[str], given: dict[str, Any], message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            Job.check("photo.jpg", styles, "out.png", given)
        assert str(caught.value).startswith(message)


def mangled(**changes: Any) -> str:
    return json.dumps({**json.loads(job().to_json()), **changes})


def without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(job().to_json()).items() if key != name})


class TestWrongJobs:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "null",
            "[]",
            "3",
            '"photo.jpg"',
            "{}",
            "[" * 100_000,
            without("content"),
            without("styles"),
            without("output"),
            without("settings"),
            mangled(content=3),
            mangled(content=None),
            mangled(content=["photo.jpg"]),
            mangled(styles="night.png"),
            mangled(styles=3),
            mangled(styles=[3]),
            mangled(styles=None),
            mangled(styles={"night.png": 1}),
            mangled(output=3),
            mangled(output={}),
            mangled(settings=3),
            mangled(settings=None),
            mangled(settings=[]),
            mangled(settings="size=3"),
        ],
    )
    def test_no_job(self, text: str) -> None:
        with pytest.raises(
            ImpastoError, match=r"^the text is no job: give content, styles, output and settings as JSON$"
        ):
            Job.from_json(text)

    @pytest.mark.parametrize(
        ("text", "setting"),
        [
            (mangled(settings={"size": "large"}), "size"),
            (mangled(settings={"method": "magic"}), "method"),
            (mangled(depth=7), "depth"),
            (mangled(force=1), "force"),
            (mangled(preview_every=None), "preview_every"),
        ],
    )
    def test_the_setting_is_named(self, text: str, setting: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            Job.from_json(text)
        assert caught.value.setting == setting

    @pytest.mark.parametrize("name", ["cls", "self", "name", ""])
    def test_any_unknown_part(self, name: str) -> None:
        with pytest.raises(ImpastoError, match="no such setting"):
            Job.from_json(mangled(**{name: 1}))

    def test_an_unknown_part(self) -> None:
        with pytest.raises(ImpastoError, match=r"^mood: no such setting; there are depth"):
            Job.from_json(mangled(mood="blue"))

    @settings(max_examples=200)
    @given(st.text() | JSON_LIKE.map(json.dumps))
    def test_no_other_text_breaks_it(self, text: str) -> None:
        with pytest.raises(ImpastoError):
            Job.from_json(text)

    @settings(max_examples=200)
    @given(
        st.sampled_from(["content", "styles", "output", "settings", "depth", "preview", "preview_every", "force"]),
        JSON_LIKE,
    )
    def test_no_other_part_breaks_it(self, name: str, value: Any) -> None:
        text = mangled(**{name: value})
        try:
            found = Job.from_json(text)
        except ImpastoError:
            return
        assert Job.from_json(found.to_json()) == found


events = (
    st.builds(Planned, st.lists(st.tuples(st.integers(1), st.integers(1)), max_size=4).map(tuple))
    | st.builds(Progress, st.integers(1), st.integers(1), st.integers(1), LOSSES, NUMBER, NUMBER)
    | st.builds(Notice, st.text())
    | st.builds(
        Saved,
        output=TEXT,
        width=st.integers(1),
        height=st.integers(1),
        losses=LOSSES,
        seconds=NUMBER,
        extractor=st.none() | TEXT,
        settings=st.dictionaries(TEXT, JSON_LIKE, max_size=3),
        notices=st.lists(TEXT, max_size=3).map(tuple),
    )
)

EXAMPLES = {
    "planned": Planned(((64, 9), (128, 3))),
    "progress": Progress(2, 12, 64, {"content": 0.5, "style": 1.5}, 51.5, 0.25),
    "notice": Notice("something worth knowing"),
    "saved": Saved("out.png", 64, 48, {"content": 0.5, "total": 3.0}, 1.5, None, {"size": 64}, ("a", "b")),
}


class TestEvents:
    @given(events)
    def test_come_back_from_json(self, event: Event) -> None:
        assert event_from_json(json.loads(json.dumps(event.to_json()))) == event

    @pytest.mark.parametrize(("name", "event"), EXAMPLES.items())
    def test_plain_values(self, name: str, event: Event) -> None:
        values = json.loads(json.dumps(event.to_json()))
        assert values["event"] == event.name == name
        assert event_from_json(values) == event
        assert type(event_from_json(values)) is type(event)

    def test_keys(self) -> None:
        assert EXAMPLES["progress"].to_json() == {
            "event": "progress",
            "step": 2,
            "steps": 12,
            "scale": 64,
            "losses": {"content": 0.5, "style": 1.5},
            "total_loss": 51.5,
            "seconds": 0.25,
        }

    def test_a_picture_does_not_go_into_json(self) -> None:
        record = Progress(1, 2, 64, {}, 0.0, 0.0, torch.rand(1, 3, 4, 4))
        assert "_image" not in record.to_json()
        assert record.image().shape == (1, 3, 4, 4)
        assert record == Progress(1, 2, 64, {}, 0.0, 0.0)
        back = event_from_json(record.to_json())
        assert isinstance(back, Progress)
        with pytest.raises(ImpastoError, match="during the callback only"):
            back.image()

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_wrong_values(self, name: str) -> None:
        values = EXAMPLES[name].to_json()
        for part in values:
            with pytest.raises(ImpastoError, match="no event"):
                event_from_json({key: value for key, value in values.items() if key != part})
        with pytest.raises(ImpastoError, match="no event"):
            event_from_json({**values, "mood": "blue"})

    @pytest.mark.parametrize(
        "values",
        [
            {"event": "started"},
            {"event": None},
            {"event": ["saved"]},
            {"event": "planned", "scales": 3},
            {"event": "planned", "scales": [3]},
            {"event": "planned", "scales": [[1, 2, 3]]},
            {"event": "notice"},
            {"event": "notice", "text": "a", "_image": 3},
            {**EXAMPLES["progress"].to_json(), "_image": 3},
            {**EXAMPLES["saved"].to_json(), "notices": 3},
            3,
            None,
            [],
            "saved",
        ],
    )
    def test_no_events(self, values: Any) -> None:
        with pytest.raises(ImpastoError, match="no event"):
            event_from_json(values)

    @given(JSON_LIKE)
    @example({"event": {}})
    def test_no_other_values_break_it(self, values: Any) -> None:
        with pytest.raises(ImpastoError):
            event_from_json(values)


class TestCheckpoints:
    def test_lies_beside_the_output(self) -> None:
        assert checkpoint_of(Path("a/b.png")) == Path("a/b.png.checkpoint")
        assert checkpoint_of("b.png") == Path("b.png.checkpoint")

    def test_hours_of_work_are_not_thrown_away(self, tmp_path: Path) -> None:
        out = tmp_path / "net.safetensors"
        assert not check_checkpoint(out, resume=False, force=False).exists()
        checkpoint_of(out).write_bytes(b"state")
        with pytest.raises(ImpastoError, match="add resume to go on, force to begin anew"):
            check_checkpoint(out, resume=False, force=False)
        for how in ((True, False), (False, True), (True, True)):
            assert check_checkpoint(out, resume=how[0], force=how[1]).read_bytes() == b"state"
