"""`lmslake produce`: valid events, quirks as asked, order, outages, and how it ends."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition

from lake.campus_faults import FAULTS
from lake.validation import Accepted, Limits, Rejected, Validator
from streaming.consumer import KafkaOptions
from streaming.traffic import (
    LATEST,
    CampusTraffic,
    Quirks,
    Record,
    Replay,
    key_of,
    topic_of,
    written_like,
)
from tests.services import Kafka, closed_port, free_port, running_kafka
from tests.streaming.world import PATIENCE_SECONDS, is_away, outages_in, wait_until

TOPICS = ["clickstream", "video", "quiz", "assignment"]
NOW = datetime(2025, 11, 15, 8, 30, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=10), timedelta(days=30))


def traffic(quirks: Quirks | None = None, seed: int = 5, students: int = 200) -> CampusTraffic:
    return CampusTraffic(random.Random(seed), TOPICS, quirks or Quirks(), students)


def verdicts(records: Sequence[Record]) -> list[Accepted | Rejected]:
    validator = Validator(LIMITS)
    return [validator.check(record.value, NOW) for record in records]


def test_campus_traffic__every_event_is_valid() -> None:
    made = traffic()
    records = [made.record(NOW) for _ in range(5_000)]
    found = verdicts(records)
    assert all(isinstance(verdict, Accepted) for verdict in found)
    assert len({record.event_id for record in records}) == 5_000
    assert {orjson.loads(record.value)["timestamp"][:16] for record in records} == {
        "2025-11-15T08:30", "2025-11-15T14:00",
    }  # fmt: skip


def test_campus_traffic__goes_to_the_topic_of_its_type() -> None:
    made = traffic()
    types = defaultdict(set)
    for record in (made.record(NOW) for _ in range(2_000)):
        event = orjson.loads(record.value)
        types[record.topic].add(event["event_type"])
        assert record.key == event["student_id"].encode()
        assert record.event_id == event["event_id"]
    assert types == {
        "clickstream": {"page_view"},
        "video": {"video_play"},
        "quiz": {"quiz_attempt"},
        "assignment": {"submit_assignment"},
    }


def test_campus_traffic__quirks_as_asked() -> None:
    made = traffic(Quirks(late=0.1, duplicates=0.05, broken=0.04))
    records = [made.record(NOW) for _ in range(20_000)]
    kinds = Counter(record.kind for record in records)
    # 5 % of all, then 4 % of the rest, then 10 % of the visits.
    assert kinds["duplicate"] == pytest.approx(1_000, rel=0.2)
    assert kinds["broken"] == pytest.approx(760, rel=0.2)
    assert kinds["late"] == pytest.approx(1_820, rel=0.2)
    seen: set[bytes] = set()
    reasons = set()
    for record, verdict in zip(records, verdicts(records), strict=True):
        assert (record.kind == "duplicate") == (record.value in seen)
        seen.add(record.value)
        if record.kind == "broken":
            assert isinstance(verdict, Rejected)
            assert record.event_id == "-"
            reasons.add(verdict.reason)
        else:
            assert isinstance(verdict, Accepted)
            age = NOW - datetime.fromtimestamp(verdict.ts_us / 1e6, UTC)
            late = timedelta(hours=1) <= age <= LATEST + timedelta(seconds=1)
            assert late if record.kind == "late" else record.kind == "duplicate" or not age
    assert reasons == {reason for reason, _ in FAULTS}


def test_campus_traffic__a_seed_gives_the_same_events() -> None:
    one, other, another = traffic(seed=1), traffic(seed=1), traffic(seed=2)
    ids = [[made.record(NOW).event_id for _ in range(500)] for made in (one, other, another)]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_campus_traffic__students_come_again() -> None:
    made = traffic(students=5)
    assert len({made.record(NOW).key for _ in range(2_000)}) == 5


@pytest.mark.parametrize(
    ("event", "topic", "key"),
    [
        ({"event_type": "video_play", "student_id": "s"}, "video", b"s"),
        ({"event_type": "quiz_attempt", "student_id": 7}, "other", None),
        ({"event_type": ["video_play"]}, "other", None),
        ({}, "other", None),
    ],
)
def test_topic_of__else_the_first(event: dict[str, Any], topic: str, key: bytes | None) -> None:
    assert topic_of(event, ["other", "video"]) == topic
    assert key_of(event) == key


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2025-09-01T10:00:00.000Z", "2025-11-15T08:30:00.000Z"),
        ("2025-09-01T10:00:00", "2025-11-15T08:30:00.000"),
        ("2025-09-01T10:00:00+05:30", "2025-11-15T14:00:00.000+05:30"),
        ("2025-09-01T10:00:00.5-03:00", "2025-11-15T05:30:00.000-03:00"),
    ],
)
def test_written_like__keeps_the_way_of_writing(text: str, written: str) -> None:
    assert written_like(text, NOW) == written


def line(second: int, student: str = "s-1", **more: Any) -> bytes:
    ts = datetime(2025, 9, 1, 10, tzinfo=UTC) + timedelta(seconds=second)
    body = {"event_id": f"e-{student}-{second}", "student_id": student, "event_type": "page_view"}
    return orjson.dumps({**body, "timestamp": f"{ts:%Y-%m-%dT%H:%M:%S}Z", **more})


def test_replay__is_due_as_its_times_tell() -> None:
    replay = Replay(TOPICS, speed=10, starts_at=None)
    lines = [line(0), line(100), line(50), b"not JSON", line(200), line(0, timestamp="soon")]
    records = [replay.record(raw) for raw in lines]
    assert [due for due, _ in records] == [0, 10, 10, 10, 20, 20]
    assert [record.value for _, record in records] == lines
    assert [record.event_id for _, record in records][2:4] == ["e-s-1-50", "-"]
    assert records[3][1].key is None


def test_replay__at_speed_0_never_waits() -> None:
    replay = Replay(TOPICS, speed=0, starts_at=None)
    assert [replay.record(line(second))[0] for second in (0, 500, 1_000)] == [0, 0, 0]


def test_replay__moves_all_times_by_the_same() -> None:
    replay = Replay(TOPICS, speed=1, starts_at=NOW)
    lines = [line(0), line(90), line(-60), line(0, timestamp="soon")]
    values = [orjson.loads(replay.record(raw)[1].value) for raw in lines]
    assert [value["timestamp"] for value in values] == [
        "2025-11-15T08:30:00.000Z", "2025-11-15T08:31:30.000Z", "2025-11-15T08:29:00.000Z", "soon",
    ]  # fmt: skip


def test_connection__passes_the_security_settings_on() -> None:
    options = KafkaOptions(
        "a:1,b:2", security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512",
        sasl_username="u", sasl_password="p", ca_file=Path("ca.pem"),
    )  # fmt: skip
    connection = options.connection()
    assert connection == {
        "bootstrap_servers": ["a:1", "b:2"], "bootstrap_timeout_ms": 10_000,
        "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u", "sasl_plain_password": "p", "ssl_cafile": "ca.pem",
        "ssl_check_hostname": True,
    }  # fmt: skip
    assert connection.items() <= options.for_consumer().items()


def environment(servers: str, topic: str) -> dict[str, str]:
    return {
        **os.environ,
        "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": servers,
        "LMSLAKE_KAFKA_TOPICS": topic,
    }


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("lmslake")), "produce", *arguments]


def produce(kafka: Kafka, topic: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(kafka.bootstrap_servers, topic),
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


def records_of(kafka: Kafka, topic: str) -> dict[tuple[str, int, int], Any]:
    """(topic, partition, offset) → record, of all that is in the topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        left = sum(consumer.end_offsets(partitions).values())
        found: dict[tuple[str, int, int], Any] = {}
        while len(found) < left:
            for records in consumer.poll(1_000).values():
                found |= {(r.topic, r.partition, r.offset): r for r in records}
        return found
    finally:
        consumer.close()


