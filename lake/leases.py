"""Waiting for a lock that another process holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random,
)

from lake.storage import LeaseHeld

if TYPE_CHECKING:
    from lake.storage import Lease, ObjectStore


@contextmanager
def awaited_lease(
    store: ObjectStore, name: str, patience: timedelta, tell: Callable[[str], None]
) -> Iterator[Lease]:
    """Hold the lease `name`, which others may hold for up to `patience` yet.

    `tell` hears once that it is waited for. Raises LeaseHeld where it does not come free.
    """
    with ExitStack() as held:

        def say(state: RetryCallState) -> None:
            if state.attempt_number == 1 and state.outcome is not None:
                tell(f"waiting: {str(state.outcome.exception()).splitlines()[0]}")

        retrying = Retrying(
            retry=retry_if_exception_type(LeaseHeld),
            wait=wait_random(0.2, 1.0),
            stop=stop_after_delay(patience),
            before_sleep=say,
            reraise=True,
        )
        yield retrying(lambda: held.enter_context(store.lease(name)))
