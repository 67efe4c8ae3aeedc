"""A builder that stops just before a commit, loses its lock and goes on: nothing of it is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F

from lake import limits
from lake.delta_reading import delta_rows, opened_table
from lake.fencing import keep_out_others
from lake.pipelines.opened import Lake, only_builder, open_lake
from lake.progress import silent
from lake.storage import LeaseHeld
from schemas.derivations import arrow_schema, struct_type
from schemas.tables import TABLES
from schemas.tables.records import LANDED_FILES
from tests.pipelines.lakes import KEY
from tests.services import Minio

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ACTIVITY = "gold.student_daily_activity"
FOUND = "gold.student_chapter_progress"
DAYS = [date(2024, 2, 29)]
LITTLE, MUCH = limits.COLLECTED_ROWS, -1
LOST = "The lock 'build' was lost while the command ran"


@pytest.fixture
def two(minio: Minio, spark: SparkSession) -> Iterator[tuple[Lake, Lake]]:
    """One lake in a bucket, as two processes see it."""
    settings = minio.settings(pseudonym_key=KEY)
    with open_lake(settings, spark=spark) as one, open_lake(settings, spark=spark) as other:
        yield one, other


@contextmanager
def taking_over(lake: Lake) -> Iterator[None]:
    """Hold the lock `build`, which its holder has not renewed for too long."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lake.lease_s3.LEASE_EXPIRY_SECONDS", -1)
        with only_builder(lake, "build", silent):
            yield


def a_row(lake: Lake, pages: int) -> DataFrame:
    """A row of one student on the day."""
    schema = arrow_schema(TABLES[ACTIVITY])
    row: dict[str, object] = {field.name: 0 for field in schema if not field.nullable}
    row |= {"date": DAYS[0], "student_hash": "s", "pages_viewed": pages}
    return lake.spark.createDataFrame(pa.Table.from_pylist([row], schema))


def put(lake: Lake, pages: int) -> None:
    lake.tables.replace_dates(ACTIVITY, a_row(lake, pages), DAYS, "b", at_most=1)


def append(lake: Lake, pages: int) -> None:
    lake.tables.append(ACTIVITY, a_row(lake, pages), "b", at_most=1)


def merge(lake: Lake, pages: int) -> None:
    update = {"pages_viewed": "new.pages_viewed"}
    lake.tables.merge(ACTIVITY, a_row(lake, pages), DAYS, 1, update=update, insert=True)


def pages_of(lake: Lake) -> list[int]:
    table = opened_table(lake.store, TABLES[ACTIVITY])
    assert table is not None
    return delta_rows(table, arrow_schema(TABLES[ACTIVITY]))["pages_viewed"].to_pylist()


