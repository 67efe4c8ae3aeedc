"""`lmslake build` in this process: `timed_build REPORT.json [--no-gates]`.

The same call as the command's. Most of a gate's work runs inside the jobs that compute and write
rows, where no clock can tell it apart; what gates cost is therefore the difference to a build
without them. Such a build exists here only: the product has no way to switch them off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from jobs.build import build_dates, print_progress, print_reports

if TYPE_CHECKING:
    from pyspark.sql import Column


def total_phases(of_passes: Sequence[dict[str, float]]) -> dict[str, float]:
    """Seconds by phase over all passes of a build."""
    total: dict[str, float] = {}
    for of_pass in of_passes:
        for phase, seconds in of_pass.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total


@contextmanager
def without_gates() -> Iterator[None]:
    """Every check, its judge and its record replaced by nothing; rows go where they went."""
    from pyspark.sql import functions as F

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def same_rows(rows: Any, *_: Any) -> Any:
        return rows

    def write_only(_: Any, __: Any, rows: Any, ___: Any, write: Any, *____: Any) -> None:
        write(rows)

    def no_violation(*_: Any) -> Column:
        return F.lit(None).cast("string")

    replaced = {
        "lake.gates.gate.Gate.check": nothing,
        "lake.gates.gate.Gate.check_summary": nothing,
        "lake.gates.gate.Gate.check_objects": nothing,
        "lake.gates.gate.Gate.look": nothing,
        "lake.gates.gate.Gate.publish": write_only,
        "lake.pipelines.opened.prepare": nothing,
        "lake.pipelines.silver.guarded": same_rows,
        "lake.pipelines.silver.first_violation": no_violation,
    }
    with ExitStack() as stack:
        for name, replacement in replaced.items():
            stack.enter_context(patch(name, replacement))
        yield


def main() -> None:
    report_file, *options = sys.argv[1:]
    with ExitStack() as stack:
        if "--no-gates" in options:
            stack.enter_context(without_gates())
        reports = build_dates(None, print_progress)
    print_reports(reports)
    phases = total_phases([report.seconds for report in reports])
    Path(report_file).write_text(json.dumps(phases))


if __name__ == "__main__":
    main()
