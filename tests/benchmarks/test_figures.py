from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import figures as f
import flops
import tables
from plot import draw

Make = Callable[..., Any]


@pytest.fixture
def store(session: Make) -> Any:
    """Everything measured once."""
    made = session(options=["--repeats", "1"])
    made.run()
    return made.store


class TestStep:
    def test_median_and_range(self, store: Any) -> None:
        for seconds in (2.6, 2.1):
            store.add("step/512/vgg19", {**store.get("step/512/vgg19")[0], "seconds_a_step": seconds})
        step = f.step(store, 512, "vgg19")
        assert step is not None
        assert (step.fastest, step.seconds, step.slowest) == (2.0, 2.1, 2.6)

    def test_share_of_the_rate_in_its_precision(self, store: Any) -> None:
        step, single = f.step(store, 512, "vgg19"), f.step(store, 512, "vgg19-fp32")
        assert step is not None
        assert single is not None
        assert step.share == pytest.approx(flops.step(512, 512) / 2.0 / 380e9)
        assert single.share == pytest.approx(flops.step(512, 512) / 2.4 / 150e9)

    def test_compact_has_no_share(self, store: Any) -> None:
        step = f.step(store, 512, "compact")
        assert step is not None
        assert step.share is None

    def test_not_measured(self, store: Any) -> None:
        assert f.step(store, 2048, "vgg19") is None


class TestMemory:
    def test_a_peers_history_is_added(self, store: Any) -> None:
        # 6 steps leave 5 pairs of 100; a pair is two pictures of 3 floats a pixel.
        wanted = 4000 + 95 * 2 * 12 * 1024 * 1024 / 1e6
        assert f.peak_mb(store, 1024, "neural-style") == pytest.approx(wanted)

    def test_not_to_a_whole_run(self, store: Any) -> None:
        assert f.peak_mb(store, 512, "neural-style") == 1000

    def test_ours_is_of_the_whole_run(self, store: Any) -> None:
        assert f.peak_mb(store, 1024, "vgg19") == 3200


class TestPeerTime:
    def test_the_lower_one_counts(self, store: Any) -> None:
        taken = f.peer_time(store, 512, "neural-style")
        assert taken is not None
        assert (taken.reckoned, taken.measured, taken.seconds) == (1505, 1510, 1505)

    def test_an_earlier_runs_time_does_not(self, store: Any) -> None:
        store.get("peer/512/neural-style")[0] |= {"earlier": True, "seconds": 1.0}
        taken = f.peer_time(store, 512, "neural-style")
        assert taken is not None
        assert taken.seconds == 1505


class TestFigures:
    def test_all_of_them(self, store: Any) -> None:
        found = {figure.what: figure for figure in f.figures(store)}
        assert len(found) == 7
        step = found["512 px: a step in float32, over neural-style's"]
        assert (step.measured, step.held) == ("0.80", True)
        share = found["512 px: a step in bfloat16, share of the product rate"]
        assert (share.measured, share.held) == ("50%", False)
        memory = found["1024 px: peak memory, over neural-style's"]
        assert (memory.measured, memory.held) == ("1/2.0", False)

    def test_time_to_the_mark(self, store: Any) -> None:
        here = f.reached(store, 512, "pystiche", "vgg19")
        assert here is not None
        figure = next(one for one in f.figures(store) if "pystiche" in one.what and "VGG-19" in one.what)
        assert figure.measured == f"1/{2005 / here.seconds:.1f}"
        assert figure.held == (2005 / here.seconds >= 25)

    def test_out_of_reach_is_missed(self, store: Any) -> None:
        store.drop("reach")
        store.get("found/512/pystiche/compact")[0]["steps"] = None
        (figure,) = [one for one in f.figures(store) if "time of" in one.what]
        assert (figure.measured, figure.held) == ("not reached", False)

    def test_nothing_measured(self, session: Make) -> None:
        assert f.figures(session("limits").store) == []


class TestTables:
    def test_every_program_and_size(self, store: Any) -> None:
        rows = tables.step_table(store).splitlines()
        assert len(rows) == 2 + 3 * 5
        assert "| 512 px | impasto, VGG-19 | 2000 | 2000–2000 | 0.67 | 189 | 50% of bf16 | 800 |" in rows

    def test_a_peer_that_failed(self, store: Any) -> None:
        store.get("peer/512/pystiche")[0]["failed"] = "a style share of 0.95"
        assert "**pystiche 1.0.1** | failed: a style share of 0.95 |" in tables.mark_table(store)

    def test_same_number_of_cells(self, store: Any) -> None:
        for part in tables.report(store).split("\n\n"):
            cells = {line.count("|") for line in part.splitlines() if line.startswith("|")}
            assert len(cells) <= 1

    def test_without_peers_and_judge(self, session: Make, bench: Any) -> None:
        bench.names = ["compact"]
        made = session()
        made.run()
        told = tables.report(made.store)
        assert "impasto, compact" in told
        assert "neural-style 0.5.7" not in told
        assert "As good as" not in told


class TestDocs:
    PAGE = f"# Performance\n\nBefore.\n\n{tables.BEGIN}\nold\n{tables.END}\n\nAfter.\n"

    def test_between_the_marks(self, store: Any, tmp_path: Path) -> None:
        page = tmp_path / "performance.md"
        page.write_text(self.PAGE)
        for _ in range(2):  # The second time replaces the first.
            tables.write(store, tmp_path / "out", docs=tmp_path)
        text = page.read_text()
        assert text.startswith("# Performance\n\nBefore.\n\n")
        assert text.endswith(f"{tables.END}\n\nAfter.\n")
        assert "old" not in text
        assert text.count("### A step") == 1
        assert f"]({tables.PICTURE})" in text

    def test_without_marks(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "performance.md").write_text("# Performance\n")
        with pytest.raises(SystemExit, match="lacks the lines"):
            tables.write(store, tmp_path / "out", docs=tmp_path)
        assert (tmp_path / "performance.md").read_text() == "# Performance\n"


class TestPlot:
    def test_a_small_picture(self, store: Any, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        assert draw(store, tmp_path / "plot.webp") is None
        assert (tmp_path / "plot.webp").stat().st_size < 300_000
        with Image.open(tmp_path / "plot.webp") as picture:
            assert picture.width > 1000

    def test_steps_alone(self, session: Make, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        made = session("step", options=["--sizes", "256"])
        made.run()
        assert draw(made.store, tmp_path / "plot.webp") is None

    def test_nothing_measured(self, session: Make, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        assert draw(session("limits").store, tmp_path / "plot.webp") == "no plot: no step has been measured yet"
        assert not (tmp_path / "plot.webp").exists()

    def test_without_matplotlib(self, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("plot.find_spec", lambda name: None)
        told = draw(store, tmp_path / "plot.webp")
        assert told is not None
        assert "impasto[lessons]" in told
