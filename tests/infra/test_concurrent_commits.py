"""Two Spark drivers that commit to one Delta table on S3 at the same time lose nothing.

The whole way, with luck as to whether two PUTs really meet; test_session.py forces the meeting
(test_log_store__loses_to_a_driver_that_commits_in_between).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.services import Minio

COMMITS = 8
WRITER = Path(__file__).parent / "commit_rows.py"


@pytest.mark.slow
@pytest.mark.services
def test_two_drivers__lose_no_commit(minio: Minio, spark: SparkSession) -> None:
    path = f"{minio.settings().root}/rows"
    spark.createDataFrame([], "writer string, number int").write.format("delta").save(path)
    writers = [
        subprocess.Popen(
            [sys.executable, str(WRITER), path, name, str(COMMITS)],
            env={**os.environ, **minio.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        outputs = [writer.communicate(timeout=900)[0] for writer in _started(writers)]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    acknowledged = sorted(line for output in outputs for line in output.splitlines())
    assert len(acknowledged) == 2 * COMMITS
    rows = spark.read.format("delta").load(path).collect()
    assert sorted(f"{row.writer} {row.number}" for row in rows) == acknowledged


def _started(writers: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """Let all begin before the first one is waited for."""
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    return writers
