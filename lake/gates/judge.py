"""Great Expectations as the judge of one-row summaries, and the renderer of its Data Docs."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from schemas.expectations import Expectation, expectation_suite, expectations
from schemas.table import Table

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

_import_lock = threading.Lock()


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations said about one expectation. `observed` is the summary's number."""

    expectation: Expectation
    success: bool
    observed: float


@dataclass(frozen=True)
class Judgement:
    """Verdicts of one suite in declared order, and GX's own result for the Data Docs."""

    verdicts: tuple[Verdict, ...]
    result: ExpectationSuiteValidationResult


def prepare() -> threading.Thread:
    """Start importing Great Expectations in the background.

    The import takes seconds of CPU. Call it before work that waits for the JVM (starting the
    session, the first Spark job), so that the first judgement finds it done.
    """
    # Imported here first: GX imports it too, and two threads inside its circular imports clash.
    import pyspark.sql.functions  # noqa: F401

    thread = threading.Thread(target=_context, name="import-great-expectations", daemon=True)
    thread.start()
    return thread


def _context() -> Any:
    with _import_lock:
        return _cached_context()


@cache
def _cached_context() -> Any:
    """The batch definition that summaries are judged as, in a context that writes no file."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations as gx
    from great_expectations.data_context.types import base

    # The module sets a level of its own.
    base.logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = base.ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("lake").add_dataframe_asset("summary")
    return asset.add_batch_definition_whole_dataframe("summary")


def judge(
    table: Table,
    summary: Mapping[str, float],
    also: Sequence[Expectation] = (),
    *,
    uncounted: Collection[str] = (),
) -> Judgement:
    """Judge a table's one-row summary by what is declared, and by `also`.

    uncounted: rules that nobody counted; what they want is given otherwise, and not judged.

    Raises ValueError where the summary lacks a number that an expectation needs: a check that
    silently does not run would look like one that passed.
    """
    declared = (want for want in expectations(table) if want.rule not in uncounted)
    wanted = (*declared, *also)
    if missing := [w.name for w in wanted if summary.get(w.column) is None]:
        raise ValueError(f"{table.name}: the summary has no value for {', '.join(missing)}")
    batch_definition = _context()
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # As objects: GX's renderer does not know numpy's numbers.
        row = pd.DataFrame([{w.column: summary[w.column] for w in wanted}], dtype=object)
        batch = batch_definition.get_batch({"dataframe": row})
        result = batch.validate(expectation_suite(table, wanted), result_format="BASIC")
    success = {r.expectation_config.meta["check"]: bool(r.success) for r in result.results}
    verdicts = tuple(Verdict(w, success[w.name], float(summary[w.column])) for w in wanted)
    return Judgement(verdicts, result)


def data_docs_page(judgement: Judgement, run_name: str) -> str:
    """The judgement as a Data Docs page: HTML by Great Expectations' own renderer."""
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    judgement.result.meta["run_id"] = RunIdentifier(run_name=run_name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = ValidationResultsPageRenderer(run_info_at_end=True).render(judgement.result)
        page: str = _page_view().render(document)
    return page


@cache
def _page_view() -> Any:
    """One for all pages: each view compiles its sixteen templates anew."""
    from great_expectations.render.view.view import DefaultJinjaPageView

    return DefaultJinjaPageView()
