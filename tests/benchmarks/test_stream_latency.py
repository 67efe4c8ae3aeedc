"""What the benchmark makes of what it saw."""

from __future__ import annotations

from benchmarks.stream_latency import Latency, Sample, latencies


def test_latencies__count_from_acknowledged_to_visible_after_the_first_publication() -> None:
    totals = [
        (0.0, 0, 0), (1.0, 100, 0), (2.0, 200, 0), (3.0, 300, 0), (4.0, 400, 0),
        (5.0, 400, 100), (9.0, 400, 100), (10.0, 400, 300), (12.0, 400, 400),
    ]  # fmt: skip
    samples = [Sample(at, sent, seen, 0, 0) for at, sent, seen in totals]
    # the 101st and the 201st came at 2 s and 3 s and were seen at 10 s; the 301st: 4 s, 12 s
    assert latencies(samples) == [Latency(10.0, 8.0), Latency(10.0, 7.0), Latency(12.0, 8.0)]
