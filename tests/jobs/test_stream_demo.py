"""The stream demo as a newcomer runs it, what it shows, and what it says when a part fails."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lake.errors import LakeError
from streaming.demo_processes import AcknowledgedFile, Child, Metrics, scraped
from tests.services import Kafka, free_port
from tests.streaming.world import wait_until

SECONDS = 1_200


def demo(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), env=small(environment), capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip


def command(folder: Path, *arguments: str) -> list[str]:
    program = str(Path(sys.executable).with_name("lmslake"))
    return [program, "stream-demo", "--folder", str(folder), "--rate", "50", *arguments]


def small(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "LMSLAKE_DRIVER_MEMORY": "1g", **(environment or {})}


def has_acknowledged(printed: str) -> bool:
    """Whether a line of the view tells of acknowledged records: time, "s", acked/s, acked, …"""
    return re.search(r"^ *\d+ s +[\d,]+ +[\d,]*[1-9]", printed, re.M) is not None


def acknowledged_in(printed: str) -> int:
    (number,) = re.findall(r"^([\d,]+) records were acknowledged in this run", printed, re.M)
    return int(number.replace(",", ""))


@pytest.mark.services
@pytest.mark.slow
def test_stream_demo__loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    # Long enough for its parts to start on a slow machine, and to send more than 100.
    first = demo(folder, "--seconds", "30")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Nothing is lost and nothing is doubled.\n" in first.stdout
    assert acknowledged_in(first.stdout) > 100
    # The last line of the view: everything is in the tables.
    last = [line for line in first.stdout.splitlines() if re.match(r" +\d+ s  ", line)][-1].split()
    assert last[4] == "0"  # time, "s", acked/s, acked, lag, …
    assert int(last[5].replace(",", "")) > 100
    assert "-" not in last
    for name in ("minio.key", "demo.key", "demo.env"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        secret = (folder / name).read_text().strip()
        assert secret not in first.stdout + first.stderr
    # The same broker and lake again, until Ctrl-C.
    with (tmp_path / "again").open("wb") as log:
        process = subprocess.Popen(command(folder), env=small(), stdout=log, stderr=log)
    try:
        output = (tmp_path / "again").read_text
        wait_until(lambda: has_acknowledged(output()), "records are acknowledged", SECONDS)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0, output()
    finally:
        process.terminate()
        process.wait(60)
    assert "Nothing is lost and nothing is doubled.\n" in output()
    assert acknowledged_in(output()) > 0


@pytest.mark.services
def test_stream_demo__tells_which_part_ended_and_why(
    kafka: Kafka, tmp_path: Path, lake_root: Path
) -> None:
    key = tmp_path / "short.key"
    key.write_text("short")
    done = demo(
        tmp_path / "demo", "--kafka", kafka.bootstrap_servers, "--lake", str(lake_root),
        environment={"LMSLAKE_PSEUDONYM_KEY_FILE": str(key)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Error: lmslake stream ended with exit code 1. The end of its log:" in done.stderr
    assert "| Error: The pseudonym key has 5 bytes; it needs 16." in done.stderr
    assert "Traceback" not in done.stderr


def test_stream_demo__says_what_is_not_installed(tmp_path: Path) -> None:
    done = demo(tmp_path / "demo", environment={"LMSLAKE_CACHE_DIR": str(tmp_path / "empty")})
    assert done.returncode == 1
    assert done.stderr.startswith("Error: MinIO and Kafka not installed.\n  Type: make services")


def test_stream_demo__needs_a_folder_that_it_can_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = demo(tmp_path / "file" / "demo")
    assert done.returncode == 1
    assert "Choose another --folder." in done.stderr


def test_child__says_how_it_ended(tmp_path: Path) -> None:
    child = Child("no-such-command", [], os.environ, tmp_path)
    wait_until(lambda: not child.is_running, "its end")
    with pytest.raises(LakeError, match="no-such-command ended with exit code 2") as raised:
        child.check()
    assert "No such command" in str(raised.value)


def test_acknowledged_file__reads_whole_lines_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.tsv"
    file = AcknowledgedFile(path)
    assert file.read() == 0
    path.write_text("video\t0\t7\te-1\nvideo\t1\t3\te-2\nvideo\t0\t6\te-3\nvid")
    assert file.read() == 3
    with path.open("a") as more:
        more.write("eo\t1\t4\te-4\n")
    assert file.read() == 4
    assert file.highest == {("video", 0): 7, ("video", 1): 4}


def test_metrics__sums_what_has_the_labels() -> None:
    metrics = Metrics(
        "# TYPE rows gauge\n"
        'rows{table="a",part="1"} 2.0\nrows{table="a",part="2"} 3.0\nrows{table="b"} 4.0\n'
    )
    assert metrics.total("rows", table="a") == 5
    assert metrics.total("rows") == 9
    assert metrics.total("other") is None


def test_scraped__nobody_answers() -> None:
    assert scraped(free_port()).total("rows") is None
