"""`lmslake land`: what it says, how it ends, and when it takes a file."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.cli import cli
from lake.errors import LakeError
from lake.landing.bronze import Bronze, Origin
from lake.landing.landing import Outcome, hash_of
from lake.landing.reading import Limits, open_reading
from lake.landing.watching import Settling, Watch
from lake.landing.zone import LocalZone, ZoneFile
from schemas.records.sources import ATTENDANCE
from tests.landing.files import ASSESSMENT, GOOD, HEADER, bronze_rows, table_rows
from tests.landing.zones import School, place_of
from tests.services import Minio, free_port
from tests.streaming.pages import Pages
from tests.streaming.world import wait_until

SECONDS = 120.0
Land = Callable[..., Result]


@pytest.fixture
def school(lake_root: Path) -> School:
    return School(lake_root)


@pytest.fixture
def land(lake_root: Path) -> Land:
    def run(*arguments: str, **environment: str) -> Result:
        given = {
            "LMSLAKE_ROOT": str(lake_root),
            "LMSLAKE_LANDING_SETTLE_SECONDS": "0.01",
            **environment,
        }
        return CliRunner().invoke(cli, ["land", *arguments], env=given)

    return run


def test_land__says_what_came_of_each_file(school: School, land: Land) -> None:
    rows = "".join(f"{n},s,d,P,c\n" for n in range(3, 1_204))
    school.put("attendance_2025-09-01.csv", f"{GOOD}{rows}9999,s\n")
    header = "Student ID;Name;Class;Grade;Status;Updated;Note"
    school.put("students/export.csv", f"{header}\n1;Zoë;a;b;c;d;e\n".encode("cp1252"))
    school.put("assessments.json", f"[{ASSESSMENT}, 1]")
    first = land()
    assert first.stdout.splitlines() == [
        "assessments.json   assessments   2 rows (1 not an object), utf-8, JSON",
        'attendance_2025-09-01.csv   attendance   1,204 rows (1 ragged), utf-8, ","',
        'export.csv   students   1 row, cp1252, ";", 1 extra column',
        "3 files: 3 landed (1,207 rows).",
        'Look at them:  lmslake sql "SELECT * FROM bronze.landed_files"',
    ]
    assert first.exit_code == 0
    school.put("attendance_again.csv", f"{GOOD}{rows}9999,s\n")
    day = table_rows(school.store, "bronze.landed_files")[0]["landed_at"].date()
    again = land()
    assert again.stdout.splitlines() == [
        f"attendance_again.csv   attendance   same content as attendance_2025-09-01.csv of {day}: "
        "nothing to do",
        "1 file: 0 landed (0 rows), 1 known already.",
    ]
    assert again.exit_code == 0


def test_land__ends_with_1_where_a_file_failed(school: School, land: Land) -> None:
    school.put("attendance.csv", f'{GOOD}3,"s\n')
    school.put("attendance_2.csv", HEADER)
    school.put("notes/x.csv", "x")
    result = land()
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "attendance.csv   attendance   FAILED unclosed_quote: line 4, column 3: the quote that "
        "opens here is never closed",
        'attendance_2.csv   attendance   0 rows, utf-8, ",", a file without records',
        "Passed over folder notes/: no source is called that.",
        "2 files: 1 landed (0 rows), 1 failed.",
        f"Why, in full:  {school.folder}/failed/*.reason.json",
    ]


def test_land__makes_the_zone_and_says_that_it_is_empty(lake_root: Path, land: Land) -> None:
    assert land().stdout == f"No file waits in {lake_root / 'landing'}.\n"
    assert (lake_root / "landing").is_dir()


def test_land__another_zone(school: School, land: Land, tmp_path: Path) -> None:
    zone = tmp_path / "incoming"
    assert "There is no landing zone" in str(land("--zone", str(zone)).exception)
    zone.mkdir()
    (zone / "attendance.csv").write_text(GOOD)
    assert land("--zone", str(zone)).exit_code == 0
    assert len(bronze_rows(school.store)) == 2
    (zone / "attendance.csv").write_text(f"{GOOD}3,s,d,P,c\n")
    assert land(LMSLAKE_LANDING=str(zone)).exit_code == 0
    assert len(bronze_rows(school.store)) == 5


def test_land__named_files_stay_where_they_are(school: School, land: Land, tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text(GOOD)
    assert "unknown_source" in land(str(file)).stdout
    assert land("--source", "attendance", str(file)).exit_code == 0
    assert len(bronze_rows(school.store)) == 2
    assert file.exists()
    assert "same content as export.csv" in land("--source", "attendance", str(file)).stdout


@pytest.mark.parametrize(
    "arguments",
    [["--source", "attendance"], ["--watch", __file__], ["--source", "x", __file__],
     ["--zone", "http://x"]],
    ids=["source alone", "watched files", "unknown source", "unknown scheme"],
)  # fmt: skip
def test_land__wrong_use(land: Land, arguments: list[str]) -> None:
    assert land(*arguments).exit_code == 2


def test_land__waits_for_another_landing(school: School, land: Land) -> None:
    school.put("attendance.csv", GOOD)
    with school.store.lease("land"):
        result = land(LMSLAKE_LOCK_WAIT_MINUTES="0")
    assert isinstance(result.exception, LakeError)
    assert "Another process holds the lock 'land'" in str(result.exception)
    assert land().exit_code == 0


def test_land__a_file_that_cannot_be_read_stays(
    school: School, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests may read everything: the refusal is put in its place."""
    school.put("attendance.csv", GOOD)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lake.landing.landing.hash_of", refused)
    result = land()
    assert result.exit_code == 1
    assert "attendance.csv   cannot be read or moved: Permission denied" in result.stdout
    assert school.files() == ["attendance.csv"]