@pytest.mark.parametrize(
    ("write", "limit"), [(put, LITTLE), (merge, LITTLE), (append, MUCH), (merge, MUCH)]
)
def test_commit__of_who_lost_the_lock_is_refused(
    write: Callable[[Lake, int], None],
    limit: int,
    two: tuple[Lake, Lake],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = two
    # Tables of before there were numbers.
    put(first, 1)
    first.tables.ensure(FOUND)

    def second_publishes() -> None:
        with monkeypatch.context() as patched, taking_over(second):
            patched.setattr(limits, "COLLECTED_ROWS", LITTLE)
            put(second, 3)

    with only_builder(first, "build", silent):
        put(first, 2)  # one build commits more than once to a table
        monkeypatch.setattr(limits, "COLLECTED_ROWS", limit)
        write(first, 2)
        assert 2 in pages_of(first)
        first.check_lease()
        stalling_at_the_commit(first, second_publishes, monkeypatch)
        with pytest.raises(LeaseHeld, match=f"{LOST}.*student_daily_activity"):
            write(first, 4)
        assert pages_of(second) == [3]
        # Nor to a table that the second one has only found.
        with pytest.raises(LeaseHeld, match=LOST):
            first.tables.append(FOUND, first.tables.read(FOUND), "b", 1)
    monkeypatch.setattr(limits, "COLLECTED_ROWS", LITTLE)
    with only_builder(second, "build", silent):
        put(second, 5)
    assert pages_of(second) == [5]


def stalling_at_the_commit(
    lake: Lake, meanwhile: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next commit has looked at the table, and is not made before `meanwhile` has ended."""
    fence: Any = lake.tables.fence
    for name in ("commit", "spark_commit"):
        monkeypatch.setattr(fence, name, _stalling(getattr(fence, name), meanwhile))


def _stalling(look: Callable[[Any], Any], meanwhile: Callable[[], None]) -> Callable[[Any], Any]:
    left = [meanwhile]

    @contextmanager
    def stalled(looked_at: Any) -> Iterator[Any]:
        with look(looked_at) as looked:
            if left:
                left.pop()()
            yield looked

    return stalled


def test_commit__of_spark_that_has_begun_is_refused(
    two: tuple[Lake, Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    put(first, 1)
    begun, published = tmp_path / "begun", tmp_path / "published"

    def stalled(pages: int) -> int:
        begun.touch()
        while not published.exists():
            time.sleep(0.05)
        return pages

    def second_publishes() -> None:
        while not begun.exists():
            time.sleep(0.05)
        try:
            with taking_over(second):
                # The first one has begun to write the table, and this one does not.
                pass
        finally:
            published.touch()

    monkeypatch.setattr(limits, "COLLECTED_ROWS", MUCH)
    with only_builder(first, "build", silent):
        pages = F.udf(stalled, "bigint", useArrow=False)("pages_viewed")
        rows = a_row(first, 2).withColumn("pages_viewed", pages)
        other = threading.Thread(target=second_publishes)
        other.start()
        with pytest.raises(LeaseHeld, match=LOST):
            first.tables.append(ACTIVITY, rows, "b", at_most=1)
        other.join()
    assert pages_of(second) == [1]


def test_commit__that_makes_a_table_is_refused_to_who_lost_the_lock(
    two: tuple[Lake, Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    name = "silver.events"

    def second_builds() -> None:
        with taking_over(second):
            assert second.tables.exists(name)  # as the first one said that it makes it
            assert not second.tables.exists("silver.sessions")

    with only_builder(first, "build", silent):
        stalling_at_the_commit(first, second_builds, monkeypatch)
        with pytest.raises(LeaseHeld, match=LOST):
            first.tables.append(name, first.spark.createDataFrame([], struct_type(TABLES[name])),
                                "b", at_most=1)  # fmt: skip
        with pytest.raises(LeaseHeld, match=LOST):
            put(first, 1)
        assert not second.tables.exists(ACTIVITY)
    made = opened_table(second.store, TABLES[name])
    assert made is not None
    assert made.version() == 1  # made, and marked
    assert made.protocol().reader_features == ["deletionVectors"]
    assert made.metadata().configuration["delta.enableDeletionVectors"] == "true"


def test_keep_out_others__concerns_the_tables_of_the_lock(two: tuple[Lake, Lake]) -> None:
    lake, _ = two
    put(lake, 1)
    landed = DeltaTable.create(
        lake.store.delta_uri(LANDED_FILES.path),
        arrow_schema(LANDED_FILES),
        storage_options=lake.store.storage_options,
    )
    with pytest.raises(KeyboardInterrupt), lake.store.lease("build"):
        raise KeyboardInterrupt
    for lock, marked in (("records", False), ("build", True)):
        with lake.store.lease(lock) as lease:
            keep_out_others(lake.store, lease, lock, lambda _: None)
            table = opened_table(lake.store, TABLES[ACTIVITY])
            assert table is not None
            assert (table.transaction_version("lease/build") is not None) is marked
    landed.update_incremental()
    assert landed.version() == 0
