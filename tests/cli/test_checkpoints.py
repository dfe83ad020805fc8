from __future__ import annotations

from pathlib import Path

import pytest
import typer

from impasto.cli.checkpoints import checkpoint_of, claim_checkpoint, stoppable
from impasto.errors import ImpastoError


def test_lies_beside_the_output() -> None:
    assert checkpoint_of(Path("a/b.png")) == Path("a/b.png.checkpoint")


def test_hours_of_work_are_not_thrown_away(tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    assert not claim_checkpoint(out, resume=False, force=False).exists()
    checkpoint_of(out).write_bytes(b"state")
    with pytest.raises(ImpastoError, match="add --resume to go on, --force to begin anew"):
        claim_checkpoint(out, resume=False, force=False)
    assert claim_checkpoint(out, resume=True, force=True).read_bytes() == b"state"
    assert not claim_checkpoint(out, resume=False, force=True).exists()


@pytest.mark.parametrize("there", [True, False])
def test_says_how_to_go_on(tmp_path: Path, capfd: pytest.CaptureFixture[str], there: bool) -> None:
    checkpoint = tmp_path / "run"
    if there:
        checkpoint.write_bytes(b"state")
    with pytest.raises(typer.Exit) as stopped, stoppable(checkpoint):
        raise KeyboardInterrupt
    assert stopped.value.exit_code == 130
    told = f"stopped; the same command with --resume goes on from {checkpoint}" if there else "stopped"
    assert capfd.readouterr().err == f"impasto: {told}\n"


def test_keeps_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), stoppable(None, tell=False):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == ""
