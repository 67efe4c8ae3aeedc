"""Fixtures that everyone uses: one Spark session and one of each service for the whole run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from lake.settings import Settings
from tests.services import Kafka, Minio, running_kafka, running_minio

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PROJECT = Path(__file__).parent.parent
# Of the tests only: a lake has no default key.
TEST_KEY = "a key of the tests, no secret"

# No call home while the tests run.
os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["POLARS_SKIP_CPU_CHECK"] = "1"


# A busy machine is no defect: no limit on the time of one example, nor on that of drawing them.
hypothesis.settings.register_profile(
    "lmslake",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.load_profile("lmslake")


# The longest first, so that two workers end at about the same time.
LONGEST = (
    "test_laws_2_3.py",
    "test_kill.py",
    "test_chaos.py",
    "test_records_build.py",
    "test_query.py",
    "test_records_kill.py",
    "test_records_gold_little_by_little.py",
    "test_records_gold.py",
    "test_school_build.py",
    "test_stream_demo.py",
    "test_picture.py",
    "test_audit_records.py",
    "test_maintenance.py",
    "test_store_faults.py",
    "test_build.py",
    "test_backfill.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """Settings of the developer's own lake must not reach a test; the cache folder may."""
    for name in list(os.environ):
        if name.startswith("LMSLAKE_") and name not in (
            "LMSLAKE_CACHE_DIR",
            "LMSLAKE_MAVEN_REPOSITORY",
            "LMSLAKE_SHARED_DATA",
            "LMSLAKE_SHARED_BENCH",
        ):
            del os.environ[name]


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """An S3-compatible store. `minio.settings()` is a new, empty lake in it."""
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker. `kafka.create_topic()` gives a new, empty topic."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def spark(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one small session of a run. It reads and writes local folders and `minio`."""
    from lake.session import spark_session

    session = spark_session(minio.settings(), "tests", small=True)
    session.sparkContext.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoints")))
    yield session
    session.stop()


@pytest.fixture(scope="module", autouse=True)
def _forget_tables() -> Iterator[None]:
    """Delta keeps the state of every table that it has read; a run makes thousands of them."""
    yield
    if "pyspark.sql" in sys.modules:
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        if session is not None and session._jvm is not None:
            session._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@pytest.fixture
def lake_root(tmp_path: Path) -> Path:
    """An empty folder for one test's lake."""
    root = tmp_path / "lake"
    root.mkdir()
    return root


@pytest.fixture
def settings(lake_root: Path) -> Callable[..., Settings]:
    """Make settings of a local lake at `lake_root` with a key; keyword arguments go on top."""

    def make(**more: Any) -> Settings:
        return Settings(**{"root": str(lake_root), "pseudonym_key": TEST_KEY, **more})

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: LMSLAKE_SHARED_DATA, else ../shared/data beside the project."""
    folder = Path(os.environ.get("LMSLAKE_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"the real data is not at {folder}; set LMSLAKE_SHARED_DATA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def xapi_statements(shared_data: Path) -> Path:
    """22,000 real xAPI video statements, a gzipped file."""
    return shared_data / "xapi_video" / "statements.json.gz"
