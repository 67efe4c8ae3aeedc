"""The archiver and the producer against a broker that asks for TLS and SASL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest
from kafka import KafkaConsumer

from lake.storage_local import LocalStore
from tests.services import SecureKafka, running_secure_kafka
from tests.streaming.world import PATIENCE_SECONDS, World, canonical

pytestmark = pytest.mark.services

COUNT = 300
WRONG_PASSWORD = "not-what-the-broker-knows"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with running_secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as running:
        yield running


@pytest.fixture
def world(secure: SecureKafka, lake_root: Path) -> World:
    """What it does itself goes through the broker's other listener, without TLS and SASL."""
    return World(secure, secure.create_topic(), LocalStore(lake_root))


def produce(world: World, connection: Mapping[str, str]) -> subprocess.Popen[str]:
    program = str(Path(sys.executable).with_name("lmslake"))
    return subprocess.Popen(
        [program, "produce", "--rate", "2000", "--count", str(COUNT)],
        env={**os.environ, "LMSLAKE_KAFKA_TOPICS": world.topic, **connection},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def values_in(world: World) -> list[bytes]:
    """All that is in the topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=world.kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    ends = world.ends()
    consumer.assign(list(ends))
    found: list[bytes] = []
    while len(found) < sum(ends.values()):
        for records in consumer.poll(1_000).values():
            found += [record.value for record in records]
    consumer.close()
    return found


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_secure_kafka__everything_arrives_once(
    mechanism: str, secure: SecureKafka, world: World, tmp_path: Path
) -> None:
    connection = secure.environment(mechanism)
    with produce(world, connection) as producer:
        told, _ = producer.communicate(timeout=PATIENCE_SECONDS)
    assert producer.returncode == 0, told
    assert f"{COUNT} records acknowledged" in told
    values = values_in(world)
    assert len(values) == COUNT
    world.sent = Counter(canonical(orjson.loads(value)) for value in values)
    with world.process(tmp_path / "log", "--once", **connection) as archiver:
        assert archiver.wait() == 0, archiver.output
    world.check_exactly_once()
    assert secure.password not in told + archiver.output


def check_refused(
    world: World, secure: SecureKafka, log: Path, message: str, **changes: str | None
) -> None:
    """Both commands end with exit code 1 and the message; none tells a secret or sends anything."""
    changed = {**secure.environment(), **changes}
    connection = {name: value for name, value in changed.items() if value is not None}
    with ExitStack() as stack:
        archiver = stack.enter_context(world.process(log, **connection))
        producer = stack.enter_context(produce(world, connection))
        stack.callback(producer.kill)
        told, _ = producer.communicate(timeout=PATIENCE_SECONDS)
        codes = producer.returncode, archiver.wait()
    for output in (told, archiver.output):
        assert f"Error: {message}" in output
        assert "Traceback" not in output
        assert WRONG_PASSWORD not in output
        assert secure.password not in output
    assert codes == (1, 1)
    assert not any(world.ends().values())


@pytest.mark.parametrize(
    ("mechanism", "reason"),
    [
        ("PLAIN", "Invalid username or password"),
        ("SCRAM-SHA-512", "invalid credentials"),
        ("SCRAM-SHA-256", "UnsupportedSaslMechanismError"),
    ],
)
def test_secure_kafka__refused_credentials_are_named(
    mechanism: str, reason: str, secure: SecureKafka, world: World, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    check_refused(
        world,
        secure,
        log,
        f"Kafka at {secure.secure_servers} refused: ",
        LMSLAKE_KAFKA_SASL_MECHANISM=mechanism,
        LMSLAKE_KAFKA_SASL_PASSWORD=WRONG_PASSWORD,
    )
    assert reason in log.read_text()
    assert "Check LMSLAKE_KAFKA_SASL_USERNAME, …_PASSWORD and …_MECHANISM." in log.read_text()


def test_secure_kafka__certificate_that_nobody_trusts(
    secure: SecureKafka, world: World, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    check_refused(
        world,
        secure,
        log,
        f"The certificate of Kafka at {secure.secure_servers} is not trusted: self-signed",
        LMSLAKE_KAFKA_SSL_CA_FILE=None,
    )
    assert "LMSLAKE_KAFKA_SSL_CA_FILE" in log.read_text()


def test_secure_kafka__certificate_of_another_host(
    secure: SecureKafka, world: World, tmp_path: Path
) -> None:
    _, _, port = secure.secure_servers.partition(":")
    # A name of this machine that the certificate does not have.
    servers = f"127.1:{port}"
    check_refused(
        world,
        secure,
        tmp_path / "log",
        f"The certificate of Kafka at {servers} is not trusted: ",
        LMSLAKE_KAFKA_BOOTSTRAP_SERVERS=servers,
    )


def test_secure_kafka__file_that_is_no_certificate(
    secure: SecureKafka, world: World, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate\n")
    check_refused(
        world,
        secure,
        tmp_path / "log",
        "The connection to Kafka cannot be set up: ",
        LMSLAKE_KAFKA_SSL_CA_FILE=str(ca_file),
    )


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_secure_kafka__no_tls_where_the_broker_wants_it(
    protocol: str, secure: SecureKafka, world: World, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    check_refused(
        world,
        secure,
        log,
        f"What answers at {secure.secure_servers} is not what Kafka would answer: ",
        LMSLAKE_KAFKA_SECURITY_PROTOCOL=protocol,
        LMSLAKE_KAFKA_SASL_MECHANISM="PLAIN" if protocol.startswith("SASL") else None,
    )
    assert "Check LMSLAKE_KAFKA_SECURITY_PROTOCOL" in log.read_text()


def test_secure_kafka__only_its_owner_reads_its_passwords(secure: SecureKafka) -> None:
    folder = secure.ca_file.parent
    secrets = (secure.password, (folder / "keystore.password").read_text())
    files = [path for path in folder.rglob("*") if path.is_file()]
    telling = [p for p in files if any(s.encode() in p.read_bytes() for s in secrets)]
    assert {path.name for path in telling} == {"keystore.password", "server.properties"}
    for path in (*telling, folder / "keystore.p12"):
        assert path.stat().st_mode & 0o777 == 0o600
