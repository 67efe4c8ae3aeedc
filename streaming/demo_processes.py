"""Our own commands as child processes of a demo, and what they tell about themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from lake.errors import LakeError

LOG_TAIL_LINES = 15
SCRAPE_SECONDS = 2.0
KILL_SECONDS = 10.0


class Child:
    """`lmslake NAME …` as a process; Ctrl-C in the terminal does not reach it."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("lmslake")), name, *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises LakeError with the end of its log where it has ended."""
        if not self.is_running:
            raise self._failure()

    def end(self, seconds: float) -> None:
        """Ask it to end and wait. Raises LakeError where it fails, or does not end in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LakeError(
                f"lmslake {self.name} did not end within {seconds:.0f} s.\n  Its log: {self.log}"
            ) from None
        if code:
            raise self._failure()

    def kill(self) -> None:
        """End it whatever it does; nothing where it has ended."""
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _failure(self) -> LakeError:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        tail = "\n".join(f"  | {line}" for line in lines) or "  (it is empty)"
        code = self._process.returncode
        return LakeError(
            f"lmslake {self.name} ended with exit code {code}. The end of its log:\n{tail}\n"
            f"  All of it: {self.log}"
        )


class Metrics:
    """Samples of one answer of /metrics."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum over all samples of the name that have the labels; None without any."""
        found = [
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None


def scraped(port: int) -> Metrics:
    """The metrics that a process of this machine tells on the port; none where nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_SECONDS) as answer:
            return Metrics(answer.read().decode())
    except (URLError, OSError):
        return Metrics("")


class AcknowledgedFile:
    """What `lmslake produce --acknowledged` has written so far, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self.count = 0
        # (topic, partition) → the highest offset.
        self.highest: dict[tuple[str, int], int] = {}

    def read(self) -> int:
        """Read the lines that are new; gives the number of all."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._position)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.decode().splitlines():
            topic, partition, offset, _ = line.split("\t")
            key = topic, int(partition)
            self.highest[key] = max(self.highest.get(key, -1), int(offset))
            self.count += 1
        return self.count
