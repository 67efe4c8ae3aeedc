"""What a running archiver or stream says of itself over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen


@dataclass(frozen=True, slots=True)
class Pages:
    """/metrics, /healthz and /readyz of the process that listens on a port of this machine."""

    port: int
    seconds: float = 60.0

    def page(self, name: str) -> str:
        """The text of a page; the status where it is not 200; "" where nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=self.seconds) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            return str(error.code)
        except (OSError, HTTPException):
            return ""

    def metric(self, name: str) -> float:
        """The sum of a metric's samples, over all labels; 0 where there are none."""
        samples = (line.rpartition(" ") for line in self.page("metrics").splitlines())
        return sum(float(value) for key, _, value in samples if key.partition("{")[0] == name)

    @property
    def is_ready(self) -> bool:
        return self.page("readyz") == "ok\n"