def acknowledged(path: Path) -> dict[tuple[str, int, int], str]:
    """(topic, partition, offset) → event id; every line is whole and there once."""
    lines = [text.split("\t") for text in path.read_text().splitlines()]
    found = {(topic, int(part), int(offset)): name for topic, part, offset, name in lines}
    assert len(found) == len(lines)
    return found


def check_acknowledged(kafka: Kafka, topic: str, path: Path) -> dict[tuple[str, int, int], str]:
    """Each record that is acknowledged is in Kafka where the file says, and no other one is."""
    there = {
        place: orjson.loads(record.value)["event_id"]
        for place, record in records_of(kafka, topic).items()
    }
    told = acknowledged(path)
    assert told == there
    assert len(set(told.values())) == len(told)
    return told


@pytest.mark.services
def test_produce__sends_so_many_as_asked(kafka: Kafka, tmp_path: Path) -> None:
    topic, file = kafka.create_topic(), tmp_path / "acknowledged.tsv"
    for count in (400, 600):
        done = produce(
            kafka, topic, "--rate", "2000", "--count", str(count), "--acknowledged", str(file)
        )
        assert done.returncode == 0, done.stderr
        assert f"{count} records acknowledged" in done.stdout
    assert len(check_acknowledged(kafka, topic, file)) == 1_000


