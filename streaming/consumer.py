"""The connection to Kafka: options from plain settings, and errors that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    AuthorizationError,
    InvalidReceiveError,
    KafkaError,
    OffsetOutOfRangeError,
    RetriableError,
)

from lake.errors import LakeError
from lake.settings import Settings
from streaming.connections import SASL_ERRORS, UntrustedCertificateError, telling_client
from streaming.header_names import accept_any_header_name

RECORDS_PER_POLL = 2_000
FETCH_BYTES = 16 << 20
FETCH_BYTES_PER_PARTITION = 4 << 20
BOOTSTRAP_SECONDS = 10
# One who is to end asks so often before Kafka's first answer, and waits as long for the next one.
ATTEMPTS_ONCE = 2
PATIENCE_ONCE_SECONDS = float(ATTEMPTS_ONCE * BOOTSTRAP_SECONDS)
# How soon new partitions are noticed.
METADATA_SECONDS = 60
# A broker that is back is found soon; kafka-python's own limit is 30.
RECONNECT_SECONDS = 1


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """How brokers are reached, and as whom."""

    bootstrap_servers: str
    group_id: str = "lmslake-archiver"
    session_timeout_seconds: int = 45
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True

    @classmethod
    def from_settings(cls, settings: Settings) -> KafkaOptions:
        password, key_password = settings.kafka_sasl_password, settings.kafka_ssl_key_password
        return cls(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            group_id=settings.kafka_group_id,
            session_timeout_seconds=settings.kafka_session_timeout_seconds,
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=password.get_secret_value() if password else None,
            ca_file=settings.kafka_ssl_ca_file,
            cert_file=settings.kafka_ssl_cert_file,
            key_file=settings.kafka_ssl_key_file,
            key_password=key_password.get_secret_value() if key_password else None,
            check_hostname=settings.kafka_ssl_check_hostname,
        )

    def connection(self) -> dict[str, Any]:
        """Arguments of every client: where the brokers are, and as whom they are asked."""
        secure = {
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "ssl_cafile": self.ca_file and str(self.ca_file),
            "ssl_certfile": self.cert_file and str(self.cert_file),
            "ssl_keyfile": self.key_file and str(self.key_file),
            "ssl_password": self.key_password,
            "ssl_check_hostname": self.check_hostname,
        }
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "bootstrap_timeout_ms": BOOTSTRAP_SECONDS * 1_000,
            **{name: value for name, value in secure.items() if value is not None},
        }

    def for_consumer(self) -> dict[str, Any]:
        """Arguments of KafkaConsumer."""
        session_ms = self.session_timeout_seconds * 1_000
        return {
            **self.connection(),
            "client_id": "lmslake-archiver",
            "group_id": self.group_id,
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": min(3_000, session_ms // 3),
            # Positions come from the ledger only: nothing is reset and nothing committed unasked.
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "allow_auto_create_topics": False,
            # What a producer has aborted was never sent.
            "isolation_level": "read_committed",
            "max_poll_records": RECORDS_PER_POLL,
            "fetch_max_bytes": FETCH_BYTES,
            "max_partition_fetch_bytes": FETCH_BYTES_PER_PARTITION,
            "metadata_max_age_ms": METADATA_SECONDS * 1_000,
            "reconnect_backoff_max_ms": RECONNECT_SECONDS * 1_000,
            "metrics_enabled": False,
        }


def open_consumer(options: KafkaOptions) -> KafkaConsumer:
    """A consumer without a subscription. Raises LakeError where Kafka refuses it, and
    a RetriableError where it cannot be reached."""
    accept_any_header_name()
    with refusals_explained(options):
        return KafkaConsumer(**options.for_consumer(), kafka_client=telling_client)


@contextmanager
def refusals_explained(options: KafkaOptions) -> Iterator[None]:
    """While a client is set up: what trying again does not change becomes a LakeError.

    A RetriableError, of brokers that cannot be reached, stays as it is.
    """
    try:
        yield
    except RetriableError:
        raise
    except KafkaError as error:
        refused(error, options.bootstrap_servers)
    except (OSError, ValueError) as error:
        # A certificate or a key that cannot be read.
        raise LakeError(
            f"The connection to Kafka cannot be set up: {error}\n"
            "  Check the LMSLAKE_KAFKA_… settings (`lmslake settings`)."
        ) from None


def is_unavailable(error: BaseException) -> bool:
    """Whether Kafka may answer again without anyone changing anything."""
    return isinstance(error, RetriableError) and not isinstance(error, OffsetOutOfRangeError)


def refused(error: KafkaError, servers: str) -> NoReturn:
    """An answer of Kafka that trying again does not change, as an error for the user."""
    advice = "`lmslake settings` shows what it was asked with."
    if isinstance(error, UntrustedCertificateError):
        raise LakeError(
            f"The certificate of Kafka at {servers} is not trusted: {error.args[0]}\n"
            "  LMSLAKE_KAFKA_SSL_CA_FILE names the certificates to trust (unset: the system's); "
            "the broker's must be valid for the host in LMSLAKE_KAFKA_BOOTSTRAP_SERVERS."
        )
    if isinstance(error, InvalidReceiveError):
        raise LakeError(
            f"What answers at {servers} is not what Kafka would answer: {error}\n"
            "  Check LMSLAKE_KAFKA_SECURITY_PROTOCOL (does it answer in TLS?) and the ports in "
            "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS."
        )
    if isinstance(error, SASL_ERRORS):
        advice = "Check LMSLAKE_KAFKA_SASL_USERNAME, …_PASSWORD and …_MECHANISM."
    elif isinstance(error, AuthorizationError):
        advice = (
            "The user needs READ on the topics and on the group (LMSLAKE_KAFKA_GROUP_ID); to "
            "produce, WRITE on the topics."
        )
    raise LakeError(f"Kafka at {servers} refused: {error}\n  {advice}")


def unreachable(error: BaseException, servers: str) -> LakeError:
    """That no broker answers, as an error for the user."""
    return LakeError(
        f"Kafka at {servers} cannot be reached: {error}\n"
        "  Is it running? Check LMSLAKE_KAFKA_BOOTSTRAP_SERVERS and …_SECURITY_PROTOCOL."
    )


def gone(error: BaseException, seconds: float, servers: str) -> LakeError:
    """That Kafka went away while it was read and is not waited for any longer."""
    return LakeError(
        f"Kafka at {servers} has not answered for {seconds:.0f} s: {error}\n"
        "  What was committed stays; the next start goes on from there."
    )


def partitions_of(consumer: KafkaConsumer, topics: list[str]) -> list[TopicPartition]:
    """All partitions. Raises LakeError that names the topics that are not there."""
    known = consumer.topics()
    if missing := [topic for topic in topics if topic not in known]:
        raise LakeError(
            f"No such topic in Kafka: {', '.join(missing)}\n"
            "  Create it, or name the topics to archive: LMSLAKE_KAFKA_TOPICS=…"
        )
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic))
    ]


def cluster_id(consumer: KafkaConsumer) -> str:
    """Identity of the cluster. Raises LakeError where the brokers do not tell it."""
    # There is no public way to it; kafka-python is held to ~=3.0.
    found = consumer._cluster.cluster_id
    if not found:
        raise LakeError("The brokers do not tell the cluster's id: Kafka 0.10.1 or newer is needed")
    return str(found)


def keep_joining(consumer: KafkaConsumer) -> None:
    """Call it before each poll: a rebalance that a poll did not wait for must be ended by one.

    kafka-python 3.0.12 forgets it where the rebalance came from new metadata (a new topic or
    partition): when the group's answer arrives between two polls, it takes the leader's
    assignment for done, never gives it to the listener, and stays without partitions.
    """
    coordinator = consumer._coordinator
    if coordinator is not None and coordinator.rejoining and not coordinator.need_rejoin():
        coordinator.request_rejoin()


def is_settled(consumer: KafkaConsumer) -> bool:
    """Whether the group has assigned, and from partitions that were known.

    kafka-python 3.0.12 may lead its group before the brokers have told it the topics' partitions:
    it assigns none of them then, and again once it has heard of them.
    """
    coordinator = consumer._coordinator
    if coordinator is None or coordinator.rejoining or coordinator.need_rejoin():
        return False
    # None: another member made the assignment.
    known = coordinator._assignment_snapshot
    return known is None or all(known.get(topic) for topic in consumer.subscription())
