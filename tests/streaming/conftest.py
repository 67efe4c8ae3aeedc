"""A topic and a lake for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.storage_local import LocalStore
from tests.services import Kafka
from tests.streaming.world import World


@pytest.fixture
def world(kafka: Kafka, lake_root: Path) -> World:
    """A new topic of four partitions and an empty local lake."""
    return World(kafka, kafka.create_topic(), LocalStore(lake_root))
