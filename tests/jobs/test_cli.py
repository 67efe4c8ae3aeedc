"""What the command line says when something is wrong, and what it does not do then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from botocore.exceptions import EndpointConnectionError

from jobs.cli import cli, run
from lake.storage import open_store
from tests.conftest import TEST_KEY
from tests.services import Minio

Refused = Callable[..., str]


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


# Commands that need a lake to be there.
READERS = (
    ("audit", "--only", "events"),
    ("audit", "--only", "records"),
    ("backfill", "--from", "2025-01-01", "--to", "2025-01-02"),
    ("build",),
    ("held", "list"),
    ("held", "retry"),
    ("held", "retry", "one"),
    ("maintain",),
    ("picture", "build"),
    ("quarantine", "list"),
    ("quarantine", "replay"),
    ("quarantine", "show"),
    ("records", "build"),
    ("records", "quarantine", "list"),
    ("show", "students-at-risk"),
    ("sql", "SELECT 1"),
    ("tables",),
    ("tickets", "label"),
)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """What a command says when it ends with exit code 1."""

    def run_it(*arguments: str) -> str:
        monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", TEST_KEY)
        monkeypatch.setattr("sys.argv", ["lmslake", *arguments])
        with pytest.raises(SystemExit, match="1"):
            run(cli)
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run_it


@pytest.mark.parametrize("arguments", READERS)
def test_commands__make_no_lake_of_a_mistyped_root(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    root = tmp_path / "mistyped"
    monkeypatch.setenv("LMSLAKE_ROOT", str(root))
    assert f"Error: There is no lake at {root}." in refused(*arguments)
    assert not root.exists()


@pytest.mark.services
@pytest.mark.parametrize("arguments", READERS)
def test_commands__see_no_lake_below_a_mistyped_prefix(
    arguments: tuple[str, ...],
    minio: Minio,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    there = minio.settings()
    open_store(there).put("events/x", b"")
    # The lake's name begins with it, as that of a folder beside it may.
    mistyped = there.root[:-1]
    for name, value in {"LMSLAKE_ROOT": mistyped, **minio.environment()}.items():
        monkeypatch.setenv(name, value)
    assert f"Error: There is no lake at {mistyped}." in refused(*arguments)
    prefix = f"{mistyped.removeprefix(f's3a://{minio.bucket}/')}/"
    assert "Contents" not in minio.client().list_objects_v2(Bucket=minio.bucket, Prefix=prefix)


@pytest.mark.services
def test_ingest__begins_a_lake_at_a_new_prefix(
    minio: Minio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"LMSLAKE_ROOT": minio.settings().root, **minio.environment()}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "events.jsonl").write_text("not an event\n")
    for arguments in (["ingest", str(tmp_path)], ["audit", "--only", "events"]):
        cli.main(arguments, standalone_mode=False)
    assert capsys.readouterr().out.endswith("Nothing is lost and nothing is doubled.\n")
