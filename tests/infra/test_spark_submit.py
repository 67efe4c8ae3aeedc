"""Jobs under plain spark-submit, on a standalone master with one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.session import write_submit_properties
from lake.settings import Settings
from tests.infra.standalone import spark_submit, standalone_cluster

JOB = Path(__file__).parent / "submitted_job.py"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone_cluster(tmp_path_factory.mktemp("standalone")) as url:
        yield url


@pytest.mark.slow
def test_spark_submit__runs_on_a_standalone_cluster(cluster: str, tmp_path: Path) -> None:
    properties = str(write_submit_properties(Settings()))
    arguments = ["--master", cluster, "--properties-file", properties,
                 "--driver-memory", "1g"]  # fmt: skip
    done = spark_submit([*arguments, str(JOB), str(tmp_path / "rows")])
    assert done.returncode == 0, done.stderr
    assert f"master {cluster}" in done.stdout
    assert "rows 300 countries ['US']" in done.stdout


@pytest.mark.slow
def test_spark_submit__without_properties_says_what_to_add(tmp_path: Path) -> None:
    done = spark_submit(["--master", "local[1]", str(JOB), str(tmp_path / "rows")])
    assert done.returncode != 0
    # spark-submit sends a job's stderr to its own stdout
    assert "--properties-file $(lmslake spark-conf)" in done.stdout
