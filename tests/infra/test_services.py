"""The services that other tests rely on."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.services import Kafka, Minio


@pytest.mark.services
def test_minio__refuses_a_second_conditional_put(minio: Minio) -> None:
    client = minio.client()
    client.put_object(Bucket=minio.bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=minio.bucket, Key="once", Body=b"2", IfNoneMatch="*")


@pytest.mark.services
def test_minio__needs_its_key(minio: Minio) -> None:
    stranger = Minio(minio.endpoint, minio.access_key, "wrong-secret-key")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_buckets()


def test_minio__does_not_show_its_key(minio: Minio) -> None:
    assert minio.secret_key not in repr(minio)
    assert minio.secret_key not in repr(minio.settings())


@pytest.mark.services
@pytest.mark.slow
def test_kafka__keeps_what_was_sent(kafka: Kafka) -> None:
    from kafka import KafkaConsumer, KafkaProducer

    topic = kafka.create_topic(partitions=1)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    for number in range(10):
        producer.send(topic, value=str(number).encode())
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=120_000,
    )
    values = []
    for record in consumer:
        values.append(int(record.value))
        if len(values) == 10:
            break
    consumer.close()
    assert values == list(range(10))
