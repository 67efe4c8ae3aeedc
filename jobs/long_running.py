"""What commands that run without end have in common: signals and their log."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AddCall = Callable[[Callable[[], None]], None]


@contextmanager
def stopping_on_signals() -> Iterator[tuple[threading.Event, AddCall]]:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process.

    The function that comes with it adds what else is to be called then (at once, where the signal
    has come already).
    """
    stopping = threading.Event()
    calls: list[Callable[[], None]] = []

    def stop(*_: object) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        stopping.set()
        for call in calls:
            call()

    def add(call: Callable[[], None]) -> None:
        calls.append(call)
        if stopping.is_set():
            call()

    before = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping, add
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # kafka-python tells every attempt; our own log tells what changes.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    for chatty in ("botocore", "boto3", "urllib3", "lake.ledger", "py4j", "great_expectations"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