def test_land__a_full_disk_is_no_fault_of_the_file(
    school: School, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    school.put("attendance.csv", GOOD)
    monkeypatch.setattr("lake.landing.bronze.Bronze.note_landed", full)
    assert "No space left on device" in str(land().exception)
    monkeypatch.undo()
    assert land().exit_code == 0
    assert len(bronze_rows(school.store)) == 2


def test_settling__takes_what_did_not_change_for_so_long(school: School) -> None:
    clock = 0.0
    zone = LocalZone(school.folder)
    settling = Settling(2.0, lambda: clock)

    def complete() -> list[str]:
        return [file.name for file in settling.split(zone, zone.look().files)[0]]

    school.put("a.csv", "1")
    assert complete() == []
    clock = 1.9
    assert complete() == []
    school.put("a.csv", "1,2")
    clock = 2.1
    assert complete() == []
    school.put("b.csv", "1")
    school.put("b.csv.done", "")
    assert complete() == ["b.csv"]
    clock = 4.2
    assert complete() == ["a.csv", "b.csv"]


def test_land_once__leaves_what_still_grows(school: School, land: Land) -> None:
    school.put("attendance_b.csv", GOOD)
    school.put("attendance_b.csv.done", "")
    path = school.put("attendance_a.csv", HEADER)
    stop = threading.Event()

    def grow() -> None:
        while not stop.wait(0.01):
            with path.open("a") as file:
                file.write("\n")

    growing = threading.Thread(target=grow)
    growing.start()
    result = land(LMSLAKE_LANDING_SETTLE_SECONDS="0.2")
    stop.set()
    growing.join()
    assert "Still being written, left for the next time: attendance_a.csv" in result.stdout
    assert school.files() == ["attendance_a.csv", "processed/*/attendance_b.csv"]
    assert land().exit_code == 0
    assert len(bronze_rows(school.store)) == 2


def test_watch__takes_files_as_they_come(school: School) -> None:
    outcomes: queue.Queue[Outcome] = queue.Queue()
    # So long a pause: only what happens in the folder can wake it.
    watch = Watch(school.place, settle_seconds=0.05, poll_seconds=1_000.0)
    told: list[str] = []
    running = threading.Thread(
        target=watch.run, args=(outcomes.put, told.append, lambda _: False), daemon=True
    )
    school.put("attendance.csv", GOOD)
    running.start()
    assert outcomes.get(timeout=SECONDS).kind == "landed"
    school.put("attendance.csv", GOOD)
    assert outcomes.get(timeout=SECONDS).kind == "known"
    school.put("students/x.csv", "id\n")
    assert outcomes.get(timeout=SECONDS).kind == "failed"
    watch.stop()
    running.join(SECONDS)
    assert not running.is_alive()
    assert told == []
    assert len(bronze_rows(school.store)) == 2


def test_watch__goes_on_after_an_outage(school: School) -> None:
    school.put("attendance.csv", GOOD)
    done = threading.Event()
    told: list[str] = []
    watch = Watch(school.place, settle_seconds=0.0, poll_seconds=0.05)
    failing = [OSError(5, "Input/output error")]

    def on_outcome(_: Outcome) -> None:
        if failing:
            raise failing.pop()
        done.set()
        watch.stop()

    running = threading.Thread(
        target=watch.run, args=(on_outcome, told.append, lambda e: isinstance(e, OSError)),
        daemon=True,
    )  # fmt: skip
    running.start()
    while not told:
        done.wait(0.01)
    school.put("attendance_2.csv", GOOD)
    assert done.wait(SECONDS)
    running.join(SECONDS)
    assert told == ["[Errno 5] Input/output error; trying again in 0.05 s"]


class RacedZone(LocalZone):
    """A zone in which another process is always a moment faster, the first time."""

    def __init__(self, school: School) -> None:
        super().__init__(school.folder)
        self._store = school.store
        self._checks = 0

    def check(self, file: ZoneFile) -> None:
        super().check(file)
        self._checks += 1
        if self._checks == 2:  # once the rows are read, before they are committed
            other = threading.Thread(target=self._land_it, args=(file,))
            other.start()
            other.join()

    def _land_it(self, file: ZoneFile) -> None:
        path = self.folder / file.key
        reading = open_reading(lambda: path.open("rb"), file.name, ATTENDANCE, Limits())
        origin = Origin(hash_of(path), file.name, datetime.now(UTC))
        Bronze(self._store).add_rows("attendance", origin, reading.batches(), lambda: None)


def test_watch__leaves_a_file_for_the_next_look_where_another_process_was_faster(
    school: School,
) -> None:
    school.put("attendance.csv", GOOD)
    outcomes: list[Outcome] = []
    place = place_of(school.store, RacedZone(school))
    watch = Watch(place, settle_seconds=0.0, poll_seconds=0.05)

    def on_outcome(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if outcome.kind == "landed":
            watch.stop()

    watch.run(on_outcome, lambda _: None, lambda _: False)
    left, landed = outcomes
    assert left.kind == "left"
    assert left.note.startswith("bronze.attendance was changed by another process meanwhile")
    assert left.note.endswith("Left for the next look")
    assert landed.rows == 2
    assert len(bronze_rows(school.store)) == 2
    assert len(table_rows(school.store, "bronze.landed_files")) == 1


def test_land_watch__a_signal_ends_it(school: School, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("lmslake"))
    environment = {
        **os.environ,
        "LMSLAKE_ROOT": str(school.store.root),
        "LMSLAKE_LANDING_SETTLE_SECONDS": "0.05",
    }
    school.put("attendance.csv", f'{GOOD}3,"\n')
    pages = Pages(free_port())
    environment["LMSLAKE_LANDING_METRICS_PORT"] = str(pages.port)
    process = subprocess.Popen(
        [program, "land", "--watch"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "FAILED unclosed_quote" in process.stdout.readline()
    school.put("attendance.csv", GOOD)
    assert "attendance   2 rows" in process.stdout.readline()
    wait_until(lambda: pages.is_ready, "it is ready")
    metrics = pages.page("metrics")
    assert 'lmslake_landing_files_total{outcome="failed",reason="unclosed_quote"} 1.0' in metrics
    assert 'lmslake_landing_files_total{outcome="landed",reason=""} 1.0' in metrics
    assert 'lmslake_landing_rows_total{source="attendance"} 2.0' in metrics
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "2 files: 1 landed (2 rows), 1 failed." in rest


@pytest.mark.services
def test_land__zone_on_s3(minio: Minio) -> None:
    from lake.storage import open_store

    made = minio.settings()
    store = open_store(made)
    store.put("incoming/attendance.csv", GOOD.encode())
    environment = {"LMSLAKE_ROOT": made.root, **minio.environment()}
    result = CliRunner().invoke(
        cli, ["land", "--zone", f"{made.root}/incoming".replace("s3a", "s3")], env=environment
    )
    assert result.exit_code == 0, result.output
    assert len(bronze_rows(store)) == 2
