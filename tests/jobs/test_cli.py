"""What the command line says when something is wrong, and what it does not do then."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from botocore.exceptions import EndpointConnectionError

from jobs.cli import cli, run
from tests.conftest import TEST_KEY


@pytest.mark.parametrize(
    "refusal",
    [
        PermissionError(13, "Permission denied", "lake-data/events"),
        OSError(28, "No space left on device"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    ],
)
def test_run__says_what_a_disk_or_a_store_refuses(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lmslake"])

    @click.command()
    def refused() -> None:
        raise refusal

    monkeypatch.setenv("LMSLAKE_STACK_TRACE", "false")
    with pytest.raises(SystemExit, match="1"):
        run(refused)
    assert f"Error: {type(refusal).__name__}: {refusal}\n" in capsys.readouterr().err
    monkeypatch.setenv("LMSLAKE_STACK_TRACE", "1")
    with pytest.raises(type(refusal)):
        run(refused)


def test_run__hides_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["lmslake"])

    @click.command()
    def defective() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(defective)


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "--only", "events"),
        ("audit", "--only", "records"),
        ("build",),
        ("backfill", "--from", "2025-01-01", "--to", "2025-01-02"),
        ("held", "list"),
        ("held", "retry"),
        ("quarantine", "list"),
    ],
)
def test_commands__make_no_lake_of_a_mistyped_root(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "mistyped"
    monkeypatch.setenv("LMSLAKE_ROOT", str(root))
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", TEST_KEY)
    monkeypatch.setattr("sys.argv", ["lmslake", *arguments])
    with pytest.raises(SystemExit, match="1"):
        run(cli)
    assert f"Error: There is no lake at {root}." in capsys.readouterr().err
    assert not root.exists()
