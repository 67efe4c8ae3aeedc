"""Topics, made where they are missing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from kafka import KafkaConsumer

from infra.setup.topics import make_topics
from lake.settings import Settings
from schemas.records import SOURCES
from tests.services import Kafka


@pytest.mark.services
def test_make_topics__makes_what_is_missing(kafka: Kafka) -> None:
    new = uuid4().hex[:12]
    there = kafka.create_topic(partitions=2)
    settings = Settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_topics=f"{there},{new}",
        school_topics_prefix=f"{new}.",
    )
    of_records = [f"{new}.{source}" for source in SOURCES]
    assert make_topics(settings) == [new, *of_records]
    assert make_topics(settings) == []
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    counts = [len(consumer.partitions_for_topic(topic)) for topic in (there, new, *of_records)]
    consumer.close()
    assert counts == [2, 3, *[1] * len(of_records)]
