"""Lakes for the tests of builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from lake.pipelines.opened import Lake, open_lake
from lake.settings import Settings
from tests.pipelines.lakes import KEY

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OpenLake = Callable[[Path], Lake]


@pytest.fixture(scope="module")
def opened(spark: SparkSession) -> Iterator[OpenLake]:
    """Opens the lake at a folder with the session of the run."""
    with ExitStack() as stack:

        def open_at(root: Path) -> Lake:
            settings = Settings(root=str(root), pseudonym_key=SecretStr(KEY))
            return stack.enter_context(open_lake(settings, "tests", spark=spark))

        yield open_at


@pytest.fixture
def from_shell(
    spark: SparkSession, lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs `lmslake ARGUMENTS…` on the lake at `lake_root`, and returns its exit code.

    The command gets the session of the run: a driver has one, and closing it would end the rest.
    """
    from jobs.cli import main

    def run(*arguments: str) -> int:
        with monkeypatch.context() as patched:
            patched.setenv("LMSLAKE_ROOT", str(lake_root))
            patched.setenv("LMSLAKE_PSEUDONYM_KEY", KEY)
            patched.setattr("sys.argv", ["lmslake", *arguments])
            patched.setattr(
                "lake.pipelines.opened.open_lake",
                lambda settings, name: open_lake(settings, name, spark=spark),
            )
            try:
                main()
            except SystemExit as end:
                return int(end.code or 0)
        return 0

    return run
