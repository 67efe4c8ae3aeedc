"""What the benchmark makes of what it saw."""

from __future__ import annotations

from benchmarks.stream_latency import latencies


def test_latencies__count_from_acknowledged_to_visible_after_the_first_publication() -> None:
    acknowledged = [(0.0, 0), (1.0, 100), (2.0, 200), (3.0, 300), (4.0, 400)]
    visible = [(1.0, 0), (5.0, 100), (9.0, 100), (10.0, 300), (12.0, 400)]
    # the 101st and the 201st came at 2 s and 3 s and were seen at 10 s; the 301st: 4 s, 12 s
    assert latencies(acknowledged, visible) == [8.0, 7.0, 8.0]
