"""What gates leave behind: rows of bronze.gate_results, Data Docs pages, samples of bad rows."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from lake.gates.judge import Judgement, data_docs_page
from schemas.derivations import arrow_schema
from schemas.table import Table
from schemas.tables.operations import GATE_RESULTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lake.gates.result import GateResult
    from lake.storage import ObjectStore

DOCS = "gates/data_docs"
SAMPLES = "gates/samples"
SAMPLE_ROWS = 100


def append_results(store: ObjectStore, build_id: str, results: Sequence[GateResult]) -> None:
    """Append every verdict to bronze.gate_results, in one commit by delta-rs (no Spark)."""
    import pyarrow as pa
    from deltalake import write_deltalake

    rows = [
        {
            "build_id": build_id,
            "table_name": result.table.name,
            "dates": ",".join(day.isoformat() for day in result.dates),
            "expectation": verdict.expectation.name,
            "meaning": verdict.expectation.meaning,
            "severity": verdict.expectation.severity,
            "success": verdict.success,
            "outcome": result.outcome(verdict),
            "observed": verdict.observed,
            "expected": verdict.expectation.expected,
            "row_count": result.row_count,
            "evaluated_at": result.evaluated_at,
        }
        for result in results
        for verdict in result.verdicts
    ]
    write_deltalake(
        store.delta_uri(GATE_RESULTS.path),
        pa.Table.from_pylist(rows, schema=arrow_schema(GATE_RESULTS)),
        mode="append",
        name=GATE_RESULTS.name,
        description=GATE_RESULTS.doc,
        storage_options=store.storage_options,
    )


def write_data_docs(
    store: ObjectStore,
    build_id: str,
    judged: Sequence[tuple[GateResult, Judgement]],
    finished_at: datetime,
) -> str:
    """Write a page per table (its newest result), a copy of each failed one, and the index.

    What is kept is bounded: one page per table, and pages of stopped builds. Every result stays
    in bronze.gate_results. Returns the key of the index.
    """
    latest = {result.table.name: (result, judgement) for result, judgement in judged}
    stopped = {r.table.name: (r, j) for r, j in judged if r.stopping}
    for name, (result, judgement) in {**latest, **stopped}.items():
        page = data_docs_page(judgement, f"{build_id} {result.days}").encode()
        store.put(f"{DOCS}/{name}.html", page)
        if result.stopping:
            store.put(f"{DOCS}/stopped/{build_id}/{name}.html", page)
    shown = [result for result, _ in {**latest, **stopped}.values()]
    index = f"{DOCS}/index.html"
    store.put(index, _index_page(build_id, shown, finished_at).encode())
    return index


def _index_page(build_id: str, results: Sequence[GateResult], finished_at: datetime) -> str:
    lines = "\n".join(
        f'<tr><td><a href="{result.table.name}.html">{result.table.name}</a></td>'
        f"<td>{html.escape(result.days)}</td><td>{result.row_count}</td>"
        f"<td>{sum(v.success for v in result.verdicts)} of {len(result.verdicts)}</td>"
        f"<td>{result.worst_outcome}</td></tr>"
        for result in results
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Gates of the lake</title>
<style>body{{font-family:sans-serif;margin:2em}}td,th{{padding:.3em 1em;text-align:left}}</style>
</head><body><h1>Gates</h1>
<p>Build {html.escape(build_id)}, {finished_at:%Y-%m-%d %H:%M:%S} UTC. Earlier results:
<code>lmslake sql "SELECT * FROM {GATE_RESULTS.name}"</code></p>
<table><tr><th>table</th><th>dates</th><th>rows</th><th>expectations met</th><th>outcome</th></tr>
{lines}
</table></body></html>
"""


def put_sample(store: ObjectStore, build_id: str, table: Table, rows: DataFrame) -> str | None:
    """Keep up to 100 rows that break an error check as Parquet, with the checks' names in
    `failed`; of their columns the declared ones without pseudonyms and identifiers, because this
    file is outside of grants, retention and erasure.

    Returns the object's key, or None where no single row is at fault.
    """
    import io

    import pyarrow.parquet as pq
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from lake.gates.rules import all_violations

    same_key = F.count(F.lit(1)).over(Window.partitionBy(*table.keys)) > 1
    repeated = F.when(same_key, F.lit(f"unique({', '.join(table.keys)})"))
    broken = F.concat_ws("; ", F.nullif(all_violations(table), F.lit("")), repeated)
    harmless = [column.name for column in table.columns if column.sensitivity == "none"]
    shown = [name for name in harmless if name in rows.columns]
    failed = rows.withColumn("failed", broken).where("failed <> ''").select(*shown, "failed")
    sample = failed.limit(SAMPLE_ROWS).toArrow()
    if sample.num_rows == 0:
        return None
    body = io.BytesIO()
    pq.write_table(sample, body)
    key = f"{SAMPLES}/{build_id}/{table.name}.parquet"
    store.put(key, body.getvalue())
    return key
