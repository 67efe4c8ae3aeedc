"""What the consumer group tells an archiver, as kafka-python wants to be asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kafka import TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener

Told = Callable[[Iterable[TopicPartition]], None]


class Rebalances(ConsumerRebalanceListener):
    """Calls functions, in kafka-python's own thread, while the archiver waits in a poll."""

    def __init__(self, on_assigned: Told, on_revoked: Told, on_lost: Told) -> None:
        self._assigned, self._revoked, self._lost = on_assigned, on_revoked, on_lost

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._revoked(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._lost(lost)
