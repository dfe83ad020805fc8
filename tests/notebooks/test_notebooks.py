"""The notebooks: stored without outputs, opened anywhere, and run from start to end at their quick settings."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbmake.nb_run import NotebookRun

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[str]:
    """The sources of the code cells."""
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_there_are_five() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_"]


@every_notebook
def test_runs_from_start_to_end(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_NOTEBOOKS", "quick")
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))  # No weights of VGG-19, as on a fresh machine.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # A kernel is given a minute to start, which is too little where many tests share a few cores.
    monkeypatch.setattr(NotebookClient, "startup_timeout", 600)
    before = set(path.parent.iterdir())
    result = NotebookRun(path, 600).execute()
    if result.error is not None:
        pytest.fail(result.error.trace, pytrace=False)
    shown = [output for cell in result.nb.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    # The only things said on stderr would be warnings, and a reader would wonder about them.
    assert [output.text for output in shown if output.get("name") == "stderr"] == []
    assert set(path.parent.iterdir()) == before


@every_notebook
def test_is_stored_clean(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@every_notebook
def test_says_what_it_is_and_ends_with_exercises(path: Path) -> None:
    texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    assert texts[0].startswith(f"# {path.stem[0]} · ")
    assert "## Exercises" in texts[-1]
    assert any("QUICK" in source for source in code(path))


def test_they_begin_with_the_same_cell() -> None:
    assert len({code(path)[0] for path in NOTEBOOKS}) == 1


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[tuple[str, str]]]:
    """Runs the first cell where impasto is not installed; returns what it would have had IPython do."""

    def run() -> list[tuple[str, str]]:
        asked: list[tuple[str, str]] = []

        class Shell:
            def run_line_magic(self, name: str, line: str) -> None:
                asked.append((name, line))

        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        scope: dict[str, Any] = {"get_ipython": Shell}
        exec(TransformerManager().transform_cell(code(NOTEBOOKS[0])[0]), scope)
        return [(name, line.replace("{package}", str(scope["package"]))) for name, line in asked]

    return run


def test_installs_the_folder_around_it(
    install: Callable[[], list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src" / "impasto").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert install() == [("pip", f'install --quiet "{tmp_path}[notebooks]"')]


def test_installs_the_wheel_beside_it(
    install: Callable[[], list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "impasto-0.1.0-py3-none-any.whl"
    wheel.touch()
    monkeypatch.chdir(tmp_path)
    assert install() == [("pip", f'install --quiet "{wheel}[notebooks]"')]


def test_says_what_to_do_where_there_is_neither(
    install: Callable[[], list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"Put the file impasto-\*\.whl beside this notebook"):
        install()


def test_style_transfer_by_hand_fits_in_forty_lines() -> None:
    (source,) = [source for source in code(NOTEBOOKS[3]) if "def paint(" in source]
    assert len(source.splitlines()) <= 40


@pytest.mark.parametrize("name", ["README.md", "README.fr.md"])
def test_the_readmes_link_to_all(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"(notebooks/{path.name})" in text