@pytest.mark.services
def test_produce__quirks_reach_kafka(kafka: Kafka) -> None:
    topic = kafka.create_topic()
    quirks = ("--late", "0.2", "--duplicates", "0.2", "--broken", "0.2", "--seed", "3")
    done = produce(kafka, topic, "--rate", "5000", "--count", "1000", *quirks)
    assert done.returncode == 0, done.stderr
    values = [record.value for record in records_of(kafka, topic).values()]
    validator = Validator(LIMITS)
    found = [validator.check(value, datetime.now(UTC)) for value in values]
    broken = sum(isinstance(verdict, Rejected) for verdict in found)
    again = len(values) - len(set(values))
    assert f"{again} sent again, {broken} broken on purpose." in done.stdout
    assert min(broken, again) > 100


@pytest.mark.services
def test_produce__replay_keeps_the_order_of_each_student(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.create_topic()
    students = [f"s-{number}" for number in range(40)]
    lines = [line(second, student) for second in range(50) for student in students]
    plain, packed = tmp_path / "1.jsonl", tmp_path / "2.jsonl.gz"
    plain.write_bytes(b"\n".join(lines[:900]) + b"\n")
    packed.write_bytes(gzip.compress(b"\n".join(lines[900:])))
    done = produce(kafka, topic, "--speed", "0", str(plain), str(packed))
    assert done.returncode == 0, done.stderr
    found = records_of(kafka, topic)
    of_student = defaultdict(list)
    for place in sorted(found):
        of_student[found[place].key].append(found[place].value)
    assert sum(map(len, of_student.values())) == 2_000
    for number, student in enumerate(students):
        assert of_student[student.encode()] == lines[number::40]


@pytest.mark.services
def test_produce__replay_moves_times_to_now(kafka: Kafka, tmp_path: Path) -> None:
    topic, file = kafka.create_topic(), tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([line(0), line(60)]))
    began = datetime.now(UTC)
    done = produce(kafka, topic, "--speed", "0", "--now", str(file))
    assert done.returncode == 0, done.stderr
    events = [orjson.loads(record.value) for record in records_of(kafka, topic).values()]
    first, second = sorted(datetime.fromisoformat(event["timestamp"]) for event in events)
    assert began - timedelta(milliseconds=1) <= first <= datetime.now(UTC)
    assert second - first == timedelta(seconds=60)


@pytest.mark.services
def test_produce__missing_topic_is_named_or_made(kafka: Kafka) -> None:
    topic = f"missing-{random.Random().getrandbits(40):x}"
    done = produce(kafka, topic, "--count", "10")
    assert done.returncode == 1
    assert f"Error: No such topic in Kafka: {topic}\n" in done.stderr
    assert "--create-topics" in done.stderr
    made = produce(kafka, topic, "--count", "10", "--create-topics")
    assert made.returncode == 0, made.stderr
    assert f"Made the topics {topic}." in made.stderr
    assert len(records_of(kafka, topic)) == 10
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    assert len(consumer.partitions_for_topic(topic)) == 3
    consumer.close()


def test_produce__says_that_no_broker_answers() -> None:
    with closed_port() as port:
        done = produce(Kafka(f"127.0.0.1:{port}"), "clickstream", "--count", "10")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Check LMSLAKE_KAFKA_BOOTSTRAP_SERVERS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.services
