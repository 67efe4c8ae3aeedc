"""Every case of the shared corpus, by both validators; canonical lines; exact times."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.validation import Accepted, Limits, Rejected, Validator
from tests.lake.reference_validation import verdict

CORPUS = Path(__file__).parent.parent / "corpus" / "events.jsonl"
RECORDED_AT = datetime(2025, 12, 1, 12, tzinfo=UTC)
SKEW = timedelta(minutes=10)
EVENT: dict[str, Any] = {
    "event_id": "e-1",
    "student_id": "s-1",
    "event_type": "page_view",
    "timestamp": "2025-11-15T08:30:00Z",
}


def corpus() -> list[tuple[str, bytes, str]]:
    cases = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    return [
        (
            case["name"],
            case["line"].encode() if "line" in case else base64.b64decode(case["line_base64"]),
            case["expected"],
        )
        for case in cases
    ]


@pytest.fixture(scope="module")
def validator() -> Validator:
    return Validator(Limits(SKEW))


@pytest.mark.parametrize(("name", "line", "expected"), corpus(), ids=[c[0] for c in corpus()])
def test_check__agrees_with_the_reference_on_the_corpus(
    validator: Validator, name: str, line: bytes, expected: str
) -> None:
    checked = validator.check(line, RECORDED_AT)
    reference = verdict(line, RECORDED_AT, SKEW)
    assert ("ok" if isinstance(checked, Accepted) else checked.reason) == expected, checked
    assert reference.reason == expected
    if isinstance(checked, Accepted):
        assert (checked.date, checked.ts_us) == (reference.date, reference.ts_us)
        assert json.loads(checked.line) == json.loads(line)


def with_time(timestamp: str) -> bytes:
    return orjson.dumps({**EVENT, "timestamp": timestamp})


def test_check__gives_one_canonical_line_for_one_body(validator: Validator) -> None:
    backwards = json.dumps(dict(reversed(EVENT.items())), indent=2).encode()
    first, second = (validator.check(x, RECORDED_AT) for x in (orjson.dumps(EVENT), backwards))
    assert first == second
    assert isinstance(first, Accepted)
    assert first.line == (
        b'{"event_id":"e-1","event_type":"page_view","student_id":"s-1",'
        b'"timestamp":"2025-11-15T08:30:00Z"}'
    )
    assert validator.check(first.line, RECORDED_AT) == first


@pytest.mark.parametrize(
    ("timestamp", "day", "microsecond"),
    [
        ("2025-11-15T08:30:00.1234569Z", date(2025, 11, 15), 123_456),
        ("2025-11-15T00:30:00+05:30", date(2025, 11, 14), 0),
        ("2025-11-15T23:30:00.000001-05:30", date(2025, 11, 16), 1),
        ("2025-11-15T08:30:00", date(2025, 11, 15), 0),
        ("1969-12-31T23:59:59.999999Z", date(1969, 12, 31), 999_999),
    ],
)
def test_check__reads_times_exactly(
    validator: Validator, timestamp: str, day: date, microsecond: int
) -> None:
    checked = validator.check(with_time(timestamp), RECORDED_AT)
    assert isinstance(checked, Accepted)
    assert checked.date == day
    assert checked.ts_us % 1_000_000 == microsecond


def test_check__age_limit_is_exact_and_off_by_default() -> None:
    limited = Validator(Limits(SKEW, timedelta(days=30)))
    edge = RECORDED_AT - timedelta(days=30)
    older = (edge - timedelta(microseconds=1)).isoformat()
    assert isinstance(limited.check(with_time(edge.isoformat()), RECORDED_AT), Accepted)
    checked = limited.check(with_time(older), RECORDED_AT)
    assert isinstance(checked, Rejected)
    assert checked.reason == "too_old"
    assert isinstance(Validator().check(with_time(older), RECORDED_AT), Accepted)


def test_check__detail_names_the_place_and_not_the_value(validator: Validator) -> None:
    line = orjson.dumps({**EVENT, "metadata": {"scroll_depth": "of Ada Lovelace"}})
    checked = validator.check(line, RECORDED_AT)
    assert isinstance(checked, Rejected)
    assert checked.detail == "metadata.scroll_depth: type is not met"
    assert checked.schema == "page_view/1.0"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
mutations = st.dictionaries(
    st.sampled_from([*EVENT, "metadata", "page_url", "course_id", "schema_version", "x"]),
    json_values,
    max_size=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations, st.dictionaries(st.sampled_from(["ip", "duration", "y"]), json_values))
def test_check__agrees_with_the_reference_on_anything(
    changes: dict[str, Any], metadata: dict[str, Any]
) -> None:
    line = json.dumps({**EVENT, "metadata": metadata, **changes}, ensure_ascii=False)
    sent = line.encode("utf-8", "surrogatepass")
    checked = Validator(Limits(SKEW)).check(sent, RECORDED_AT)
    reason = "ok" if isinstance(checked, Accepted) else checked.reason
    assert reason == verdict(sent, RECORDED_AT, SKEW).reason


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_check__never_raises(line: bytes) -> None:
    checked = Validator().check(line, RECORDED_AT)
    assert isinstance(checked, Rejected)
    assert checked.reason == verdict(line, RECORDED_AT, SKEW).reason
