"""A process of the platform, which is killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from tests.pipelines.killing import Victim

STOP_SECONDS = 600.0


class Program:
    """A process that can be killed with all of its children and started again, as it was."""

    def __init__(
        self, name: str, command: list[str], environment: dict[str, str], log: Path
    ) -> None:
        self.name, self.log = name, log
        self._command, self._environment = command, environment
        self._process: psutil.Process | None = None
        self._children: list[subprocess.Popen[bytes]] = []
        self._groups: list[int] = []

    def adopt(self, process: psutil.Process) -> None:
        """It runs already, started by someone else."""
        self._process = process

    def start(self) -> None:
        with self.log.open("ab") as output:
            child = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._children.append(child)
        self._groups.append(child.pid)
        self._process = psutil.Process(child.pid)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative after a signal."""
        assert self._process is not None
        try:
            code: int | None = self._process.wait(0)
        except psutil.TimeoutExpired:
            return None
        return code or 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self.exit_code is None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self, victim: Victim = "all") -> None:
        """kill -9 of the process and its children, or only of Spark's "python" or "java"."""
        assert self._process is not None
        children = self._process.children(recursive=True)
        doomed = [self._process, *children]
        if victim == "python":
            doomed = [self._process]
        elif victim == "java":
            doomed = [child for child in children if child.name() == "java"] or doomed
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process in doomed:
            self._process.wait(STOP_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM and its end; gives the exit code."""
        self.signal(signal.SIGTERM)
        assert self._process is not None
        code: int | None = self._process.wait(seconds)
        return code or 0

    def clear_away(self) -> None:
        """Whatever is left of what `start` has started, children that lost their parent too."""
        for group in self._groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for child in self._children:
            with suppress(ChildProcessError):
                child.wait()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""
