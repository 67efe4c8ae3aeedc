"""Run a command and measure the whole tree of its processes."""

from __future__ import annotations

import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from lake.errors import LakeError

SECONDS_BETWEEN_SAMPLES = 0.2
# A JVM that starts a command is forked for a moment: its memory would count twice.
SECONDS_OF_A_FORK = 1.0
OUTPUT_LINES = 30


@dataclass(frozen=True)
class Measured:
    """One run. Memory is resident, summed over the processes alive at one moment (pages that two
    of them share count twice); `java_bytes` is the part of the JVMs at its own peak."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    java_bytes: int


class ProcessTree:
    """Samples of a process and its descendants, those that have ended included.

    `resident_bytes` is what the last sample found.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu: dict[tuple[int, float], float] = {}
        self.resident_bytes = self.peak_bytes = 0
        self.java_bytes = 0

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def sample(self) -> None:
        total = java = 0
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                with process.oneshot():
                    times, resident = process.cpu_times(), process.memory_info().rss
                    is_java = process.name() == "java"
                    started = process.create_time()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            self._cpu[process.pid, started] = times.user + times.system
            if time.time() - started >= SECONDS_OF_A_FORK:
                total += resident
                java += resident if is_java else 0
        self.resident_bytes = total
        self.peak_bytes = max(self.peak_bytes, total)
        self.java_bytes = max(self.java_bytes, java)


def run_measured(
    command: Sequence[str], environment: Mapping[str, str], timeout: float | None = None
) -> Measured:
    """Run a command to its end. CPU seconds are the larger of what was sampled and of what the
    system counts, which leaves out processes that nobody waits for (Spark's JVM).

    Raises LakeError with the end of its output where it fails or takes longer than `timeout`.
    """
    with tempfile.TemporaryFile() as output:
        started, cpu_before = time.monotonic(), _cpu_of_children()
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
        )
        tree = ProcessTree(process.pid)
        try:
            while process.poll() is None:
                tree.sample()
                if timeout is not None and time.monotonic() - started > timeout:
                    raise LakeError(f"{' '.join(command)}: not ready after {timeout:.0f} s")
                time.sleep(SECONDS_BETWEEN_SAMPLES)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        seconds = time.monotonic() - started
        if process.returncode != 0:
            output.seek(0)
            end = "\n".join(output.read().decode(errors="replace").splitlines()[-OUTPUT_LINES:])
            raise LakeError(f"{' '.join(command)} ended with {process.returncode}:\n{end}")
    cpu_seconds = max(tree.cpu_seconds, _cpu_of_children() - cpu_before)
    return Measured(seconds, cpu_seconds, tree.peak_bytes, tree.java_bytes)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
