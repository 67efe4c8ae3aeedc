from __future__ import annotations

from tests.laws.comparing import differences, same


def test_same__tells_null_from_zero_and_one_from_true() -> None:
    assert not same(None, 0.0)
    assert not same(1, True)
    assert not same(0.1, 0.1000001)
    assert same(0.1 + 0.2, 0.3)


def test_differences__finds_changed_missing_and_doubled_rows() -> None:
    expected = [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]
    found = [{"k": 1, "v": "x", "more": 0}, {"k": 1, "v": "a"}, {"k": 3, "v": "c"}]
    shown = [str(d) for d in differences("t", ["k"], expected, found)]
    assert shown == [
        "t 1: v should be 'a', is 'x'",
        "t 1: row too many: {'k': 1, 'v': 'a'}",
        "t 3: row too many: {'k': 3, 'v': 'c'}",
        "t 2: row missing: {'k': 2, 'v': 'b'}",
    ]
    assert differences("t", ["k"], expected, expected) == []
