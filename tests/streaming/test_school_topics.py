"""Messages as rows of bronze: every one is a row, once, wherever a process ends."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.errors import LakeError
from lake.landing.reading import Limits
from lake.landing.topic_rows import TopicBuffer, TopicPart
from lake.landing.topics import TopicBronze
from lake.ledger import StaleWriterError
from lake.storage import ObjectStore
from lake.storage_local import LocalStore
from schemas.records import SOURCES
from schemas.tables import TABLES
from streaming.school_send import checked_source, messages_of
from tests.landing.files import ASSESSMENT, GOOD, Row, bronze_rows, read, table_rows
from tests.landing.test_reading import Written, written_files
from tests.landing.zones import School as Zone

PART = TopicPart("c1", "school.attendance", 0, "attendance")
OTHER = TopicPart("c1", "school.attendance", 1, "attendance")
TICKETS = TopicPart("c1", "school.support_tickets", 0, "support_tickets")
MOST = 10_000
LANDED = "bronze.landed_files"
Message = bytes | None


def held(lease: object = None) -> None:
    """The lease is held."""


def attendance(number: int, **more: Any) -> bytes:
    record = {"attendance_id": f"A{number}", "student_id": "STU001", "status": "P", **more}
    return json.dumps(record).encode()


def row_of(value: Message, key: bytes | None = None, part: TopicPart = PART) -> dict[str, Any]:
    """The row that a message becomes; what is null in it is left out."""
    buffer = TopicBuffer(part, None, MOST)
    buffer.take(0, key, value)
    with tempfile.TemporaryDirectory() as root:
        store = LocalStore(Path(root))
        TopicBronze(store).add([buffer], held)
        (row,) = table_rows(store, f"bronze.{part.source}")
    kept = {name: value for name, value in row.items() if value is not None}
    for name in ("_row", "_content_hash", "_source_file", "_ingested_at"):
        del kept[name]
    if "_extra" in kept:
        kept["_extra"] = json.loads(kept["_extra"])
    return kept


def test_message__is_read_as_an_object_of_a_file_is() -> None:
    value = (
        '{"ID": 7, "Student": " stu-1", "status": true, "date": null, "created at": 1.50,'
        ' "Room": "4a", "tags": [1, "\\ud83d"]}'
    )
    assert row_of(value.encode()) == {
        "attendance_id": "7",
        "student_id": " stu-1",
        "status": "true",
        "created_at": "1.50",
        "_extra": {"Room": "4a", "tags": '[1, "\\ud83d"]'},
    }


@pytest.mark.parametrize(
    ("value", "defect", "extra"),
    [
        (b"[1, 2]", "not_an_object", {"": "[1, 2]"}),
        (b'"x"', "not_an_object", {"": '"x"'}),
        (b"", "not_an_object: truncated_json", {"": ""}),
        (b'{"a": 1', "not_an_object: truncated_json", {"": '{"a": 1'}),
        (b'{"a": 1} {"a": 2}', "not_an_object: malformed_json", {"": '{"a": 1} {"a": 2}'}),
        (b"A1,STU001,P\r\n", "not_an_object: malformed_json", {"": "A1,STU001,P\r\n"}),
        (b"\xff\x00{", "not_an_object: not_utf8", {"#base64": "/wB7"}),
        (None, "not_an_object: tombstone", {"#key": "STU001"}),
        (b"[" * 100_000, "not_an_object: malformed_json", {"": "[" * 100_000}),
        (
            b'{"a": "' + b"x" * MOST + b'"}',
            "not_an_object: record_too_large",
            {"": '{"a": "' + "x" * MOST + '"}'},
        ),
    ],
)
def test_message__that_is_no_object_is_a_row_too(
    value: Message, defect: str, extra: dict[str, str]
) -> None:
    assert row_of(value, b"STU001") == {"_defect": defect, "_extra": extra}


def test_message__says_of_a_row_only_that_it_was_ragged() -> None:
    ragged = attendance(1, _defect="ragged_row: 4 of 5 fields")
    fields = {"attendance_id": "A1", "student_id": "STU001", "status": "P"}
    assert row_of(ragged) == {**fields, "_defect": "ragged_row: 4 of 5 fields"}
    assert row_of(attendance(1, _defect="x")) == {**fields, "_extra": {"_defect": "x"}}


def test_add__notes_each_range_like_a_file(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    first, second = TopicBuffer(PART, 99, MOST), TopicBuffer(TICKETS, None, MOST)
    for offset, value in ((100, attendance(1, room="x")), (102, b"?"), (105, None)):
        first.take(offset, None, value)
    second.take(0, b"k", b'{"ticket_id": 1}')
    # As if offset 99 was committed before.
    begun = TopicBuffer(PART, None, MOST)
    begun.take(99, None, attendance(0))
    bronze = TopicBronze(store)
    bronze.add([begun], held)
    bronze.add([first, second], held)
    noted = {row["file_name"]: row for row in table_rows(store, LANDED)}
    assert noted.keys() == {
        "kafka:school.attendance/0/99-99",
        "kafka:school.attendance/0/100-105",
        "kafka:school.support_tickets/0/0-0",
    }
    row = noted["kafka:school.attendance/0/100-105"]
    assert (row["source"], row["row_count"], row["defect_count"]) == ("attendance", 3, 2)
    assert (row["encoding"], row["delimiter"], row["extra_columns"]) == ("utf-8", None, ["room"])
    assert row["bytes"] > 0
    rows = [r for r in table_rows(store, "bronze.attendance") if r["_row"] == 3]
    assert [(r["_content_hash"], r["_source_file"]) for r in rows] == [
        (row["content_hash"], row["file_name"])
    ]
    assert bronze.positions([PART, OTHER, TICKETS]) == {PART: 105, OTHER: None, TICKETS: 0}


def test_add__same_messages_at_other_places_are_other_contents(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    bronze = TopicBronze(store)
    elsewhere = TopicPart("c2", PART.topic, PART.partition, PART.source)
    for part, offsets in ((PART, (0,)), (PART, (1,)), (OTHER, (0,)), (elsewhere, (0,))):
        buffer = TopicBuffer(part, offsets[0] - 1 if offsets[0] else None, MOST)
        for offset in offsets:
            buffer.take(offset, None, attendance(1))
        bronze.add([buffer], held)
    assert len({row["content_hash"] for row in table_rows(store, LANDED)}) == 4
    assert len(bronze_rows(store)) == 4


def test_add__refuses_what_another_process_has_taken(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    one, zombie = TopicBronze(store), TopicBronze(store)
    buffers = []
    for bronze in (one, zombie):
        bronze.positions([PART])
        buffer = TopicBuffer(PART, None, MOST)
        buffer.take(0, None, attendance(1))
        buffers.append(buffer)
    one.add(buffers[:1], held)
    with pytest.raises(StaleWriterError):
        zombie.add(buffers[1:], held)
    assert len(bronze_rows(store)) == 1


@pytest.mark.parametrize("is_in_bronze", [False, True])
def test_add__of_one_that_stood_still_notes_nothing_twice(
    lake_root: Path, is_in_bronze: bool
) -> None:
    """After it looked at its lease for the first time, and when its rows are in bronze."""
    store = LocalStore(lake_root)
    zombie, heir = TopicBronze(store), TopicBronze(store)
    buffers = [TopicBuffer(PART, None, MOST) for _ in range(2)]
    for buffer in buffers:
        buffer.take(0, None, attendance(1))
    looks = 0

    def stand_still() -> None:
        nonlocal looks
        looks += 1
        if is_in_bronze and looks == 2:
            assert heir.note_missing([PART], held) == 1
        elif not is_in_bronze and looks == 1:
            heir.add(buffers[1:], held)

    with pytest.raises((StaleWriterError, CommitFailedError)):
        zombie.add(buffers[:1], stand_still)
    assert (len(bronze_rows(store)), len(table_rows(store, LANDED))) == (1, 1)


def test_note_missing__says_so_where_the_log_forgot(
    lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(lake_root)
    buffer = TopicBuffer(PART, None, MOST)
    buffer.take(0, None, attendance(1))
    with pytest.raises(CrashError):
        CrashingBronze(store, 1).add([buffer], held)
    monkeypatch.setattr(TopicBronze, "_told", lambda self, source: iter(()))
    bronze = TopicBronze(store)
    assert bronze.has_unnoted([PART])
    with pytest.raises(LakeError, match=r"up to offset 0 that bronze\.landed_files does not know"):
        bronze.note_missing([PART], held)


class CrashError(Exception):
    """Stands for the end of the process."""


class CrashingBronze(TopicBronze):
    """Tables whose process ends before its n-th commit, counted from 0."""

    def __init__(self, store: ObjectStore, commits: int) -> None:
        super().__init__(store)
        self._commits = commits

    def _commit(self, *arguments: Any) -> None:
        if not self._commits:
            raise CrashError
        self._commits -= 1
        super()._commit(*arguments)


def take_all(
    store: ObjectStore, logs: dict[TopicPart, list[Message]], chance: random.Random
) -> None:
    """Processes one after the other, most of which end somewhere, until all is taken."""
    parts = list(logs)
    while True:
        commits = chance.choice([0, 1, 2, 3, 4, 99])
        bronze = CrashingBronze(store, commits)
        try:
            bronze.note_missing(parts, held)
            positions = bronze.positions(parts)
            while True:
                buffers = []
                for part in parts:
                    last = positions[part]
                    buffer = TopicBuffer(part, last, MOST)
                    start = 0 if last is None else last + 1
                    for offset in range(start, min(len(logs[part]), start + chance.randint(0, 3))):
                        buffer.take(offset, b"k", logs[part][offset])
                        positions[part] = offset
                    buffers += [buffer] if buffer.rows else []
                if buffers:
                    bronze.add(buffers, held)
                elif all(positions[part] == len(logs[part]) - 1 for part in parts if logs[part]):
                    return
        except CrashError:
            continue


MESSAGES = st.lists(
    st.one_of(st.none(), st.binary(max_size=20), st.integers(0, 5).map(attendance)), max_size=8
)


@settings(max_examples=10)
@given(MESSAGES, MESSAGES, st.integers(0, 2**32))
def test_add__each_message_once_whatever_ends(
    one: list[Message], two: list[Message], seed: int
) -> None:
    logs = {PART: one, OTHER: two, TICKETS: one}
    with tempfile.TemporaryDirectory() as root:
        store = LocalStore(Path(root))
        take_all(store, logs, random.Random(seed))
        for source, expected in (("attendance", [*one, *two]), ("support_tickets", one)):
            whole = Counter(map(_shown, bronze_rows(store, source)))
            part = PART if source == "attendance" else TICKETS
            assert whole == Counter(_as_read(value, part) for value in expected)
            noted = [row for row in table_rows(store, LANDED) if row["source"] == source]
            counts = Counter(row["_content_hash"] for row in table_rows(store, f"bronze.{source}"))
            assert counts == {row["content_hash"]: row["row_count"] for row in noted}
            assert len(noted) == len(counts)


def _as_read(value: Message, part: TopicPart) -> str:
    (row,) = _read_again([value], part)
    return _shown(row)


def _read_again(values: list[Message], part: TopicPart) -> list[Row]:
    """What bronze gets of messages, at once."""
    buffer = TopicBuffer(part, None, MOST)
    for offset, value in enumerate(values):
        buffer.take(offset, b"k", value)
    rows = buffer.batch(datetime.now(UTC))[0].to_pylist() if values else []
    return [
        Row(
            tuple(value for name, value in row.items() if not name.startswith("_")),
            None if row["_extra"] is None else json.loads(row["_extra"]),
            row["_defect"],
            row["_row"],
            row["_line"],
        )
        for row in rows
    ]


@settings(max_examples=60)
@given(written_files())
def test_messages_of__give_the_rows_of_the_file(file: Written) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attendance.csv"
        path.write_bytes(file.body)
        source, count = checked_source(path, None, Limits())
        messages = list(messages_of(path, source, "topic", Limits()))
    assert count == len(messages) == len(file.rows)
    found = _read_again([message.value for message in messages], PART)
    for sent, row, message in zip(found, file.rows, messages, strict=True):
        assert (sent.fields, sent.defect, sent.row) == (row.fields, row.defect, row.row)
        # Fields beyond the header have a name now, which no column may have.
        named = {_without_place(name): value for name, value in (sent.extra or {}).items()}
        assert named == (row.extra or {})
        student = row.fields[1]
        assert message.key == (student.encode() if student else None)


def _without_place(name: str) -> str:
    return name.partition("#")[0] if name.startswith("+") else name


def test_messages_of__keep_what_two_columns_of_one_name_say(tmp_path: Path) -> None:
    path = tmp_path / "attendance.csv"
    path.write_text(
        "student,student_id,student_id,id,date,status,created,_defect\ne,s-1,s-2,1,d,P,c,x\nonly\n"
    )
    messages = list(messages_of(path, SOURCES["attendance"], "topic", Limits()))
    first, second = _read_again([message.value for message in messages], PART)
    assert first.fields == ("1", "s-1", "d", "P", "c")
    assert (first.extra, first.defect) == (
        {"student": "e", "student_id": "s-2", "_defect": "x"},
        None,
    )
    assert (second.fields, second.defect) == ((None,) * 5, "ragged_row: 1 of 8 fields")
    assert second.extra == {"student": "only"}


def test_messages_of__send_what_is_no_object_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "assessments.json"
    path.write_text(f'[{ASSESSMENT}, [1,  2], "x"]')
    messages = list(messages_of(path, SOURCES["assessments"], "topic", Limits()))
    assert [message.value for message in messages[1:]] == [b"[1,  2]", b'"x"']
    part = TopicPart("c1", "school.assessments", 0, "assessments")
    expected = [
        (row.fields, row.extra, row.defect) for row in read(path.read_bytes(), "assessments")
    ]
    found = _read_again([message.value for message in messages], part)
    assert [(row.fields, row.extra, row.defect) for row in found] == expected


def _shown(row: Row) -> str:
    return repr((row.fields, row.extra, row.defect))


def test_files_and_topics__come_to_the_same_tables(lake_root: Path) -> None:
    zone = Zone(lake_root)
    zone.put("attendance/1.csv", GOOD)
    zone.land()
    bronze = TopicBronze(zone.store)
    for number in range(2):
        buffer = TopicBuffer(PART, number - 1 if number else None, MOST)
        buffer.take(number, None, attendance(number))
        bronze.add([buffer], held)
        zone.put(
            f"attendance/again-{number}.csv", GOOD + f"{number}9,s-1,2025-09-01,P,2025-09-01\n"
        )
        assert [outcome.kind for outcome in zone.land()] == ["landed"]
    assert len(bronze_rows(zone.store)) == 2 + 2 * (1 + 3)
    assert len(table_rows(zone.store, LANDED)) == 5
    assert DeltaTable(zone.store.delta_uri(TABLES[LANDED].path)).version() >= 5


def test_lost_offsets__are_one_row_that_says_which(lake_root: Path) -> None:
    store = LocalStore(lake_root)
    buffer = TopicBuffer(PART, None, MOST)
    buffer.take(9, None, attendance(1))
    bronze = TopicBronze(store)
    bronze.add([buffer], held)
    buffer = TopicBuffer(PART, 9, MOST)
    buffer.note_lost(10, 19)
    bronze.add([buffer], held)
    (row,) = [row for row in bronze_rows(store) if row.defect]
    assert row.defect == "expired_in_broker: offsets 10 … 19 (10)"
    assert set(row.fields) == {None}
    assert bronze.positions([PART]) == {PART: 19}
