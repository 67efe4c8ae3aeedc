"""Training sets: features as of the labels' dates, and nothing that came later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas
import polars
import pytest

from lake.errors import LakeError
from lake.settings import Settings
from lake.training import FEATURES, training_set
from tests.lake.test_query import write_rows

MakeSettings = Callable[..., Settings]
Activity = dict[str, dict[date, float]]
FIRST = date(2025, 9, 1)
NAME = "features.student_features"


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def feature_rows(activity: Activity, newest: date) -> list[dict[str, Any]]:
    """The table by its definition: seconds per student and active day in, one quiz per such day."""
    rows = []
    for student, seconds in activity.items():
        for number in range((newest - min(seconds)).days + 1):
            as_of = min(seconds) + timedelta(days=number)
            past = [active for active in seconds if active <= as_of]
            silent = (as_of - max(past)).days
            if silent > 30:
                continue

            def total(end: date, of: dict[date, float] = seconds) -> float:
                return sum(v for d, v in of.items() if 0 <= (end - d).days < 7)

            this, previous = total(as_of), total(as_of - timedelta(days=7))
            rows.append(
                {
                    "student_hash": student,
                    "as_of_date": as_of,
                    "rolling_7d_time_spent": this,
                    "rolling_7d_sessions": sum((as_of - d).days < 7 for d in past),
                    "avg_quiz_accuracy_30d": 0.5 if silent < 30 else None,
                    "last_login_days_ago": silent,
                    "engagement_trend": (this - previous) / (this + previous)
                    if this + previous
                    else 0.0,
                }
            )
    return rows


def features_of(
    settings: Settings, activity: Activity, newest: date, *labels: tuple[str, date]
) -> list[tuple[Any, ...]]:
    write_rows(settings, NAME, feature_rows(activity, newest))
    given = polars.DataFrame(labels, schema=["student_hash", "date"], orient="row")
    return training_set(settings, given).select(FEATURES).rows()


def test_training_set__gives_the_features_of_the_day(settings: MakeSettings) -> None:
    activity = {"s": {day(0): 100.0, day(7): 300.0}}
    rows = features_of(settings(), activity, day(10), ("s", day(7)), ("s", day(0)))
    assert rows == [(300.0, 1, 0.5, 0, 0.5), (100.0, 1, 0.5, 0, 1.0)]


def test_training_set__counts_on_past_the_horizon(settings: MakeSettings) -> None:
    activity = {"s": {day(0): 100.0}, "other": {day(50): 1.0}}
    rows = features_of(
        settings(), activity, day(50), *[("s", day(n)) for n in (6, 7, 29, 30, 31, 50)]
    )
    assert rows == [
        (100.0, 1, 0.5, 6, 1.0),
        (0.0, 0, 0.5, 7, -1.0),
        (0.0, 0, 0.5, 29, 0.0),
        (0.0, 0, None, 30, 0.0),
        (0.0, 0, None, 31, 0.0),
        (0.0, 0, None, 50, 0.0),
    ]


def test_training_set__has_nothing_before_the_first_event(settings: MakeSettings) -> None:
    rows = features_of(settings(), {"s": {day(5): 1.0}}, day(9), ("s", day(4)), ("who", day(9)))
    assert rows == [(None,) * 5] * 2


@pytest.mark.parametrize("later", [1, 8, 29, 31, 45, 80])
def test_training_set__does_not_see_events_after_the_label(
    settings: MakeSettings, later: int
) -> None:
    labels = [("s", day(n)) for n in range(12)]
    before = features_of(
        settings(root=settings().root + "/a"), {"s": {day(0): 9.0, day(3): 5.0}}, day(11), *labels
    )
    after = features_of(
        settings(root=settings().root + "/b"),
        {"s": {day(0): 9.0, day(3): 5.0, day(11 + later): 7.0}},
        day(11 + later),
        *labels,
    )
    assert after == before


def test_training_set__keeps_the_rows_of_pandas(settings: MakeSettings) -> None:
    made = settings()
    write_rows(made, NAME, feature_rows({"s": {day(0): 100.0}}, day(3)))
    labels = pandas.DataFrame(
        {
            "passed": [True, False, True, False],
            "student_hash": ["s", "t", "s", "s"],
            "date": pandas.to_datetime([day(2), day(1), day(0), day(2)]),
        },
        index=[7, 3, 3, 1],
    )
    rows = training_set(made, labels)
    assert isinstance(rows, pandas.DataFrame)
    assert list(rows.columns) == [*labels.columns, *FEATURES]
    assert list(rows.index) == [7, 3, 3, 1]
    pandas.testing.assert_frame_equal(rows[list(labels.columns)], labels)
    assert {str(kind) for kind in rows[list(FEATURES)].dtypes} == {"float64"}
    silent = [None if pandas.isna(n) else n for n in rows["last_login_days_ago"]]
    assert silent == [2, None, 0, 2]


def test_training_set__takes_no_labels_at_all(settings: MakeSettings) -> None:
    made = settings()
    write_rows(made, NAME, feature_rows({"s": {day(0): 100.0}}, day(3)))
    schema = {"student_hash": polars.String, "date": polars.Date}
    rows = training_set(made, polars.DataFrame(schema=schema))
    assert rows.columns == ["student_hash", "date", *FEATURES]
    assert rows.height == 0


def test_training_set__takes_python_dates_in_pandas(settings: MakeSettings) -> None:
    made = settings()
    write_rows(made, NAME, feature_rows({"s": {day(0): 100.0}}, day(3)))
    labels = pandas.DataFrame({"student_hash": ["s"], "date": [day(3)]})
    assert training_set(made, labels)["last_login_days_ago"].tolist() == [3]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"student": ["s"], "date": [day(0)]}, "no column student_hash"),
        ({"student_hash": ["s"], "date": [None]}, "date of the labels"),
        ({"student_hash": ["s", None], "date": [day(0)] * 2}, "student_hash .* empty in row 1"),
        ({"student_hash": [1], "date": [day(0)]}, "student_hash .* must be text"),
        ({"student_hash": ["s"], "date": ["2025-09-01"]}, "date of the labels must be dates"),
        ({"student_hash": ["s"], "date": [datetime(2025, 9, 1, 8, tzinfo=UTC)]}, "time of day"),
        ({"student_hash": ["s"], "date": [day(0)], "engagement_trend": [0.0]}, "engagement_trend"),
        ({"student_hash": ["s", "s"], "date": [day(3), day(4)]}, "(?s)1 labels.*2025-09-04.*row 1"),
    ],
)
@pytest.mark.parametrize("kind", [pandas.DataFrame, polars.DataFrame])
def test_training_set__refuses_labels_that_it_cannot_answer(
    settings: MakeSettings, labels: dict[str, list[Any]], message: str, kind: Callable[..., Any]
) -> None:
    made = settings()
    write_rows(made, NAME, feature_rows({"s": {day(0): 100.0}}, day(3)))
    with pytest.raises(LakeError, match=message):
        training_set(made, kind(labels))


def test_training_set__refuses_a_table_with_holes(settings: MakeSettings) -> None:
    made = settings()
    rows = feature_rows({"s": {day(0): 100.0}}, day(9))
    write_rows(made, NAME, [row for row in rows if row["as_of_date"] != day(5)])
    labels = pandas.DataFrame({"student_hash": ["s"], "date": [day(5)]})
    with pytest.raises(LakeError, match="lacks the rows"):
        training_set(made, labels)


def test_training_set__names_the_command_where_nothing_is_built(settings: MakeSettings) -> None:
    labels = pandas.DataFrame({"student_hash": ["s"], "date": [day(5)]})
    with pytest.raises(LakeError, match="lmslake build"):
        training_set(settings(), labels)
