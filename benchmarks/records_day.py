"""Law 6 for school records: the next school day on a history of years and on one of a month.

A day is the attendance of all students, a test of every fifth and the progress of every tenth of
them. On both lakes the same days follow the history, so that what a build looks back on is full;
the first of them is not measured. What each build wrote is judged: rows that are neither of the
day, nor of its month, nor of a student whom the table's files name, are copied history.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import unquote

from benchmarks.processes import run_measured
from benchmarks.records_files import progressing, student_id, turn_before, write_days
from schemas.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

MONTH_DAYS = 22
# Built after the history; the first of them warms Spark up.
NEXT_DAYS = 3
PROGRESS = "silver.fact_student_progress"
SUMMARY = "gold.student_performance_summary"


@dataclass(frozen=True)
class Written:
    """Rows that a build wrote into a table, and how many of them do not follow from the day."""

    rows: int
    outside: int


@dataclass(frozen=True)
class Days:
    """The measured days on one lake. written: by table, of the last one."""

    seconds: tuple[float, ...]
    written: dict[str, Written]


def measure_days(
    environment: Mapping[str, str], folder: Path, days: Sequence[date], students: int
) -> Days:
    """Land and build the days that follow the lake's history, one by one; the first warms up.

    environment: that of the lake's commands. Landing is not measured. Builds run in one session,
    in a process of their own: the second lake must not find Spark warmer than the first did.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_measure_days, dict(environment), folder, days, students).result()


def _measure_days(
    environment: Mapping[str, str], folder: Path, days: Sequence[date], students: int
) -> Days:
    from pydantic import SecretStr

    from lake.pipelines.opened import open_lake
    from lake.pipelines.records.build import build_records
    from lake.pipelines.records.contents import is_little
    from lake.settings import Settings
    from lake.storage import open_store

    root, key = environment["LMSLAKE_ROOT"], environment["LMSLAKE_PSEUDONYM_KEY"]
    master = environment["LMSLAKE_SPARK_MASTER"]
    settings = Settings(root=root, pseudonym_key=SecretStr(key), spark_master=master)
    seconds: list[float] = []
    before: dict[str, set[str]] = {}
    grows = not is_little(open_store(settings))
    with open_lake(settings, "records of a day", grows=grows) as lake:
        for day in days:
            files = write_days(folder / str(day), [day], students)
            run_measured([sys.executable, "-m", "jobs.land", *map(str, files)], environment)
            before = {name: set(_files(opened)) for name, opened in _written_tables(Path(root))}
            begin = time.monotonic()
            build_records(lake, settings.school, rules=settings.risk)
            seconds.append(time.monotonic() - begin)
    touched = {
        PROGRESS: _hashes(key, settings.tenant, progressing(days[-1], students)),
        SUMMARY: _hashes(key, settings.tenant, range(1, students + 1)),
    }
    return Days(tuple(seconds[1:]), judged(Path(root), before, days[-1], touched))


def judged(
    root: Path, before: Mapping[str, set[str]], day: date, touched: Mapping[str, set[str]]
) -> dict[str, Written]:
    """By table the rows of the files that it has besides those of `before`, where it has any.

    A partition of the day or of its month is the day's, and of states of lessons that of the month
    which they leave; elsewhere the rows of the students whom the table is touched for. Bronze is
    left out: it is appended to.
    """
    found = {}
    for name, opened in _written_tables(root):
        new = {
            path: row for path, row in _files(opened).items() if path not in before.get(name, ())
        }
        if not new or name.startswith("bronze."):
            continue
        days = (day, turn_before(day)) if name == PROGRESS else (day,)
        paths = [path for path, (_, value) in new.items() if not _is_of(value, days)]
        rows = sum(count for count, _ in new.values())
        found[name] = Written(
            rows, _rows_but_of(root / TABLES[name].path, paths, touched.get(name))
        )
    return found


def _is_of(partition: object, days: Iterable[date]) -> bool:
    return str(partition) in {str(at) for day in days for at in (day, day.replace(day=1))}


def _rows_but_of(folder: Path, paths: Sequence[str], students: set[str] | None) -> int:
    import duckdb

    if not paths:
        return 0
    files = [str(folder / unquote(path)) for path in paths]
    condition = "TRUE" if students is None else "NOT list_contains($students, student_hash)"
    given = {"files": files} | ({"students": sorted(students)} if students is not None else {})
    query = f"SELECT count(*) FROM read_parquet($files) WHERE {condition}"
    row = duckdb.execute(query, given).fetchone()
    return int(row[0]) if row else 0


def _written_tables(root: Path) -> Iterator[tuple[str, DeltaTable]]:
    from deltalake import DeltaTable

    for name, table in TABLES.items():
        if (root / table.path / "_delta_log").is_dir():
            yield name, DeltaTable(root / table.path)


def _files(opened: DeltaTable) -> dict[str, tuple[int, object]]:
    """Path of each file → its rows, and the value of its partition."""
    actions = opened.get_add_actions(flatten=True)
    paths, counts = actions["path"].to_pylist(), actions["num_records"].to_pylist()
    names = opened.metadata().partition_columns
    values = actions[f"partition.{names[0]}"].to_pylist() if names else [None] * len(paths)
    return {path: (count, value) for path, count, value in zip(paths, counts, values, strict=True)}


def _hashes(key: str, tenant: str, numbers: Iterable[int]) -> set[str]:
    def pseudonym(number: int) -> str:
        text = f"{tenant}\x1f{student_id(number)}".encode()
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()

    return {pseudonym(number) for number in numbers}


def lines_of_days(long: Days, short: Days, history: int) -> Iterator[str]:
    """The outcome as text."""
    for days, name in ((long, f"{history} school days"), (short, f"{MONTH_DAYS} school days")):
        seconds = " ".join(f"{spent:.1f}" for spent in days.seconds)
        yield f"a day more, on {name:<18}{seconds} s"
    yield f"ratio of the medians {median(long.seconds) / median(short.seconds):.2f}"
    for name in sorted({*long.written, *short.written}):
        ours, theirs = long.written.get(name, NOTHING), short.written.get(name, NOTHING)
        beyond = f"  <- {ours.outside:,} of them are not of the day" if ours.outside else ""
        yield f"  {name:<36}{ours.rows:>12,} rows written, {theirs.rows:,} on the month{beyond}"


NOTHING = Written(0, 0)
