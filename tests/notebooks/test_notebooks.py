"""The notebooks run from top to bottom on their tables, and lie in git without output."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.demo_lake import PROJECT, demo_environment, demo_lake
from tests.notebooks.school_lake import write_school_lake

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def lake_of(notebook: Path, factory: pytest.TempPathFactory) -> Path:
    if notebook.stem != "school":
        return demo_lake(factory)[0]
    root = factory.mktemp("school-lake")
    write_school_lake(root, factory.mktemp("school"))
    return root


@pytest.fixture
def environment(
    path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What the demo tells its reader to set; nothing is taken from the user's own configuration."""
    root = lake_of(path, tmp_path_factory)
    variables = demo_environment(
        LMSLAKE_ROOT=str(root),
        LMSLAKE_PSEUDONYM_KEY_FILE=str(root / "demo.key"),
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        IPYTHONDIR=str(tmp_path / "ipython"),
        MPLCONFIGDIR=str(tmp_path / "matplotlib"),
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__is_kept_without_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook__runs_on_its_lake(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    # Not its own folder: Spark leaves a warehouse where it runs.
    NotebookClient(
        notebook,
        timeout=1_200,
        startup_timeout=300,
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    plots = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(plots) >= 3
