"""`lmslake settings`: every setting, where it comes from, and no secret."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from jobs.settings import command
from lake.errors import LakeError
from lake.settings import Settings


def test_settings__shows_values_and_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSLAKE_TENANT", "north")
    lines = CliRunner().invoke(command, catch_exceptions=False).stdout.splitlines()
    rows = {line.split("\t")[0]: line.split("\t")[1:3] for line in lines[1:]}
    assert set(rows) == {f"LMSLAKE_{name.upper()}" for name in Settings.model_fields}
    assert rows["LMSLAKE_TENANT"] == ["north", "environment"]
    assert rows["LMSLAKE_SESSION_GAP_MINUTES"] == ["30", "default"]
    assert rows["LMSLAKE_PSEUDONYM_KEY"] == ["not set", "default"]


def test_settings__shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PSEUDONYM_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY"):
        monkeypatch.setenv(f"LMSLAKE_{name}", "hush hush, dear reader")
    printed = CliRunner().invoke(command, catch_exceptions=False).output
    assert "hush" not in printed
    assert printed.count("set (hidden)\tenvironment") == 3


def test_settings__names_a_wrong_variable_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LMSLAKE_SESSION_GAP_MINUTES", "hush")
    with pytest.raises(LakeError, match="LMSLAKE_SESSION_GAP_MINUTES") as caught:
        CliRunner().invoke(command, catch_exceptions=False)
    assert "hush" not in str(caught.value)
