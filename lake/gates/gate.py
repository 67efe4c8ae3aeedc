"""The gate between computed rows and readers: judge, record, and stop what must not be seen."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lake.gates import record
from lake.gates.judge import Judgement, judge
from lake.gates.result import GateFailed, GateResult
from schemas.expectations import ROW_COUNT, Expectation
from schemas.table import Table
from schemas.tables.operations import GATE_RESULTS

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lake.storage import ObjectStore


EVENTS_ADD_UP = "events_add_up"
EACH_ONCE = "each event that the rows follow from is counted in one of them"


class Gate:
    """The gates of one build. Results are buffered: `flush`, or leaving the `with` block, keeps
    them (also when the build failed), one Delta commit and one set of Data Docs pages a build.
    """

    def __init__(self, store: ObjectStore, build_id: str | None = None) -> None:
        self.store = store
        self.build_id = build_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        self._pending: list[tuple[GateResult, Judgement]] = []
        self._looked: dict[str, GateResult] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.flush()
        except Exception as flush_error:
            if error is None:
                raise
            # The build's own fault must reach the user; that its record is missing comes second.
            error.add_note(f"The gates' results could not be kept: {flush_error}")

    def check(
        self,
        table: Table,
        rows: DataFrame,
        dates: Sequence[date],
        *,
        duplicates: int | None = None,
        also: Sequence[tuple[Expectation, float]] = (),
    ) -> GateResult:
        """Check rows that are about to be published as `table` on `dates`.

        One aggregate over the rows, and one more for uniqueness unless `duplicates` (rows beyond
        the first of their key) is known: cache rows that are expensive to compute. `also` adds
        expectations with what was observed. Raises GateFailed where an error check fails.
        """
        from lake.gates.keys import duplicate_keys
        from lake.gates.rules import summary_columns

        row = rows.agg(*summary_columns(table)).first()
        summary: dict[str, float] = dict(row.asDict()) if row else {}
        if duplicates is None:
            duplicates = duplicate_keys(rows, table.keys)
        return self.check_summary(
            table, summary, dates, duplicates=duplicates, rows=rows, also=also
        )

    def check_summary(
        self,
        table: Table,
        summary: Mapping[str, float],
        dates: Sequence[date],
        *,
        duplicates: int | None,
        quarantines: bool = False,
        rows: DataFrame | None = None,
        also: Sequence[tuple[Expectation, float]] = (),
    ) -> GateResult:
        """Check by a summary that the caller's own pass computed (`rules.summary_columns`).

        `quarantines`: rows that break an error check were set aside, so that such a check is
        recorded and does not stop. `duplicates` None: nobody counted them, because how the rows
        were made leaves none; then nothing is said of uniqueness. `rows` are looked at on failure
        only, to keep a sample. Raises GateFailed where an error check fails; nothing was published
        then.
        """
        observed = {**summary, **{wanted.column: seen for wanted, seen in also}}
        if duplicates is not None:
            names = (c.name for c in table.all_checks if c.rule == "unique")
            observed = {**dict.fromkeys(names, duplicates), **observed}
        uncounted = ("unique",) if duplicates is None else ()
        judgement = judge(table, observed, [wanted for wanted, _ in also], uncounted=uncounted)
        result = GateResult(
            table=table,
            dates=tuple(sorted(dates)),
            row_count=int(observed[ROW_COUNT]),
            verdicts=judgement.verdicts,
            quarantines=quarantines,
            evaluated_at=datetime.now(UTC),
        )
        self._pending.append((result, judgement))
        if result.stopping:
            raise GateFailed(self._message(result, rows))
        return result

    def publish(
        self,
        table: Table,
        rows: DataFrame,
        dates: Sequence[date],
        write: Callable[[DataFrame], int],
        made: DataFrame | None = None,
    ) -> GateResult:
        """Check rows and `write` them (it returns how many it wrote) in one pass over them.

        A row that breaks an error check fails the job that writes, before it commits; only then
        are the rows counted, to say which checks failed. A table with warnings or with a least
        number of rows is counted before it is written.

        That no key comes twice is seen by `look`, where `write` collects the rows and shows them to
        it before it commits. Else give `made`: the rows, or what they were before they were cached.
        Its plan proves it, as that of a GROUP BY over the keys does; where it does not, the keys
        are counted before anything is written. With neither nothing is said of uniqueness. Raises
        GateFailed; nothing was published.
        """
        from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException

        from lake.gates.keys import repeated_keys
        from lake.gates.rules import guarded, is_broken_guard, judged_before, kept_summary

        is_judged_before = judged_before(table)
        duplicates = None
        if made is not None and not is_judged_before:
            duplicates = repeated_keys(rows, table.keys, made)
        if is_judged_before or duplicates:
            result = self.check(table, rows, dates, duplicates=duplicates)
            write(rows)
            return result
        try:
            row_count = write(guarded(rows, table))
        except (PySparkException, Py4JJavaError) as error:
            # Spark names the guard's error as such; around a failed write it is a mere cause.
            if is_broken_guard(error):
                self.check(table, rows, dates)
            raise
        if (looked := self._looked.pop(table.name, None)) is not None:
            return looked
        summary = kept_summary(table, row_count)
        return self.check_summary(table, summary, dates, duplicates=duplicates)

    def look(
        self, table: Table, rows: pa.Table, dates: Sequence[date], event_count: int | None = None
    ) -> None:
        """Check guarded rows that were collected and are about to be committed by a `publish`.

        event_count: events that the rows follow from, where each is counted in one of them.
        Raises GateFailed where keys come twice or events are missing or counted twice.
        """
        import pyarrow.compute as pc

        from lake.gates.rules import judged_before, kept_summary

        if judged_before(table):
            return
        duplicates = rows.num_rows - rows.group_by(list(table.keys)).aggregate([]).num_rows
        also = []
        if event_count is not None:
            wanted = Expectation(EVENTS_ADD_UP, EACH_ONCE, EVENTS_ADD_UP, event_count, event_count)
            also.append((wanted, float(pc.sum(rows["events_count"]).as_py() or 0)))
        summary = kept_summary(table, rows.num_rows)
        self._looked[table.name] = self.check_summary(
            table, summary, dates, duplicates=duplicates, also=also
        )

    def check_objects(
        self, objects: pa.Table, dates: Sequence[date], max_quarantined_share: float = 0.05
    ) -> GateResult:
        """The gate of the raw zone: ledger rows (columns of bronze.raw_objects) of the dates.

        A share of quarantined records above `max_quarantined_share` warns; all else stops.
        """
        from lake.gates.objects import summarise_objects
        from schemas.tables import TABLES

        table = TABLES["bronze.raw_objects"]
        summary, also = summarise_objects(table, objects, max_quarantined_share)
        duplicates = int(summary["unique(path)"])
        return self.check_summary(table, summary, dates, duplicates=duplicates, also=also)

    def flush(self, data_docs: bool = True) -> None:
        """Keep what was judged since the last flush. Without any, nothing is written."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        record.append_results(self.store, self.build_id, [result for result, _ in pending])
        if data_docs:
            record.write_data_docs(self.store, self.build_id, pending, datetime.now(UTC))

    def _message(self, result: GateResult, rows: DataFrame | None) -> str:
        lines = [f"The gate stopped {result.table.name} for {result.days}:"]
        lines += [
            f"  {verdict.expectation.name}: observed {verdict.observed:.12g}, "
            f"expected {verdict.expectation.expected} ({verdict.expectation.meaning})"
            for verdict in result.stopping
        ]
        lines.append(f"{result.row_count} rows were not published; the table is as it was.")
        sample = None
        if rows is not None:
            sample = record.put_sample(self.store, self.build_id, result.table, rows)
        query = (
            f"SELECT * FROM read_parquet('{self.store.delta_uri(sample)}')"
            if sample
            else f"SELECT * FROM {GATE_RESULTS.name} "
            f"WHERE build_id = '{self.build_id}' AND NOT success"
        )
        lines.append(f"Look at {'rows at fault' if sample else 'the results'}:")
        lines.append(f'  lmslake sql "{query}"')
        return "\n".join(lines)
