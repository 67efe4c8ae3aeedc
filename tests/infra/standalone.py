"""A standalone Spark master with one worker, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import pyspark

from tests.services import free_port

SPARK_HOME = Path(pyspark.__file__).parent
START_SECONDS = 300.0


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[str]:
    """The URL of a master whose one worker has two cores and 2 GB; logs go to `folder`."""
    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    address = ["--host", "127.0.0.1", "--webui-port", "0"]
    with ExitStack() as stack:
        master = ["org.apache.spark.deploy.master.Master", *address, "--port", str(port)]
        stack.enter_context(_daemon(master, folder / "master.log", "I have been elected leader"))
        worker = ["org.apache.spark.deploy.worker.Worker", *address, "--cores", "2",
                  "--memory", "2g", "--work-dir", str(folder / "work"), url]  # fmt: skip
        stack.enter_context(_daemon(worker, folder / "worker.log", "Successfully registered"))
        yield url


def spark_submit(
    arguments: Sequence[str], environment: dict[str, str] | None = None, timeout: float = 1_200
) -> subprocess.CompletedProcess[str]:
    """Run spark-submit in a process of its own, as in a shell with the venv activated."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Set by a session of this process; a user's shell has none of them.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK_", "SPARK_"))}
    return subprocess.run(
        ["spark-submit", *arguments],
        env={**inherited, **(environment or {}), "PATH": path},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@contextmanager
def _daemon(command: Sequence[str], log: Path, ready: str) -> Iterator[None]:
    environment = {
        **os.environ,
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(SPARK_HOME / "bin" / "spark-class"), *command],
            stdout=output, stderr=output, env=environment,
        )  # fmt: skip
    try:
        deadline = monotonic() + START_SECONDS
        while ready not in log.read_text():
            if process.poll() is not None or monotonic() > deadline:
                raise AssertionError(f"{command[0]} did not start:\n{log.read_text()}")
            sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
