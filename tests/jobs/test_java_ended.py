"""What a command says whose Spark was killed, or had too little memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.chaos.programs import Program
from tests.lake.raw_zone import RawZone
from tests.pipelines.killing import SMALL_JVM
from tests.pipelines.lakes import four_days
from tests.services import free_port
from tests.streaming.world import wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "sign"), [(("build",), "records in"), (("stream",), "waiting for raw objects")]
)
def test_command__whose_java_process_was_killed_says_so(
    arguments: tuple[str, ...], sign: str, lake_root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(sorted(four_days())))
    RawZone(lake_root).ingest(file)
    environment = {
        **os.environ,
        "LMSLAKE_ROOT": str(lake_root),
        "LMSLAKE_PSEUDONYM_KEY": "a key of the tests, no secret",
        "LMSLAKE_STREAM_METRICS_PORT": str(free_port()),
        "JAVA_TOOL_OPTIONS": SMALL_JVM,
    }
    lmslake = str(Path(sys.executable).with_name("lmslake"))
    command = Program(arguments[0], [lmslake, *arguments], environment, tmp_path / "log")
    try:
        command.start()
        wait_until(lambda: sign in command.output, "Spark runs")
        command.kill("java")
        wait_until(lambda: not command.is_running, "it ends")
    finally:
        command.clear_away()
    assert command.exit_code == 1, command.output
    assert "Error: Spark's Java process has ended" in command.output
    assert "Traceback" not in command.output, command.output
