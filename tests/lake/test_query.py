"""The tables in DuckDB: by name, newest version, nothing silent where one is missing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lake.delta_writing import write_rows as delta_rs_rows
from lake.errors import LakeError
from lake.fencing import NO_FENCE
from lake.query import connect, frame, known_table, readable_errors, sql
from lake.settings import Settings
from schemas.derivations import arrow_schema
from schemas.tables import TABLES
from tests.services import Minio
from tests.transforms.records.test_ids import ANY

MakeSettings = Callable[..., Settings]
DAILY = "gold.student_daily_activity"


def write_rows(settings: Settings, name: str, rows: list[dict[str, Any]]) -> None:
    """Append rows to a declared table without Spark; columns that are left out are 0 or null."""
    table = TABLES[name]
    zeros = {"bigint": 0, "int": 0, "double": 0.0, "boolean": False, "string": ""}
    defaults = {c.name: None if c.nullable else zeros.get(c.type) for c in table.columns}
    options = None
    root = settings.root
    if settings.is_s3:
        from lake.storage import open_store

        options = open_store(settings).storage_options
        root = root.replace("s3a://", "s3://")
    write_deltalake(
        f"{root}/{table.path}",
        pa.Table.from_pylist([defaults | row for row in rows], arrow_schema(table)),
        mode="append",
        storage_options=options,
    )


def a_day(day: date, student: str = "a" * 64, **values: Any) -> dict[str, Any]:
    return {"date": day, "student_hash": student, "events_count": 1, **values}


@pytest.fixture
def lake(settings: MakeSettings) -> Settings:
    made = settings()
    write_rows(made, DAILY, [a_day(date(2025, 9, 1), pages_viewed=3), a_day(date(2025, 9, 2))])
    return made


def test_sql__reads_a_table_by_its_name(lake: Settings) -> None:
    rows = sql(lake, f"SELECT date, pages_viewed FROM {DAILY} ORDER BY date").fetchall()
    assert rows == [(date(2025, 9, 1), 3), (date(2025, 9, 2), 0)]


def test_sql__gives_ids_the_form_that_records_have(lake: Settings) -> None:
    with connect(lake) as connection:
        for text, (wanted, _) in [*ANY.items(), (None, (None, None))]:
            assert connection.execute("SELECT record_id($1)", [text]).fetchone() == (wanted,), text


def test_connect__shows_what_is_written_later(lake: Settings) -> None:
    with connect(lake) as connection:
        write_rows(lake, DAILY, [a_day(date(2025, 9, 3))])
        assert connection.execute(f"SELECT count(*) FROM {DAILY}").fetchall() == [(3,)]


def test_connect__gives_times_in_utc(lake: Settings) -> None:
    session = {
        "session_id": "0" * 32,
        "student_hash": "a" * 64,
        "date": date(2025, 9, 1),
        "session_start": datetime(2025, 9, 1, 23, 59, tzinfo=UTC),
        "session_end": datetime(2025, 9, 1, 23, 59, tzinfo=UTC),
        "device_type": "mobile",
    }
    write_rows(lake, "silver.sessions", [session])
    query = "SELECT session_start::VARCHAR, session_start FROM silver.sessions"
    text, value = sql(lake, query).fetchall()[0]
    assert text == "2025-09-01 23:59:00+00"
    assert value == session["session_start"]


def test_connect__describes_every_declared_table(lake: Settings) -> None:
    with connect(lake) as connection:
        for name, table in TABLES.items():
            described = connection.execute(f"DESCRIBE {name}").fetchall()
            assert tuple(row[0] for row in described) == table.column_names


def test_connect__joins_the_titles_that_hold_now(settings: MakeSettings) -> None:
    """Events of a lake from when they carried titles, and newer ones."""
    lake = settings()
    old = {"event_id": "1", "date": date(2025, 9, 1), "course_id": "c1", "chapter_id": "k1"}
    events = TABLES["silver.events"]
    schema = arrow_schema(events).append(pa.field("chapter_title", pa.string()))
    path = f"{lake.root}/{events.path}"
    none = dict.fromkeys(schema.names)
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    rows = pa.Table.from_pylist([none | old | {"chapter_title": "Old"}], nullable)
    write_deltalake(path, rows, partition_by=["date"])
    later = [none | old | {"event_id": "2", "chapter_id": "k9"}, none | old | {"event_id": "3"}]
    later[1]["course_id"] = None
    rows = pa.Table.from_pylist(later, nullable).drop_columns("chapter_title")
    delta_rs_rows(DeltaTable(path), rows, "b1", None, NO_FENCE)
    chapters = [
        {"course_id": "c1", "course_title": "Biology", "chapter_id": k, "chapter_title": k.upper()}
        for k in ("k1", "k2")
    ]
    loaded = {"_ingested_at": datetime(2025, 9, 2, tzinfo=UTC)}
    write_rows(lake, "silver.dim_chapters", [loaded | row for row in chapters])
    query = "SELECT event_id, course_title, chapter_title FROM silver.titled_events ORDER BY 1"
    assert sql(lake, query).fetchall() == [
        ("1", "Biology", "K1"),
        ("2", "Biology", None),
        ("3", None, None),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM gold.chapter_engagement",
        "SELECT count(*) FROM gold.chapter_engagement",
        "SELECT date FROM gold.chapter_engagement WHERE course_id = 'x'",
        f"SELECT d.date FROM {DAILY} d LEFT JOIN gold.chapter_engagement e USING (date)",
    ],
)
def test_sql__names_the_command_that_writes_a_missing_table(lake: Settings, query: str) -> None:
    message = r"gold\.chapter_engagement is not written.*lmslake build"
    with pytest.raises(LakeError, match=message), readable_errors():
        sql(lake, query).fetchall()


def test_connect__makes_no_folder_for_a_mistyped_root(tmp_path: Path) -> None:
    root = tmp_path / "no-such-lake"
    with pytest.raises(LakeError, match="There is no lake"):
        connect(Settings(root=str(root)))
    assert not root.exists()


@pytest.mark.parametrize(
    "query",
    [
        f"COPY {DAILY} TO '{{file}}'",
        f"EXPLAIN ANALYZE COPY {DAILY} TO '{{file}}'",
        "CREATE TABLE t AS SELECT 1",
        "SET lock_configuration = false",
        "ATTACH '{file}'",
        f"DELETE FROM {DAILY}",
        "SELECT 1; SELECT 2",
        "-- nothing",
    ],
)
def test_sql__takes_one_reading_statement_only(lake: Settings, tmp_path: Path, query: str) -> None:
    file = tmp_path / "written"
    with pytest.raises(LakeError):
        sql(lake, query.format(file=file)).fetchall()
    assert not file.exists()


@pytest.mark.parametrize(
    "query", [f"EXPLAIN SELECT * FROM {DAILY}", f"PIVOT {DAILY} ON date USING sum(pages_viewed)",
              f"FROM {DAILY}", f"SUMMARIZE {DAILY}", f"DESCRIBE {DAILY}", "SHOW ALL TABLES"]
)  # fmt: skip
def test_sql__takes_every_kind_of_reading(lake: Settings, query: str) -> None:
    assert sql(lake, query).fetchall()


def test_sql__says_what_is_wrong_with_a_query(lake: Settings) -> None:
    with pytest.raises(LakeError, match=r"(?s)page_viewed.*pages_viewed"):
        sql(lake, f"SELECT page_viewed FROM {DAILY}")
    with pytest.raises(LakeError, match="lmslake tables"):
        sql(lake, "SELECT * FROM gold.daily")
    with pytest.raises(LakeError, match="syntax error"):
        sql(lake, "SELEC 1")


def test_frame__gives_pandas_or_polars(lake: Settings) -> None:
    in_pandas = frame(DAILY, settings=lake)
    in_polars = frame(f"SELECT * FROM {DAILY}", engine="polars", settings=lake)
    assert isinstance(in_pandas, pandas.DataFrame)
    assert isinstance(in_polars, polars.DataFrame)
    assert in_polars.schema["date"] == polars.Date
    assert list(in_pandas.columns) == in_polars.columns == list(TABLES[DAILY].column_names)
    assert sorted(in_pandas["pages_viewed"]) == sorted(in_polars["pages_viewed"]) == [0, 3]


def test_frame__reads_the_lake_of_the_environment(
    lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSLAKE_ROOT", lake.root)
    assert len(frame(DAILY)) == 2


def test_known_table__suggests_near_names() -> None:
    with pytest.raises(LakeError, match=r"Did you mean gold.student_daily_activity"):
        known_table("gold.student_daily_activty")
    with pytest.raises(LakeError, match=r"Did you mean silver.sessions"):
        known_table("session")


def test_connect__leaves_out_rows_of_a_deletion_vector(settings: MakeSettings) -> None:
    made = settings()
    write_rows(made, DAILY, [a_day(date(2025, 9, 1), pages_viewed=n) for n in range(5)])
    _delete_rows(Path(made.root) / TABLES[DAILY].path, [1, 3])
    assert sorted(frame(DAILY, settings=made)["pages_viewed"]) == [0, 2, 4]
    assert sql(made, f"SELECT count(*) FROM {DAILY}").fetchall() == [(3,)]


def _delete_rows(table: Path, positions: list[int]) -> None:
    """Commit what Spark commits for DELETE: the table's one file with a deletion vector."""
    first = (table / "_delta_log" / f"{0:020}.json").read_text().splitlines()
    add = next(json.loads(line)["add"] for line in first if '"add"' in line)
    bitmap = _inline_bitmap(positions)
    vector = {
        "storageType": "i",
        "pathOrInlineDv": _z85(bitmap),
        "sizeInBytes": len(bitmap),
        "cardinality": len(positions),
    }
    removed = {"path": add["path"], "dataChange": True, "deletionTimestamp": 1,
               "partitionValues": add["partitionValues"], "size": add["size"]}  # fmt: skip
    features = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features,
                "writerFeatures": features}  # fmt: skip
    actions = [{"protocol": protocol}, {"remove": removed},
               {"add": add | {"deletionVector": vector}}]  # fmt: skip
    commit = table / "_delta_log" / f"{1:020}.json"
    commit.write_text("\n".join(json.dumps(action) for action in actions))


