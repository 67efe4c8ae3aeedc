"""`lmslake` as a process of its own that is killed while it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

if TYPE_CHECKING:
    from lake.storage import ObjectStore

# Everything that belongs to the command, or only one of its two processes: what the memory
# killer of a machine would do.
Victim = Literal["all", "python", "java"]
SMALL_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PATIENCE_SECONDS = 900.0
PAUSE_PER_LOOK = 20


def files_below(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def objects_below(store: ObjectStore, place: str) -> int:
    return sum(1 for _ in store.list_with_times(place))


@dataclass
class Command:
    """`lmslake ARGUMENTS…` in a process group of its own; `log` takes what it says."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("lmslake")), *self.arguments],
                env={**os.environ, "JAVA_TOOL_OPTIONS": SMALL_JVM, **self.environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        """What is left of the command ends here."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def output(self) -> str:
        return self.log.read_text()

    def finish(self, patience_seconds: float = PATIENCE_SECONDS) -> str:
        """Wait for its end, which must be a good one; returns what it said."""
        assert self._process.wait(patience_seconds) == 0, self.output
        return self.output

    def kill_at_work(
        self, files: Callable[[], int], more_files: int, seconds: float, victim: Victim = "all"
    ) -> bool:
        """Kill it some time after it has added files, of which `files` says how many there are.

        False where it had ended before; that must have been a good end.
        """
        before = files()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None:
            began = time.monotonic()
            if files() >= before + more_files:
                break
            assert began < deadline, self.output
            # A bucket is asked less often than a folder: it would be kept from the work itself.
            looking = time.monotonic() - began
            time.sleep(max(0.002, PAUSE_PER_LOOK * looking))
        time.sleep(seconds)
        if self._process.poll() is not None:
            self.finish()
            return False
        self._kill(victim)
        return True

    def _kill(self, victim: Victim) -> None:
        pid = self._process.pid
        if victim == "all":
            os.killpg(pid, signal.SIGKILL)
        elif victim == "python":
            os.kill(pid, signal.SIGKILL)
        else:
            for child in psutil.Process(pid).children(recursive=True):
                if child.name() == "java":
                    child.kill()
        self._process.wait(PATIENCE_SECONDS)
