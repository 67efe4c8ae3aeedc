"""What a user without a fitting Java is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.errors import LakeError
from lake.java import java


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    java.cache_clear()
    yield
    java.cache_clear()


def fake_java(home: Path, script: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("""echo 'openjdk version "11.0.2" 2019-01-15' >&2""", "is Java 11"),
        ("""echo 'java version "1.8.0_292"' >&2""", "is Java 8"),
        ("echo 'what version?'", "is an unknown version"),
        ("exit 1", "Java does not start"),
    ],
)
def test_java__names_what_it_found_and_the_line_that_installs_one(
    script: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path, script)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(LakeError, match=f"{told}(.|\n)*apt-get install openjdk-17"):
        java()


def test_java__not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        LakeError, match=r"Java is not installed\.(.|\n)*apt-get install openjdk-17"
    ):
        java()


def test_java__new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = fake_java(tmp_path, """echo 'openjdk version "21.0.1" 2023-10-17' >&2""")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java() == program
