"""One small demo lake per test run, made by the command itself and read by several tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake.settings import Settings

PROJECT = Path(__file__).parent.parent
STUDENTS = 12
SECONDS = 1_800


def demo_environment(**more: str) -> dict[str, str]:
    """This process's environment for a `lmslake` of its own, with a small driver."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": programs, "LMSLAKE_DRIVER_MEMORY": "1g", **more}


def run_demo(root: Path, *arguments: str, **environment: str) -> str:
    """Standard output of `lmslake demo`. Fails the test with all output where it exits non-zero."""
    command = [sys.executable, "-m", "jobs.demo", "--root", str(root)]
    finished = subprocess.run(
        [*command, "--students", str(STUDENTS), *arguments],
        cwd=PROJECT, env=demo_environment(**environment), capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def demo_lake(factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(root, what the first run printed) of the run's demo lake; made by the first who asks."""
    root = factory.getbasetemp() / "demo-lake"
    printed = root.with_suffix(".txt")
    if not printed.exists():
        printed.write_text(run_demo(root), encoding="utf-8")
    return root, printed.read_text(encoding="utf-8")


def demo_settings(root: Path) -> Settings:
    return Settings(root=str(root), pseudonym_key_file=root / "demo.key")
