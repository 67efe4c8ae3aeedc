"""Training sets: labels with dates in, features as they were known on those dates out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from lake.errors import LakeError
from lake.query import connect, readable_errors
from lake.settings import Settings
from schemas.tables.features import STUDENT_FEATURES

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa

Labels = TypeVar("Labels", "pandas.DataFrame", "polars.DataFrame")

HORIZON_DAYS = 30
FEATURES = tuple(
    name for name in STUDENT_FEATURES.column_names if name not in STUDENT_FEATURES.keys
)
# The newest row at or before the label's date. Past the horizon of the table (30 days after the
# last active day) it is older than the date; every window is empty then, and what the columns'
# definitions give for such a day needs no more than the number of days between.
AS_OF = """
    SELECT
        labels.position,
        features.as_of_date,
        labels.as_of - features.as_of_date AS days_past,
        features.last_login_days_ago + days_past AS silent_days,
        CASE WHEN days_past = 0 THEN rolling_7d_time_spent
             WHEN days_past > 0 THEN 0.0 END AS rolling_7d_time_spent,
        CASE WHEN days_past = 0 THEN rolling_7d_sessions
             WHEN days_past > 0 THEN 0 END AS rolling_7d_sessions,
        CASE WHEN days_past = 0 THEN avg_quiz_accuracy_30d END AS avg_quiz_accuracy_30d,
        CAST(silent_days AS INTEGER) AS last_login_days_ago,
        CASE WHEN days_past = 0 THEN engagement_trend
             WHEN days_past > 0 THEN 0.0 END AS engagement_trend
    FROM labels ASOF LEFT JOIN features.student_features AS features
      ON labels.student_hash = features.student_hash AND labels.as_of >= features.as_of_date
    ORDER BY labels.position
"""


def training_set(settings: Settings, labels: Labels) -> Labels:
    """The labels with the features of features.student_features as of each label's date.

    labels: a pandas or Polars frame with student_hash, date (a day) and any further columns; the
    same kind of frame comes back, one row per label in the same order (pandas: the same index,
    features as float64).
    Added are the feature columns; a feature of date D counts every event before the end of the
    UTC day D and none after it, so that for a label which is decided during D the day before is
    the date to give.

    Null rules: a student without an event up to the date (or one that the lake does not know) has
    no features: all null. More than 30 days after the last event the sums and the trend are 0,
    the accuracy is null and last_login_days_ago counts on.

    Raises LakeError: a column is missing, null or of the wrong type, a feature's name is taken, or
    a date is past the newest day of the lake. The last is refused rather than answered with the
    newest day: the events of such a day are not there, and zeros would say that there were none.
    """
    import pyarrow as pa

    keys = pa.Table.from_batches([_keys(labels)])
    with connect(settings) as connection, readable_errors():
        connection.register("given", keys)
        connection.execute(
            "CREATE TEMP TABLE labels AS SELECT position, student_hash, as_of FROM given"
        )
        _check_dates(connection)
        features = connection.execute(AS_OF).to_arrow_table()
    _check_complete(features)
    return _with_columns(labels, features.select(list(FEATURES)))


def _keys(labels: Any) -> pa.RecordBatch:
    """position, student_hash, as_of of every label, checked."""
    import pyarrow as pa

    names = list(labels.columns)
    if missing := [name for name in ("student_hash", "date") if name not in names]:
        raise LakeError(
            f"The labels have no column {' and no column '.join(missing)}; they have "
            f"{', '.join(map(str, names)) or 'none'}."
        )
    if taken := [name for name in FEATURES if name in names]:
        raise LakeError(f"The labels have a column {taken[0]} already: rename or drop it.")
    students, dates = _arrow(labels, "student_hash"), _arrow(labels, "date")
    if not (pa.types.is_string(students.type) or pa.types.is_large_string(students.type)):
        raise LakeError(f"student_hash of the labels must be text, not {students.type}.")
    for name, values in (("student_hash", students), ("date", dates)):
        if values.null_count:
            position = values.is_null().to_pylist().index(True)
            raise LakeError(f"{name} of the labels is empty in row {position} (counted from 0).")
    return pa.RecordBatch.from_pydict(
        {"position": pa.array(range(len(labels))), "student_hash": students, "as_of": _days(dates)}
    )


def _arrow(labels: Any, name: str) -> pa.Array:
    import pyarrow as pa

    column = labels[name]
    try:
        converted = pa.Array.from_pandas(column) if _is_pandas(labels) else column.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise LakeError(f"{name} of the labels holds values of several types: {error}") from None
    return converted.combine_chunks() if isinstance(converted, pa.ChunkedArray) else converted


def _days(dates: pa.Array) -> pa.Array:
    """The labels' days. A time of day is refused: whatever happened later that day would leak."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(dates.type):
        return dates.cast(pa.date32())
    if not pa.types.is_timestamp(dates.type):
        raise LakeError(
            f"date of the labels must be dates, not {dates.type} "
            "(pandas: pd.to_datetime; Polars: str.to_date)."
        )
    if dates.type.tz not in (None, "UTC"):
        raise LakeError(f"date of the labels must be UTC days; it is in {dates.type.tz}.")
    days = dates.cast(pa.timestamp(dates.type.unit)).cast(pa.date32(), safe=False)
    whole = pc.equal(days.cast(pa.timestamp("us")), dates.cast(pa.timestamp("us"), safe=False))
    if not pc.all(whole).as_py():
        position = whole.to_pylist().index(False)
        raise LakeError(
            f"date of the labels has a time of day in row {position}: {dates[position]}.\n"
            "  Features are those of the end of a UTC day. For a label that was decided during "
            "a day give the day before."
        )
    return days


def _check_dates(connection: duckdb.DuckDBPyConnection) -> None:
    newest = connection.execute("SELECT max(as_of_date) FROM features.student_features").fetchall()[
        0
    ][0]
    if newest is None:
        raise LakeError("features.student_features has no rows yet: run `lmslake build`.")
    late = connection.execute(
        "SELECT count(*), min(position), min_by(as_of, position) FROM labels WHERE as_of > ?",
        [newest],
    ).fetchall()[0]
    if late[0]:
        raise LakeError(
            f"{late[0]} labels are past the newest day of the lake, {newest}; the first is row "
            f"{late[1]} ({late[2]}).\n"
            "  Nobody knows the features of such a day yet. Ingest and build newer events, or "
            "drop these labels."
        )


def _check_complete(features: pa.Table) -> None:
    """Within the horizon there is a row for every day; where it is not, a build is missing."""
    import pyarrow.compute as pc

    holes = features.filter(
        pc.and_(
            pc.greater(features["days_past"], 0),
            pc.less_equal(features["silent_days"], HORIZON_DAYS),
        )
    )
    if holes.num_rows:
        raise LakeError(
            f"features.student_features lacks the rows of {holes.num_rows} labels; the first "
            f"lies after {holes['as_of_date'][0]}.\n"
            "  Days were not built: run `lmslake build`."
        )


def _is_pandas(labels: object) -> bool:
    return type(labels).__module__.startswith("pandas")


def _with_columns(labels: Any, features: pa.Table) -> Any:
    if _is_pandas(labels):
        # One type whatever is in the rows: pandas' whole numbers have no null.
        added = features.to_pandas().astype("float64")
        added.index = labels.index
        return labels.assign(**{name: added[name] for name in FEATURES})
    import polars

    return labels.hstack(polars.DataFrame(polars.from_arrow(features)))
