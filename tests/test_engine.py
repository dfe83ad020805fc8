"""The one door: a job in, a saved picture out, events on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto.engine import Stopped, run
from impasto.errors import ImpastoError
from impasto.images import load_image, save_image
from impasto.job import Event, Job, Notice, Planned, Progress, Saved, checkpoint_of, event_from_json
from impasto.networks.autoencoder import AutoEncoder
from impasto.recipe import Recipe
from impasto.refine.pyramid import plan

MakeJob = Callable[..., Job]


@pytest.fixture
def job(files: tuple[Path, Path], tiny_file: str, tmp_path: Path) -> MakeJob:
    """A job of a few steps over two scales, with the tiny extractor."""

    def make(output: str = "out.png", styles: list[str] | None = None, rest: Any = None, **settings: Any) -> Job:
        given = {"size": 128, "steps": 8, "extractor": tiny_file, **settings}
        if given.get("method") == "instant":
            given = {name: value for name, value in given.items() if name not in ("steps", "extractor")}
        return Job.check(str(files[0]), styles or [str(files[1])], str(tmp_path / output), given, **(rest or {}))

    return make


@pytest.fixture
def network(tmp_path: Path) -> str:
    """A narrow network that paints something, though it never trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8)
        torch.nn.init.normal_(made.last.kernel.weight)
    made.to_file(tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


def after(step: int) -> tuple[Callable[[Event], None], Callable[[], bool]]:
    """What hears the events, and says stop after a step."""
    done = [0]

    def report(event: Event) -> None:
        if isinstance(event, Progress):
            done[0] = event.step

    return report, lambda: done[0] >= step


class TestARun:
    def test_events_in_order(self, job: MakeJob) -> None:
        heard: list[Event] = []
        made = job()
        saved = run(made, report=heard.append)
        assert [event.name for event in heard] == ["planned", *["progress"] * 8, "saved"]
        assert heard[0] == Planned(tuple((scale.longest, scale.steps) for scale in plan(128, 8)))
        steps = [event for event in heard if isinstance(event, Progress)]
        assert [event.step for event in steps] == list(range(1, 9))
        assert [event.scale for event in steps] == [64] * plan(128, 8)[0].steps + [128] * plan(128, 8)[1].steps
        assert heard[-1] is saved
        for event in heard:
            assert event_from_json(json.loads(json.dumps(event.to_json()))) == event

    def test_saves_what_stylize_paints(self, job: MakeJob, files: tuple[Path, Path], tmp_path: Path) -> None:
        made = job(content_weight=1e-2)
        saved = run(made)
        wanted = impasto.stylize(*files, **made.settings.given())
        wanted.save(tmp_path / "wanted.png")
        assert Path(saved.output).read_bytes() == (tmp_path / "wanted.png").read_bytes()
        assert Recipe.from_file(saved.output) == wanted.recipe.without_folders()
        last = wanted.losses[-1]
        assert saved == Saved(
            output=made.output,
            width=128,
            height=96,
            losses={**last.losses, "total": last.total_loss},
            seconds=saved.seconds,
            extractor="compact",
            settings=wanted.recipe.settings,
            notices=(),
        )
        assert saved.seconds > 0

    def test_without_its_recipe(self, job: MakeJob, files: tuple[Path, Path], tmp_path: Path) -> None:
        brief = {"size": 64, "steps": 1}
        saved = run(job(**brief))
        assert str(tmp_path).encode() not in Path(saved.output).read_bytes()
        bare = replace(job(**brief), output=str(tmp_path / "bare.png"), no_recipe=True)
        assert files[0].name.encode() not in Path(run(bare).output).read_bytes()
        with pytest.raises(ImpastoError, match="carries no recipe"):
            Recipe.from_file(bare.output)

    def test_the_credit_of_the_photograph(self, job: MakeJob, files: tuple[Path, Path], tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[33432] = "Jane"
        exif.get_ifd(0x8825)[1] = "N"
        with Image.open(files[0]) as photograph:
            photograph.save(files[0], exif=exif.tobytes())
        saved = run(job(size=64, steps=1))
        with Image.open(saved.output) as painted:
            assert dict(painted.getexif()) == {33432: "Jane"}

    def test_leaves_nothing_but_the_picture(self, job: MakeJob, tmp_path: Path) -> None:
        before = set(tmp_path.iterdir())
        run(job())
        assert {path.name for path in set(tmp_path.iterdir()) - before} == {"out.png"}

    def test_a_job_from_json_is_the_same_run(self, job: MakeJob) -> None:
        made = job()
        run(made)
        before = Path(made.output).read_bytes()
        again = Job.from_json(replace(made, force=True).to_json())
        run(again)
        assert Path(made.output).read_bytes() == before

    @pytest.mark.parametrize(("output", "depth"), [("out.tif", 16), ("out.webp", 8), ("out.jpg", 8)])
    def test_kinds_of_files(self, job: MakeJob, output: str, depth: int) -> None:
        made = job(output, size=64, steps=1, rest={"depth": depth})
        run(made)
        assert load_image(made.output).tensor.shape == (1, 3, 48, 64)
        assert Recipe.from_file(made.output).settings["steps"] == 1

    def test_several_paintings(self, job: MakeJob, files: tuple[Path, Path]) -> None:
        made = job(styles=[str(files[1]), str(files[0])], size=64, steps=2, style_weights=[3, 1])
        assert run(made).settings["style_weights"] == [0.75, 0.25]
        assert [style.name for style in Recipe.from_file(made.output).styles] == [files[1].name, files[0].name]

    def test_the_recipe_may_be_another(self, job: MakeJob) -> None:
        """As where a picture is made again: its inputs keep the names that they had."""
        made = job(size=64, steps=1)
        run(made, recorded=lambda recipe: replace(recipe, content=replace(recipe.content, name="moved.png")))
        assert Recipe.from_file(made.output).content.name == "moved.png"

    def test_notices_are_told_and_kept(self, job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
        heard: list[Event] = []
        saved = run(job(size=64, steps=1, extractor="auto"), report=heard.append)
        told = [event.text for event in heard if isinstance(event, Notice)]
        assert len(told) == 1
        assert saved.notices == tuple(told)
        assert told[0].startswith("VGG-19's weights are not on this machine")


class TestStop:
    @pytest.mark.parametrize("algorithm", ["lbfgs", "adam"])
    @pytest.mark.parametrize("step", [1, 4, 5, 7])
    def test_goes_on_in_the_same_bytes(self, job: MakeJob, tmp_path: Path, algorithm: str, step: int) -> None:
        whole, made = (job(name, optimizer=algorithm) for name in ("whole.png", "out.png"))
        run(whole)
        report, stop = after(step)
        with pytest.raises(Stopped):
            run(made, report=report, stop=stop)
        assert checkpoint_of(made.output).is_file()
        assert not Path(made.output).exists()
        heard: list[Event] = []
        saved = run(made, report=heard.append, resume=True)
        assert [event.step for event in heard if isinstance(event, Progress)] == list(range(step + 1, 9))
        assert [event.name for event in heard[:2]] == ["planned", "progress"]
        assert Path(made.output).read_bytes() == Path(whole.output).read_bytes()
        assert not checkpoint_of(made.output).exists()
        assert saved.losses.keys() == {"content", "style", "total"}

    def test_stopped_again_and_again(self, job: MakeJob) -> None:
        whole, made = job("whole.png"), job()
        run(whole)
        for step in (2, 3, 6):
            report, stop = after(step)
            with pytest.raises(Stopped):
                run(made, report=report, stop=stop, resume=step > 2)
        run(made, resume=True)
        assert Path(made.output).read_bytes() == Path(whole.output).read_bytes()

    def test_stopped_after_the_last_step_it_is_saved(self, job: MakeJob) -> None:
        """There is nothing left to stop."""
        made = job()
        report, stop = after(8)
        run(made, report=report, stop=stop)
        assert Path(made.output).is_file()
        assert not checkpoint_of(made.output).exists()

    def test_an_interrupt_keeps_a_checkpoint_and_comes_through(self, job: MakeJob) -> None:
        whole, made = job("whole.png"), job()
        run(whole)

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.step == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(made, report=report)
        assert checkpoint_of(made.output).is_file()
        run(made, resume=True)
        assert Path(made.output).read_bytes() == Path(whole.output).read_bytes()

    def test_nothing_to_go_on_from_is_told(self, job: MakeJob) -> None:
        made = job(size=64, steps=1)
        heard: list[Event] = []
        run(made, report=heard.append, resume=True)
        told = f"there is no {checkpoint_of(made.output)} to go on from; beginning anew"
        assert heard[0] == Notice(told)
        assert Path(made.output).is_file()

    def test_work_is_not_thrown_away(self, job: MakeJob) -> None:
        made = job()
        report, stop = after(2)
        with pytest.raises(Stopped):
            run(made, report=report, stop=stop)
        kept = checkpoint_of(made.output).read_bytes()
        with pytest.raises(ImpastoError, match="run cut short; add resume to go on, force to begin anew"):
            run(made)
        assert checkpoint_of(made.output).read_bytes() == kept
        with pytest.raises(ImpastoError, match="belongs to a run with other images, settings, versions or threads"):
            run(replace(made, settings=replace(made.settings, content_weight=0.5)), resume=True)
        assert checkpoint_of(made.output).read_bytes() == kept
        run(replace(made, force=True))
        assert not checkpoint_of(made.output).exists()


class TestOneAtATime:
    """Two runs of one output would share a checkpoint."""

    def test_the_second_is_told_at_the_start(self, job: MakeJob) -> None:
        made, heard = job(), list[Event]()

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.step == 2:
                for resume, force in ((False, False), (True, False), (False, True)):
                    with pytest.raises(ImpastoError, match=r"out\.png: another run is writing it; wait for it, or"):
                        run(replace(made, force=force), report=heard.append, resume=resume)

        run(made, report=report)
        assert heard == []
        assert Path(made.output).is_file()


class TestForce:
    @pytest.mark.parametrize("wrong", ["content", "output", "extractor"])
    def test_a_typo_costs_no_work(self, job: MakeJob, wrong: str) -> None:
        made = job(rest={"force": True})
        report, stop = after(3)
        with pytest.raises(Stopped):
            run(made, report=report, stop=stop)
        kept = checkpoint_of(made.output).read_bytes()
        settings = replace(made.settings, extractor="gone")
        mistaken = replace(made, settings=settings) if wrong == "extractor" else replace(made, **{wrong: "gone.gif"})
        with pytest.raises(ImpastoError, match="gone"):
            run(mistaken)
        assert checkpoint_of(made.output).read_bytes() == kept

    def test_the_checkpoint_goes_when_the_new_run_is_finished(self, job: MakeJob) -> None:
        made = job(rest={"force": True})
        checkpoint_of(made.output).write_bytes(b"of another run")
        run(made)
        assert not checkpoint_of(made.output).exists()


class TestFinished:
    """A run that was killed after it had saved its picture, before its checkpoint was gone."""

    def test_is_a_success(self, job: MakeJob) -> None:
        made, heard = job(), list[Event]()
        run(made)
        before = Path(made.output).read_bytes()
        checkpoint_of(made.output).write_bytes(b"state")
        saved = run(made, resume=True, report=heard.append)
        assert heard == [saved]
        assert saved.notices == (f"{made.output} is finished already; there is nothing left to do",)
        assert (saved.width, saved.height) == (128, 96)
        assert not checkpoint_of(made.output).exists()
        assert Path(made.output).read_bytes() == before

    def test_of_other_settings_it_is_none(self, job: MakeJob, tmp_path: Path) -> None:
        made = job()
        run(made)
        before = Path(made.output).read_bytes()
        with pytest.raises(ImpastoError, match="exists already, and is of another run; give force to replace it"):
            run(replace(made, settings=replace(made.settings, content_weight=0.5)), resume=True)
        save_image(tmp_path / "plain.png", torch.rand(1, 3, 9, 9))
        with pytest.raises(ImpastoError, match="exists already, and is of another run"):
            run(replace(made, output=str(tmp_path / "plain.png")), resume=True)
        assert Path(made.output).read_bytes() == before


class TestUntil:
    def test_a_run_that_its_callback_stopped_is_made_again(
        self, job: MakeJob, files: tuple[Path, Path], tmp_path: Path
    ) -> None:
        made = job()
        stopped = impasto.stylize(*files, **made.settings.given(), callback=lambda record: record.step == 3)
        stopped.save(tmp_path / "stopped.png")
        assert (stopped.recipe.stopped, len(stopped.losses)) == (3, 3)
        heard: list[Event] = []
        run(made, until=3, report=heard.append)
        assert [event.step for event in heard if isinstance(event, Progress)] == [1, 2, 3]
        assert Path(made.output).read_bytes() == (tmp_path / "stopped.png").read_bytes()

    def test_a_whole_run_is_not_stopped(self, job: MakeJob, files: tuple[Path, Path]) -> None:
        whole = impasto.stylize(*files, **job().settings.given(), callback=lambda record: record.step == 8)
        assert whole.recipe.stopped is None


class TestNoPaintingIsLost:
    def test_a_file_made_in_the_meantime(self, job: MakeJob, tmp_path: Path) -> None:
        whole, made = job("whole.png"), job()
        run(whole)
        (tmp_path / "out-1.png").touch()

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.step == 8:
                Path(made.output).write_bytes(b"precious")

        with pytest.raises(ImpastoError) as caught:
            run(made, report=report)
        mend = f"give force to replace it; the painting is in {tmp_path / 'out-2.png'}"
        assert str(caught.value) == f"{made.output}: exists already; {mend}"
        assert Path(made.output).read_bytes() == b"precious"
        assert (tmp_path / "out-2.png").read_bytes() == Path(whole.output).read_bytes()

    def test_a_folder_that_goes(self, job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "there")

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.step == 8:
                shutil.rmtree(tmp_path / "gone")

        with pytest.raises(ImpastoError, match=r"gone does not exist; make it first; the painting is in .*out-1\.png"):
            run(job("gone/out.png"), report=report)
        assert load_image(tmp_path / "there" / "out-1.png").tensor.shape == (1, 3, 96, 128)

    def test_no_room_for_checkpoints_and_previews(
        self, job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("impasto.paint.CHECKPOINT_SECONDS", 0.0)
        whole, made = job("whole.png"), job(rest={"preview": str(tmp_path / "way"), "preview_every": 4})
        run(whole)
        heard: list[Event] = []

        def report(event: Event) -> None:
            heard.append(event)
            if isinstance(event, Planned):  # Where they are to lie something else lies.
                checkpoint_of(made.output).mkdir()
                (tmp_path / "way").touch()

        run(made, report=report)
        told = [event.text for event in heard if isinstance(event, Notice)]
        assert sum(text.startswith("no checkpoint is kept: ") for text in told) == 8
        assert sum(text.startswith("no preview: ") for text in told) == 2
        assert Path(made.output).read_bytes() == Path(whole.output).read_bytes()


class TestPreviews:
    def test_one_every_so_many_steps(self, job: MakeJob, tmp_path: Path) -> None:
        pictures: dict[int, Tensor] = {}

        def report(event: Event) -> None:
            if isinstance(event, Progress):
                pictures[event.step] = event.image()

        run(job(rest={"preview": str(tmp_path / "steps"), "preview_every": 3}), report=report)
        assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == ["step-00003.png", "step-00006.png"]
        for step in (3, 6):
            found = load_image(tmp_path / "steps" / f"step-{step:05}.png").tensor
            assert (found - pictures[step]).abs().max() <= 0.5 / 255 + 1e-6

    def test_no_folder_for_none(self, job: MakeJob, tmp_path: Path) -> None:
        run(job(rest={"preview": str(tmp_path / "steps"), "preview_every": 100}))
        assert not (tmp_path / "steps").exists()

    def test_those_of_another_run_are_kept(self, job: MakeJob, tmp_path: Path) -> None:
        (tmp_path / "steps").mkdir()
        (tmp_path / "steps" / "step-00001.png").write_text("precious")
        made = job(rest={"preview": str(tmp_path / "steps"), "preview_every": 1})
        with pytest.raises(ImpastoError, match=r"^preview: .*steps holds the previews of another run; name another"):
            run(made)
        assert (tmp_path / "steps" / "step-00001.png").read_text() == "precious"
        run(replace(made, force=True))
        assert len(list((tmp_path / "steps").iterdir())) == 8

    def test_a_file_in_the_way(self, job: MakeJob, tmp_path: Path) -> None:
        (tmp_path / "steps").touch()
        with pytest.raises(ImpastoError, match=r"^preview: .*steps is a file; name a folder$"):
            run(job(rest={"preview": str(tmp_path / "steps")}))


class TestRefusals:
    """Before any work: no event but a notice is heard."""

    @pytest.mark.parametrize(
        ("output", "rest", "message"),
        [
            ("out.gif", {}, "'.gif' is not supported; end the name in one of"),
            ("out.jpg", {"depth": 16}, "jpeg has no 16 bits a channel"),
            ("missing/out.png", {}, "missing does not exist; make it first"),
            ("taken.png", {}, "taken.png: exists already; give force to replace it"),
            (".", {}, "is a folder; give a file name"),
        ],
    )
    def test_what_cannot_be_written(
        self, job: MakeJob, tmp_path: Path, output: str, rest: dict[str, Any], message: str
    ) -> None:
        (tmp_path / "taken.png").touch()
        heard: list[Event] = []
        with pytest.raises(ImpastoError) as caught:
            run(job(output, rest=rest), report=heard.append)
        assert message in str(caught.value)
        assert heard == []

    @pytest.mark.parametrize("what", ["content", "style", "init", "extractor", "model", "by another name"])
    def test_an_input_is_never_replaced(
        self, job: MakeJob, files: tuple[Path, Path], tiny_file: str, network: str, tmp_path: Path, what: str
    ) -> None:
        """Not even with force."""
        start = tmp_path / "start.png"
        start.write_bytes(files[0].read_bytes())
        (tmp_path / "linked.png").symlink_to(files[0])
        target = {
            "content": files[0],
            "style": files[1],
            "init": start,
            "extractor": Path(tiny_file),
            "model": Path(network),
            "by another name": tmp_path / "linked.png",
        }[what]
        settings = {"method": "hybrid", "model": network} if what == "model" else {"init": str(start)}
        before, heard = target.read_bytes(), list[Event]()
        made = replace(job(rest={"force": True}, **settings), output=str(target))
        with pytest.raises(ImpastoError, match=r"is one of the inputs; name another file$"):
            run(made, report=heard.append)
        assert heard == []
        assert target.read_bytes() == before

    def test_too_large_for_the_format(self, job: MakeJob, tmp_path: Path) -> None:
        heard: list[Event] = []
        with pytest.raises(ImpastoError, match="webp has at most 16383 pixels a side"):
            run(job("out.webp", size=20_000, max_pixels=10**9), report=heard.append)
        Image.new("RGB", (20_000, 32)).save(tmp_path / "wide.png")
        wide = replace(job("out.webp", size=0), content=str(tmp_path / "wide.png"))
        with pytest.raises(ImpastoError, match="webp has at most 16383 pixels a side"):
            run(wide, report=heard.append)
        assert heard == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"content": "nowhere.png"}, "content nowhere.png"),
            ({"styles": ("nowhere.png",)}, "style nowhere.png"),
        ],
    )
    def test_inputs_that_are_not_there(self, job: MakeJob, changes: dict[str, Any], message: str) -> None:
        heard: list[Event] = []
        for size in (64, 0):
            with pytest.raises(ImpastoError) as caught:
                run(replace(job(size=size), **changes), report=heard.append)
            assert str(caught.value).startswith(message)
        assert heard == []

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"extractor": "resnet"}, "extractor: 'resnet' is neither a file nor one of auto, compact, vgg19"),
            ({"init": "nowhere.png"}, "init: 'nowhere.png' is neither a file nor one of content, noise, style"),
        ],
    )
    def test_neither_words_nor_files(self, job: MakeJob, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            run(job(**settings))
        assert str(caught.value) == message

    def test_a_failed_run_leaves_nothing(self, job: MakeJob, tmp_path: Path) -> None:
        before = set(tmp_path.iterdir())
        with pytest.raises(ImpastoError, match="the loss is"):
            run(job(normalization="gatys", content_weight=1e38, style_layers={"relu1_1": 1e38}, init="noise"))
        assert set(tmp_path.iterdir()) == before


class TestOtherMethods:
    def test_instant(self, job: MakeJob, files: tuple[Path, Path], network: str, tmp_path: Path) -> None:
        heard: list[Event] = []
        made = job(method="instant", model=network)
        saved = run(made, report=heard.append)
        assert [event.name for event in heard] == ["planned", "progress", "saved"]
        assert heard[0] == Planned(((128, 1),))
        progress = heard[1]
        assert isinstance(progress, Progress)
        assert (progress.step, progress.steps, progress.scale, progress.losses) == (1, 1, 128, {})
        assert (saved.width, saved.height, saved.losses, saved.extractor) == (128, 96, {}, None)
        wanted = impasto.stylize(*files, **made.settings.given())
        wanted.save(tmp_path / "wanted.png")
        assert Path(made.output).read_bytes() == (tmp_path / "wanted.png").read_bytes()
        for event in heard:
            assert event_from_json(json.loads(json.dumps(event.to_json()))) == event

    def test_instant_is_stopped_between_two_tiles(self, job: MakeJob, network: str, tmp_path: Path) -> None:
        before = set(tmp_path.iterdir())
        heard: list[Event] = []
        report, stop = after(1)

        def both(event: Event) -> None:
            heard.append(event)
            report(event)

        with pytest.raises(Stopped):
            run(job(method="instant", model=network, size=1250), report=both, stop=stop)
        assert heard[0] == Planned(((1250, 4),))
        assert [event.step for event in heard if isinstance(event, Progress)] == [1]
        assert set(tmp_path.iterdir()) == before

    def test_instant_has_nothing_to_go_on_from(self, job: MakeJob, network: str) -> None:
        made = job(method="instant", model=network)
        with pytest.raises(ImpastoError, match=r"^resume: means nothing with method='instant', which takes no steps"):
            run(made, resume=True)

    def test_hybrid(self, job: MakeJob, network: str) -> None:
        whole, made = (job(name, method="hybrid", model=network) for name in ("whole.png", "out.png"))
        run(whole)
        report, stop = after(3)
        with pytest.raises(Stopped):
            run(made, report=report, stop=stop)
        saved = run(made, resume=True)
        assert Path(made.output).read_bytes() == Path(whole.output).read_bytes()
        assert (saved.extractor, saved.settings["method"]) == ("compact", "hybrid")


@pytest.mark.parametrize("which", ["content", "style"])
def test_an_input_is_never_replaced(tmp_path: Path, pair: tuple[Tensor, Tensor], which: str) -> None:
    files = {"content": tmp_path / "photo.png", "style": tmp_path / "painting.png"}
    for path, image in zip(files.values(), pair, strict=True):
        save_image(path, image)
    before = files[which].read_bytes()
    (tmp_path / "link.png").symlink_to(files[which])
    for output in (files[which], tmp_path / "link.png"):
        job = Job.check(str(files["content"]), [str(files["style"])], str(output), {"size": 64}, force=True)
        with pytest.raises(ImpastoError, match="is one of the inputs; name another file"):
            run(job)
    assert files[which].read_bytes() == before
