"""The steps of a demo: what each does while it runs, did at its end, and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.status import Status


class Steps:
    """Names each step while it runs and says afterwards what it did and how long it took."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = Step(name)
        if not sys.stdout.isatty():
            yield step
        else:
            from rich.console import Console

            with Console().status(f"{name} …") as status:
                step.status = status
                yield step
        click.echo(f"  {name:<8} {step.seconds:6.1f} s  {step.text}")


class Step:
    """One step: `progress` while it runs, `done` at its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.status: Status | None = None
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def progress(self, text: str) -> None:
        if self.status is not None:
            self.status.update(f"{self.name}: {text}")
        else:
            click.echo(f"  {self.name:<8} {self.seconds:6.1f} s  … {text}")

    def done(self, text: str) -> None:
        self.text = text