def test_produce__a_record_that_kafka_refuses_is_told(kafka: Kafka, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"max.message.bytes": "2000"}
    topic, told = kafka.create_topic(**limits), tmp_path / "acknowledged.tsv"
    # Random, so that compression does not help.
    large = random.Random(1).randbytes(3_000).hex()
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([line(0), line(1, page_url=large), line(2)]))
    done = produce(kafka, topic, "--speed", "0", "--acknowledged", str(told), str(file))
    assert done.returncode == 1
    assert "of the records were not acknowledged: [Error 10] MessageSizeTooLarge" in done.stderr
    assert "Traceback" not in done.stderr
    assert "e-s-1-1" not in check_acknowledged(kafka, topic, told).values()


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_produce__ends_cleanly_at_a_signal(
    kafka: Kafka, tmp_path: Path, number: signal.Signals
) -> None:
    topic, file = kafka.create_topic(), tmp_path / "acknowledged.tsv"
    process = subprocess.Popen(
        # So many that some are on their way, and not more than a slow broker takes in the end.
        command("--rate", "1000", "--acknowledged", str(file)),
        env=environment(kafka.bootstrap_servers, topic),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: file.exists() and file.stat().st_size > 0, "the first second")
        process.send_signal(number)
        printed, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    told = check_acknowledged(kafka, topic, file)
    assert f"{len(told):,} records acknowledged" in printed
    assert "Traceback" not in errors


@pytest.mark.services
@pytest.mark.slow
def test_produce__goes_on_after_the_broker_was_killed(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "acknowledged.tsv"
    folder = tmp_path / "kafka"
    folder.mkdir()
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(folder, port))
        topic, name = kafka.create_topic(), f"Kafka at {kafka.bootstrap_servers}"
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                command("--rate", "500", "--acknowledged", str(file)),
                env=environment(kafka.bootstrap_servers, topic),
                stdout=log, stderr=log,
            )  # fmt: skip
        stack.callback(process.kill)

        def output() -> str:
            return (tmp_path / "log").read_text()

        def has_no_kafka() -> bool:
            return is_away(output().splitlines(), name)

        wait_until(lambda: file.exists() and file.stat().st_size > 0, "the first second")
        for child in psutil.Process().children():
            if child.pid != process.pid and str(folder / "server.properties") in child.cmdline():
                child.kill()
                child.wait()
        wait_until(has_no_kafka, "it says so")
        assert process.poll() is None
        stack.enter_context(running_kafka(folder, port))
        wait_until(lambda: not has_no_kafka(), "it goes on")
        before = file.stat().st_size
        wait_until(lambda: file.stat().st_size > before, "more records")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0, output()
        check_acknowledged(kafka, topic, file)
    # Told once, not each second.
    assert outages_in(output().splitlines(), name)


@pytest.mark.services
@pytest.mark.slow
def test_produce__a_signal_ends_it_while_kafka_is_away(tmp_path: Path) -> None:
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(tmp_path))
        log = stack.enter_context((tmp_path / "log").open("wb"))
        topic = kafka.create_topic()
        process = subprocess.Popen(
            command("--rate", "100"), env=environment(kafka.bootstrap_servers, topic),
            stdout=log, stderr=log,
        )  # fmt: skip
        stack.callback(process.kill)
        output = (tmp_path / "log").read_text
        wait_until(lambda: " acknowledged, 0 failed" in output(), "it sends")
        (broker,) = (
            child
            for child in psutil.Process().children()
            if str(tmp_path / "server.properties") in child.cmdline()
        )
        broker.kill()
        broker.wait()

        # A slow broker may have been away, and available again, before.
        name = f"Kafka at {kafka.bootstrap_servers}"
        wait_until(lambda: is_away(output().splitlines(), name), "it notices")
        before = len(output())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 1
    assert "were not acknowledged: KafkaTimeoutError: no answer within 30 s" in output()
    assert "is available again" not in output()[before:]
    assert "Traceback" not in output()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--late", "1.5"], "0<=x<=1"),
        (["--rate", "0"], "x>0"),
        (["--now"], "--now needs files"),
        (["--rate", "5", "events.jsonl"], "--rate has no meaning with files"),
    ],
)
def test_produce__refuses_what_it_cannot_do(arguments: list[str], message: str) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_produce__names_a_file_that_is_not_there() -> None:
    done = subprocess.run(command("no-such-file"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: There is no file or folder no-such-file.\n"