def _inline_bitmap(positions: list[int]) -> bytes:
    """Delta's RoaringBitmapArray with one array container, filled up to whole z85 groups."""
    container = struct.pack("<HH", 0, len(positions) - 1)
    offset = struct.pack("<I", 16)
    values = b"".join(struct.pack("<H", position) for position in positions)
    bitmap = struct.pack("<II", 12346, 1) + container + offset + values
    body = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    return body + b"\0" * (-len(body) % 4)


def _z85(body: bytes) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    text = ""
    for (number,) in struct.iter_unpack(">I", body):
        text += "".join(digits[number // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


@pytest.mark.services
def test_connect__reads_a_lake_in_a_bucket_and_hides_its_keys(minio: Minio) -> None:
    made = minio.settings()
    write_rows(made, DAILY, [a_day(date(2025, 9, 1), pages_viewed=3)])
    assert list(frame(DAILY, settings=made)["pages_viewed"]) == [3]
    assert made.s3_secret_key is not None
    secret = made.s3_secret_key.get_secret_value()
    assert secret not in str(sql(made, "FROM duckdb_secrets()").fetchall())
    with pytest.raises(LakeError):
        sql(made, "SET allow_unredacted_secrets = true")


def test_connect__uses_no_extension_from_the_network(lake: Settings) -> None:
    with connect(lake) as connection:
        loaded = connection.execute(
            "SELECT install_path FROM duckdb_extensions() WHERE extension_name = 'delta'"
        ).fetchall()
        assert "site-packages" in loaded[0][0] or loaded[0][0] in ("", None)
        with pytest.raises(duckdb.Error):
            connection.execute("SELECT * FROM st_read('x')")
