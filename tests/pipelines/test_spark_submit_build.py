"""Jobs under plain spark-submit: build on a standalone master with a worker, stream on local[*]."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.pipelines.opened import Lake
from tests.conftest import PROJECT
from tests.infra.standalone import spark_submit, standalone_cluster
from tests.laws.world import ingest
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import KEY, difference_from, four_days

BUILD, BACKFILL, STREAM = (
    PROJECT / "jobs" / name for name in ("build.py", "backfill.py", "stream.py")
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone_cluster(tmp_path_factory.mktemp("standalone")) as url:
        yield url


def properties_file() -> str:
    """What `lmslake spark-conf` prints, as in the README's line."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lmslake"), "spark-conf"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def submit(lake: Lake, master: str, job: Path, *arguments: str) -> str:
    options = ["--master", master, "--properties-file", properties_file(), "--driver-memory", "1g"]
    environment = {
        "LMSLAKE_ROOT": lake.settings.root,
        "LMSLAKE_PSEUDONYM_KEY": KEY,
        "LMSLAKE_STREAM_METRICS_PORT": "0",
    }
    done = spark_submit([*options, str(job), *arguments], environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_spark_submit__builds_on_a_cluster_and_streams_locally(
    cluster: str, opened: OpenLake, tmp_path: Path
) -> None:
    lake = opened(tmp_path / "lake")
    lines = sorted(four_days())
    ingest(lake, tmp_path / "first", lines[::2])
    days = ["--from", "2024-02-28", "--to", "2024-03-02"]
    assert "new events" in submit(lake, cluster, BUILD, *days)
    difference = difference_from(lake, lines[::2])
    assert not difference, difference
    # late events, by the continuous query and the other master
    ingest(lake, tmp_path / "second", lines[1::2])
    assert "4 dates changed" in submit(lake, "local[*]", STREAM, "--once")
    difference = difference_from(lake, lines)
    assert not difference, difference


@pytest.mark.slow
def test_spark_submit__a_wrong_setting_ends_with_its_message(lake_root: Path) -> None:
    """By jobs/backfill.py, which runs as jobs/build.py does."""
    without = {name: "" for name in os.environ if name.startswith("LMSLAKE_PSEUDONYM_")}
    options = ["--master", "local[1]", "--properties-file", properties_file()]
    days = ["--from", "2024-02-28", "--to", "2024-03-02"]
    environment = {**without, "LMSLAKE_ROOT": str(lake_root)}
    done = spark_submit([*options, str(BACKFILL), *days], environment)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "No pseudonym key is set" in said
    assert "Traceback" not in said
