"""Producers, and the topics that they write to."""

from __future__ import annotations

from collections.abc import Sequence

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, RetriableError, TopicAlreadyExistsError

from lake.errors import LakeError
from streaming.connections import telling_client
from streaming.consumer import KafkaOptions, refusals_explained, refused, unreachable

CLIENT_ID = "lmslake-producer"
DEMO_PARTITIONS = 3
BATCH_BYTES = 64 << 10
# Key and framing beside a record's value; brokers take 1,048,588 bytes unless told otherwise.
ROOM_BYTES = 10_000
LINGER_MS = 50
REQUEST_TIMEOUT_MS = 15_000
RECONNECT_MAX_MS = 1_000
METADATA_WAIT_MS = 5_000
# A record is never given up: whoever is tired of waiting sends a signal.
DELIVERY_TIMEOUT_MS = 365 * 24 * 3_600_000


def ensure_topics(
    options: KafkaOptions, topics: Sequence[str], create: bool, partitions: int = DEMO_PARTITIONS
) -> list[str]:
    """Topics that were missing and were made. Raises LakeError where they are not to be made."""
    try:
        with refusals_explained(options):
            admin = KafkaAdminClient(
                **options.connection(), client_id=CLIENT_ID, kafka_client=telling_client
            )
        try:
            known = set(admin.list_topics())
            missing = [topic for topic in topics if topic not in known]
            if missing and not create:
                raise LakeError(
                    f"No such topic in Kafka: {', '.join(missing)}\n"
                    "  Make it with --create-topics, or name others: LMSLAKE_KAFKA_TOPICS=…"
                )
            if missing:
                _create(admin, missing, partitions)
            return missing
        finally:
            admin.close()
    except RetriableError as error:
        raise unreachable(error, options.bootstrap_servers) from None
    except KafkaError as error:
        refused(error, options.bootstrap_servers)


def _create(admin: KafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    for topic in topics:
        try:
            admin.create_topics({topic: {"num_partitions": partitions}}, wait_for_metadata=True)
        except TopicAlreadyExistsError:  # another producer was faster
            admin.wait_for_topics([topic])


def open_producer(options: KafkaOptions, max_record_bytes: int) -> KafkaProducer:
    """A producer that writes each record once. Raises LakeError."""
    try:
        with refusals_explained(options):
            return KafkaProducer(
                **options.connection(),
                client_id=CLIENT_ID,
                kafka_client=telling_client,
                # With these kafka-python is idempotent wherever the brokers are (0.11 and later).
                acks="all",
                compression_type="lz4",
                batch_size=BATCH_BYTES,
                linger_ms=LINGER_MS,
                # A larger record is refused here: where brokers do, neighbours may fail with it.
                max_request_size=max_record_bytes + ROOM_BYTES,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
                reconnect_backoff_max_ms=RECONNECT_MAX_MS,
                max_block_ms=METADATA_WAIT_MS,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
    except RetriableError as error:
        raise unreachable(error, options.bootstrap_servers) from None
