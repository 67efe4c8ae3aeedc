"""MinIO and Kafka as processes of their own, on free ports, with data that ends with them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from infra.services import run
from infra.services.install import missing_services
from infra.services.run import Kafka, Minio, SecureKafka, free_port
from lake.errors import LakeError

__all__ = [
    "Kafka",
    "Minio",
    "SecureKafka",
    "closed_port",
    "free_port",
    "require_services",
    "running_kafka",
    "running_minio",
    "running_secure_kafka",
]

Service = TypeVar("Service")


def require_services() -> None:
    """Fail, never skip: a suite without its services would prove less than it says."""
    if missing := missing_services():
        pytest.fail(
            f"{' and '.join(missing)} not installed. Type: make services   (or make test, which "
            "does it first)",
            pytrace=False,
        )


@contextmanager
def running_minio(folder: Path) -> Iterator[Minio]:
    """MinIO with a random credential and its data below `folder`; has the bucket `lake`."""
    with ExitStack() as stack:
        yield _started(stack, run.running_minio(folder))


@contextmanager
def running_kafka(folder: Path, port: int | None = None) -> Iterator[Kafka]:
    """One broker in KRaft mode, its data below `folder`; goes on with what is there."""
    with ExitStack() as stack:
        yield _started(stack, run.running_kafka(folder, port))


@contextmanager
def running_secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """One broker whose clients come by TLS and SASL, with a user of its own."""
    with ExitStack() as stack:
        yield _started(stack, run.running_secure_kafka(folder))


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses; nobody else can listen on it meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        yield port


def _started(stack: ExitStack, service: AbstractContextManager[Service]) -> Service:
    require_services()
    try:
        return stack.enter_context(service)
    except LakeError as error:
        pytest.fail(str(error), pytrace=False)
