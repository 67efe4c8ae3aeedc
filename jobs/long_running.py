"""What commands that run without end have in common: signals and their log."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lake.settings import Settings
    from lake.storage import ObjectStore

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


def awaited_store(
    settings: Settings,
    stopping: threading.Event,
    *,
    once: bool,
    beat: Callable[[], None] = lambda: None,
) -> ObjectStore | None:
    """The store of the settings; while it is away it is waited for, but not with `once`.

    None where `stopping` was set meanwhile. `beat` is called before each wait. Raises LakeError.
    """
    from tenacity import (
        RetryCallState,
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        stop_when_event_set,
        wait_random_exponential,
    )
    from tenacity.nap import sleep_using_event

    from lake.storage import StoreAwayError, open_store
    from streaming.outages import LONGEST_WAIT_SECONDS, Outage, failure_of

    outage = Outage("The store of the lake")

    def note(state: RetryCallState) -> None:
        outage.begins(failure_of(state))
        beat()

    stop: Any = stop_when_event_set(stopping)
    if once:
        stop |= stop_after_attempt(1)
    retrying = Retrying(
        retry=retry_if_exception_type(StoreAwayError),
        wait=wait_random_exponential(max=LONGEST_WAIT_SECONDS),
        sleep=sleep_using_event(stopping),
        stop=stop,
        before_sleep=note,
        reraise=True,
    )
    try:
        store = retrying(open_store, settings)
    except StoreAwayError:
        if stopping.is_set():
            return None
        raise
    outage.ends()
    return store


def log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # kafka-python tells every attempt, and py4j has a stack trace of each micro-batch that fails;
    # our own log tells what changes.
    for told in ("kafka", "py4j"):
        logging.getLogger(told).setLevel(logging.CRITICAL)
    for chatty in ("botocore", "boto3", "urllib3", "lake.ledger", "great_expectations"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
