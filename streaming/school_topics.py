"""The topics of school records: what they are called, and a consumer of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kafka import KafkaConsumer, TopicPartition

from lake.errors import LakeError
from lake.landing.topic_rows import TopicPart
from schemas.records import SOURCES
from streaming.connections import telling_client
from streaming.consumer import KafkaOptions, cluster_id, partitions_of, refusals_explained
from streaming.header_names import accept_any_header_name


@dataclass(frozen=True, slots=True)
class SchoolOptions:
    """Which topics are read, and when what is held of them is committed at the latest.

    patience: how long a flush waits for another landing.
    """

    prefix: str = "school."
    max_characters: int = 1_000_000
    flush_rows: int = 50_000
    flush_bytes: int = 8 << 20
    patience: timedelta = timedelta(seconds=20)

    @property
    def topics(self) -> dict[str, str]:
        """Topic to source."""
        return {f"{self.prefix}{source}": source for source in SOURCES}


def open_school_consumer(kafka: KafkaOptions) -> KafkaConsumer:
    """A consumer of no group. Raises LakeError where Kafka refuses it, and a RetriableError where
    it cannot be reached."""
    accept_any_header_name()
    alone = {"group_id": None, "client_id": "lmslake-school", "kafka_client": telling_client}
    with refusals_explained(kafka):
        return KafkaConsumer(**{**kafka.for_consumer(), **alone})


def topic_parts(consumer: KafkaConsumer, options: SchoolOptions) -> dict[TopicPartition, TopicPart]:
    """All partitions of the topics that are there. Raises LakeError where none is."""
    wanted = options.topics
    known = consumer.topics()
    found = [topic for topic in wanted if topic in known]
    if not found:
        raise LakeError(
            f"None of the topics of school records is in Kafka: {', '.join(wanted)}\n"
            "  Create those that you use (`lmslake records send --create-topics FILE` does), "
            "or set LMSLAKE_SCHOOL_TOPICS_PREFIX."
        )
    cluster = cluster_id(consumer)
    return {
        partition: TopicPart(cluster, partition.topic, partition.partition, wanted[partition.topic])
        for partition in partitions_of(consumer, found)
    }
