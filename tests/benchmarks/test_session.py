from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


def test_repetitions_are_interleaved(session: Make, bench: Any) -> None:
    session("step", options=["--sizes", "256,512", "--repeats", "2"]).run()
    turn = [f"6 steps {name} {size}" for size in (256, 512) for name in bench.programs(True)]
    assert bench.asked == turn + turn


def test_goes_on_where_it_was_stopped(session: Make, bench: Any) -> None:
    bench.patience = 7
    with pytest.raises(KeyboardInterrupt):
        session("step", options=["--sizes", "512", "--repeats", "3"]).run()
    bench.patience = 1000
    session("step", options=["--sizes", "512", "--repeats", "3"]).run()
    assert bench.asked == [f"6 steps {name} 512" for _ in range(3) for name in bench.programs(True)]
    session("step", options=["--sizes", "512", "--repeats", "3"]).run()
    assert len(bench.asked) == 15


def test_the_mark_is_reached_and_timed_beside_the_peers_step(session: Make, bench: Any) -> None:
    made = session("peer", "mark", options=["--repeats", "2"])
    made.run()
    for peer, (share, error) in (("neural-style", (0.14, 0.40)), ("pystiche", (0.09, 0.45))):
        for ours in ("vgg19", "compact"):
            runs = made.store.get(f"reach/512/{peer}/{ours}")
            assert len(runs) == 2
            assert all(run["style_share"] <= share and run["content_error"] <= error for run in runs)
    assert [asked.partition("-512 ")[0] for asked in bench.asked[-6:]] == [
        "6 steps neural-style 512",
        "as-good-as-neural-style-vgg19",
        "as-good-as-neural-style-compact",
        "6 steps pystiche 512",
        "as-good-as-pystiche-vgg19",
        "as-good-as-pystiche-compact",
    ]


def test_a_picture_painted_for_one_mark_serves_for_the_other(session: Make, bench: Any) -> None:
    session("peer", "mark").run()
    probes = [key for key in json.loads((bench.out / "results.json").read_text())["records"] if key.startswith("probe")]
    assert len(probes) == len([asked for asked in bench.asked if asked.startswith("probe")])


def test_the_mark_needs_the_peers_picture(session: Make) -> None:
    with pytest.raises(SystemExit, match="add peer to --only"):
        session("mark").run()


def test_a_peer_that_fails_is_told_of_and_left_out(
    session: Make, bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.failing = {"pystiche": {"losses": {"1": 5.0, "50": float("nan")}}}
    made = session("peer", "mark")
    made.run()
    assert "not a number at step 50" in capsys.readouterr().err
    assert set(made.store.under("reach", 512)) == {
        f"neural-style/{name}" for name in ("neural-style", "vgg19", "compact")
    }


def earlier_run(folder: Path, **changed: Any) -> Path:
    record = {
        "package": "neural-style 0.5.7",
        "size": 512,
        "steps": 500,
        "seconds": 1300,
        "picture": "peer.png",
        "content_sha256": "a",
        "style_sha256": "b",
        "losses": {"500": 9.0},
        **changed,
    }
    path = folder / "peer-512.json"
    path.write_text(json.dumps(record))
    return path


def test_an_earlier_picture_is_judged_anew(session: Make, tmp_path: Path) -> None:
    made = session("peer", options=["--peer-json", str(earlier_run(tmp_path))])
    made.run()
    record = made.store.get("peer/512/neural-style")[0]
    assert (record["style_share"], record["content_error"], record["earlier"]) == (0.15, 0.39, True)
    assert record["picture"] == str(tmp_path / "peer.png")
    assert "earlier" not in made.store.get("peer/512/pystiche")[0]


@pytest.mark.parametrize("changed", [{"steps": 40}, {"style_sha256": "c"}])
def test_an_earlier_picture_of_something_else_is_refused(session: Make, tmp_path: Path, changed: Any) -> None:
    with pytest.raises(SystemExit, match=f"another {next(iter(changed))}"):
        session("peer", options=["--peer-json", str(earlier_run(tmp_path, **changed))]).run()
