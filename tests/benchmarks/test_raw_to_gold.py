"""The benchmark runs, and says what it found. Its figures need a quiet machine and more events."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.inputs import bench_folder, generated_events
from benchmarks.processes import Measured, run_measured
from benchmarks.raw_to_gold import Build, Outcome, Round, lines_of, measure
from benchmarks.timed_build import total_phases
from lake.errors import LakeError

EVENTS = 2_000
MIB = 1024**2


def _missing_scripts() -> str:
    try:
        bench_folder()
    except LakeError as error:
        return str(error)
    return ""


MISSING_SCRIPTS = _missing_scripts()  # before the tests' environment is cleared
needs_scripts = pytest.mark.skipif(bool(MISSING_SCRIPTS), reason=MISSING_SCRIPTS)


def test_run_measured__counts_memory_and_cpu_of_child_processes() -> None:
    work = (
        "b = bytearray(64 * 2**20); import time; t = time.time()\nwhile time.time() < t + 2: pass"
    )
    spawn = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    measured = run_measured([sys.executable, "-c", spawn], {})
    assert measured.seconds >= 2
    assert measured.peak_bytes > 64 * MIB
    assert measured.cpu_seconds > 0.1
    assert measured.java_bytes == 0


def test_run_measured__a_failed_command_shows_its_last_words() -> None:
    with pytest.raises(LakeError, match="ended with 3:\nno such lake"):
        run_measured([sys.executable, "-c", "print('no such lake'); raise SystemExit(3)"], {})


def test_run_measured__ends_a_command_that_takes_too_long() -> None:
    with pytest.raises(LakeError, match="not ready"):
        run_measured([sys.executable, "-c", "import time; time.sleep(60)"], {}, timeout=0.5)


def test_total_phases__adds_the_passes_of_a_build() -> None:
    total = total_phases([{"raw gate": 1.0, "events": 5.0}, {"raw gate": 2.0, "results": 0.5}])
    assert total == {"raw gate": 3.0, "events": 5.0, "results": 0.5}


def test_lines_of__says_where_figures_differ() -> None:
    build = Build(Measured(30, 50, 2**31, 2**30), {"events": 25})
    gateless = Build(Measured(27, 40, 2**31, 2**30), {"events": 23})
    same, other = (10.0, 2.5), (10.0, 2.75)
    figures = {"silver.events": (same, same), "silver.sessions": (same, other)}
    one = Round(build, gateless, Measured(20, 40, 2**30, 0), figures)
    lines = list(lines_of(Outcome(10, Measured(1, 2, 2**20, 0), (one,))))
    text = "\n".join(lines)
    assert "5 per CPU-second" in text
    assert "1.50   1.25 without start and end" in text
    assert "10.0%   20.0% of CPU time" in text
    assert not one.figures_agree
    assert [line.split() for line in lines if "DIFFER" in line] == [
        ["silver.sessions", "10", "2.5", "DIFFER,", "the", "peer's:", "10", "2.75"]
    ]


def test_bench_folder__says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSLAKE_SHARED_BENCH", str(tmp_path))
    with pytest.raises(LakeError, match="LMSLAKE_SHARED_BENCH"):
        bench_folder()


@needs_scripts
@pytest.mark.slow
def test_measure__builds_and_agrees_with_the_peer(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = measure(EVENTS, 20, 1, tmp_path, tmp_path / "cache", said.append)
    (one,) = outcome.rounds
    assert one.figures_agree, one.figures
    assert outcome.records > EVENTS * 0.9
    assert one.build.process.java_bytes > 100 * MIB
    assert 0 < one.build.phase_seconds < one.build.process.seconds
    assert one.build.phases.keys() == one.gateless.phases.keys()
    recorded = tmp_path / "round-1" / "lake" / "gates"
    assert recorded.is_dir()
    assert not (tmp_path / "round-1" / "gateless" / "gates").exists()
    again = generated_events(EVENTS, 20, tmp_path / "cache")
    assert [path.suffix for path in again.iterdir()] == [".gz"]
