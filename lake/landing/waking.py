"""What happens in a local folder wakes a waiting thread up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from lake.landing.naming import FAILED, PROCESSED

# Not that files and folders are read: the landing itself does that.
EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirMovedEvent, FileClosedEvent, FileCreatedEvent, FileModifiedEvent,
    FileMovedEvent,
]  # fmt: skip


@contextmanager
def woken(wake: threading.Event, folder: Path) -> Iterator[None]:
    """Meanwhile `wake` is set when something comes into the landing zone or changes there.

    Network folders may keep silent: the thread must not wait without end.
    """
    observer = Observer()
    observer.schedule(_Waker(wake, folder), str(folder), recursive=True, event_filter=EVENTS)
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: threading.Event, folder: Path) -> None:
        self._wake = wake
        self._ours = tuple(f"{folder / name}/" for name in (PROCESSED, FAILED))

    def on_any_event(self, event: FileSystemEvent) -> None:
        if not str(event.src_path).startswith(self._ours):
            self._wake.set()
