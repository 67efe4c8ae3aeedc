"""Landed files and the rows of bronze: each has its own, and what landings that were ended left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING

from lake.audit_files import LOST_NOTE, Unnoted
from lake.delta_reading import is_written
from lake.landing.naming import readable
from lake.landing.topic_rows import is_of_topic
from lake.query_engine import fetched
from schemas.tables import TABLES

if TYPE_CHECKING:
    import duckdb

    from lake.audit_files import Files
    from lake.audit_records import RecordsLine
    from lake.landing.bronze import FirstLanding
    from lake.storage import ObjectStore

Landed = Callable[[], Mapping[str, "FirstLanding"]]


def check_bronze(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, line: RecordsLine
) -> Iterator[Unnoted]:
    """Each file has its rows in bronze, numbered from 1, each once; gives rows of no known file."""
    table = TABLES[f"bronze.{line.source}"]
    if not is_written(table, store):
        if line.rows:
            line.faults.append(f"{table.name} is gone; its files have {line.rows:,} rows")
        return
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS "
        "SELECT _content_hash AS content_hash, any_value(_source_file) AS file_name, "
        "count(*) AS rows, count(DISTINCT _row) AS numbers, min(_row) AS first, max(_row) AS last "
        f"FROM {table.name} GROUP BY _content_hash"
    )
    summed = connection.execute("SELECT coalesce(sum(rows), 0)::BIGINT FROM counted")
    line.in_bronze = summed.fetchall()[0][0]
    line.faults += [
        f"{row['file_name']}: the file has {row['row_count']:,} rows, {table.name} "
        f"{row['rows']:,} of it, {row['numbers']:,} different ones"
        for row in fetched(connection, DIFFERING, source=line.source)
    ]
    for row in fetched(connection, UNNOTED, source=line.source):
        yield Unnoted(source=line.source, **row)


DIFFERING = """
SELECT contents.file_name, row_count, coalesce(rows, 0) AS rows, coalesce(numbers, 0) AS numbers
FROM contents LEFT JOIN counted USING (content_hash)
WHERE source = $source AND (row_count, row_count, 1, row_count) IS DISTINCT FROM (
    coalesce(rows, 0), coalesce(numbers, 0), coalesce(first, 1), coalesce(last, 0)
)
ORDER BY contents.file_name
"""

UNNOTED = """
SELECT content_hash, file_name, rows FROM counted
ANTI JOIN (SELECT content_hash FROM contents WHERE source = $source) USING (content_hash)
ORDER BY file_name
"""


class EndedLandings:
    """Says what became of rows that no note knows of, which a landing writes before the note."""

    def __init__(self, landed: Landed, await_landing: Callable[[], None], taken: Set[str]) -> None:
        """landed: all notes as of now. await_landing: returns once no landing is at work.

        taken: paths of contents that builds took, and that were noted therefore.
        """
        self._landed = landed
        self._await_landing = await_landing
        self._taken = taken

    def tell(
        self, unnoted: Iterable[Unnoted], files: Files | None, lines: Mapping[str, RecordsLine]
    ) -> Iterator[str]:
        """Adds faults to the lines; gives notes of what the next landing brings to its end."""
        strays = files.strays if files else {}
        left = self._left(rows for rows in unnoted if rows.content_hash not in strays)
        if not left:
            return
        self._await_landing()
        left = self._left(left)
        waiting = dict(files.waiting()) if files and left else {}
        # A file that was moved while those that wait were read.
        landed = self._landed()
        names = {first.file_name for first in landed.values()}
        for rows in left:
            if rows.content_hash in landed:
                continue
            is_taken = f"{rows.source}/{rows.content_hash}" in self._taken
            if not is_taken and (file := waiting.get(rows.content_hash)):
                yield (
                    f"{readable(file.key)}: {rows.told} yet: its landing was ended. `lmslake land` "
                    "goes on"
                )
            elif not is_taken and _is_newest_of_topic(rows.file_name, names):
                yield (
                    f"{rows.file_name}: {rows.told} yet: its reader was ended. `lmslake records "
                    "stream` notes it at its start"
                )
            else:
                is_lost = is_taken or is_of_topic(rows.file_name)
                why = LOST_NOTE if is_lost else "its landing was ended; land it again"
                lines[rows.source].faults.append(f"{rows.file_name}: {rows.told}: {why}")

    def _left(self, unnoted: Iterable[Unnoted]) -> list[Unnoted]:
        left = list(unnoted)
        landed = self._landed() if left else {}
        return [rows for rows in left if rows.content_hash not in landed]


def _is_newest_of_topic(name: str, noted: Set[str]) -> bool:
    """Whether it is a range of messages after which none of its partition was noted.

    Who reads a partition notes what was left of it before anything new.
    """
    if not is_of_topic(name):
        return False
    partition, _, offsets = name.rpartition("/")
    last = int(offsets.rpartition("-")[2])
    return not any(
        other.startswith(f"{partition}/") and int(other.rpartition("-")[2]) > last
        for other in noted
    )
