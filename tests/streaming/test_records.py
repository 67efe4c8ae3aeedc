"""Records of Kafka, positions and metrics without a broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from lake.errors import LakeError
from lake.ledger import Ledger, ledger_rows
from lake.quarantine import quarantined_records, raw_bytes
from lake.raw import commit_flush
from lake.raw_buffers import OriginBuffer
from lake.settings import Settings
from lake.storage_local import LocalStore
from lake.validation import Limits, Validator
from streaming.consumer import KafkaOptions
from streaming.monitoring import Health
from streaming.positions import opened_buffer, origin_of
from streaming.records import RecordTaker
from tests.streaming.world import event

ORIGIN = origin_of("cluster", "clicks", 3)


@dataclass
class Record:
    offset: int
    value: bytes | None
    timestamp: int | None = None
    key: bytes | None = None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


@pytest.mark.parametrize("stamp", [None, -1, 2**62, 0])
def test_take__a_stamp_that_says_nothing_does_no_harm(lake_root: Path, stamp: int | None) -> None:
    buffer = OriginBuffer(ORIGIN, None, 0)
    taker = RecordTaker(Validator(Limits()), 1_000)
    taker.take(buffer, Record(0, b"{", stamp, headers=[("h", None)]))
    taker.take(buffer, Record(1, orjson.dumps(event(1)), stamp))
    store = LocalStore(lake_root)
    commit_flush(store, Ledger(store), [buffer])
    first, *others = quarantined_records(store, Ledger(store))
    assert raw_bytes(first) == b"{"
    assert first["headers"] == [{"key": "h", "value_base64": None}]
    # The broker's 1970 is a time like any other: our event lies in its future.
    assert [record["reason"] for record in others] == (["in_future"] if stamp == 0 else [])


def test_take__what_is_too_large_counts_as_held() -> None:
    buffer = OriginBuffer(ORIGIN, None, 0)
    RecordTaker(Validator(Limits()), 100).take(buffer, Record(0, b"x" * 5_000))
    assert buffer.bytes > 5_000


def test_opened_buffer__goes_on_after_the_ledger() -> None:
    assert opened_buffer(ORIGIN, 41, 0, 100).next_offset == 42
    assert opened_buffer(ORIGIN, 41, 42, 42).next_offset == 42
    assert opened_buffer(ORIGIN, None, 7, 9).next_offset == 7


def test_opened_buffer__a_lost_range_is_one_record_and_gaps(lake_root: Path) -> None:
    buffer = opened_buffer(ORIGIN, 41, 50, 60)
    assert (buffer.next_offset, buffer.records) == (50, 1)
    store = LocalStore(lake_root)
    Ledger(store).append([], ORIGIN.app_id, 41)
    commit_flush(store, Ledger(store), [buffer])
    (row,) = ledger_rows(Ledger(store).rows(is_quarantine=True))
    assert (row.flush_first_offset, row.flush_last_offset) == (42, 49)
    assert (row.first_offset, row.last_offset) == (42, 49)
    assert (row.record_count, row.flush_gap_count) == (1, 7)


def test_opened_buffer__refuses_a_ledger_ahead_of_the_broker() -> None:
    with pytest.raises(LakeError, match=r"LMSLAKE_KAFKA_TOPICS=…,clicks#2"):
        opened_buffer(ORIGIN, 41, 0, 41)


def test_origin_of__generations_are_sources_of_their_own() -> None:
    assert ORIGIN.source == "cluster/clicks"
    assert origin_of("cluster", "clicks", 3, 2).source == "cluster/clicks#2"


def test_health__silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    assert (health.is_alive, health.is_ready) == (True, False)
    health.is_assigned = True
    assert health.is_ready
    monkeypatch.setattr("streaming.monitoring.LONGEST_SILENCE_SECONDS", 0.0)
    assert (health.is_alive, health.is_ready) == (False, False)


def test_kafka_options__pass_security_on_and_hide_secrets(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    for file in files.values():
        file.touch()
    settings = Settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="archiver",
        kafka_sasl_password="not for eyes",
        kafka_ssl_ca_file=files["ca"],
        kafka_ssl_cert_file=files["cert"],
        kafka_ssl_key_file=files["key"],
        kafka_ssl_key_password="nor this",
    )
    options = KafkaOptions.from_settings(settings)
    for secret in ("not for eyes", "nor this"):
        assert secret not in repr(options) + repr(settings)
    arguments = options.for_consumer()
    assert arguments["security_protocol"] == "SASL_SSL"
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert arguments["sasl_plain_username"] == "archiver"
    assert arguments["sasl_plain_password"] == "not for eyes"
    for name, file in files.items():
        assert arguments[f"ssl_{name}file"] == str(file)
    assert arguments["ssl_password"] == "nor this"
    assert arguments["enable_auto_commit"] is False


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KAFKA_TOPICS": " , "}, "LMSLAKE_KAFKA_TOPICS: names no topic"),
        ({"KAFKA_TOPICS": "a,b c"}, "not a topic of Kafka: b c"),
        ({"KAFKA_TOPICS": "a#0"}, "not a topic of Kafka: a#0"),
        ({"KAFKA_TOPICS": "a,a#2"}, "names a topic twice"),
        ({"KAFKA_TOPICS": "native"}, "native: the name of a kind of files"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs LMSLAKE_KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "needs KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "LMSLAKE_KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SSL_CA_FILE": "/nowhere.pem"}, "no such file: /nowhere.pem"),
        ({"METRICS_PORT": "70000"}, "LMSLAKE_METRICS_PORT"),
    ],
)
def test_settings__of_kafka_are_checked(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"LMSLAKE_{name}", value)
    with pytest.raises(LakeError, match=message):
        Settings.from_env()


def test_settings__topics_have_generations() -> None:
    assert Settings(kafka_topics="a, b#3").topics == {"a": 1, "b": 3}
