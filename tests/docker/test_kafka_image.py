"""The broker's variables, read by the class that reads them in Kafka's own image."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from infra.services.install import KAFKA_LOCK, kafka_jars
from lake.jars import read_lock
from lake.java import java
from tests.docker.project import services
from tests.services import require_services

# It only has to have what the wrapper adds to.
LOG_CONFIGURATION = """\
Configuration:
  Loggers:
    Root:
      level: INFO
      AppenderRef: [{ref: STDOUT}]
    Logger: [{name: org.apache.kafka, level: INFO}]
"""


def _kafka(*arguments: str, environment: dict[str, str] | None = None) -> str:
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{kafka_jars()}/*"]
    done = subprocess.run(
        [str(java()), *options, *arguments],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _configure(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    """The properties that the image makes of its variables; formats the log folder by them."""
    folders = {name: folder / name for name in ("default", "mounted", "final", "logs")}
    for path in folders.values():
        path.mkdir()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folders["default"] / name).write_text(LOG_CONFIGURATION)
    (folders["default"] / "server.properties").touch()
    places = [f"--{name}-configs-dir={folders[name]}" for name in ("default", "mounted", "final")]
    _kafka(
        "kafka.docker.KafkaDockerWrapper",
        "setup",
        *places,
        environment={
            **variables,
            "KAFKA_LOG_DIRS": str(folders["logs"]),
            "CLUSTER_ID": "AAAAAAAAAAAAAAAAAAAAAA",
        },
    )
    assert (folders["logs"] / "meta.properties").exists(), "the folder is not formatted"
    lines = (folders["final"] / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line.strip())


def test_kafka__is_the_release_of_the_tests() -> None:
    [broker] = [jar for jar in read_lock(KAFKA_LOCK) if jar.name.startswith("kafka_2")]
    assert services()["kafka"]["image"] == f"apache/kafka:{broker.version}"


def test_kafka__takes_its_variables(tmp_path: Path) -> None:
    """Kafka's own wrapper renders and checks them, and each is the name of a property."""
    require_services()
    variables = {k: str(v) for k, v in services()["kafka"]["environment"].items()}
    properties = _configure(tmp_path, variables)
    assert len(properties) == len(variables)
    known = re.findall(r'id="([a-z.0-9]+)"', _kafka("kafka.server.KafkaConfig"))
    assert len(known) > 300
    assert set(properties) <= set(known)
    assert properties["process.roles"] == "broker,controller"
    listeners = dict(re.findall(r"([A-Z]+)://[^:]*:(\d+)", properties["listeners"]))
    advertised = re.findall(r"([A-Z]+)://([^:]+):(\d+)", properties["advertised.listeners"])
    assert {name: port for name, _, port in advertised} == {
        name: port for name, port in listeners.items() if name != "CONTROLLER"
    }
    assert properties["controller.quorum.voters"] == f"1@kafka:{listeners['CONTROLLER']}"
    reached = {f"{host}:{port}" for _, host, port in advertised}
    inside = services()["archiver"]["environment"]["LMSLAKE_KAFKA_BOOTSTRAP_SERVERS"]
    assert reached == {inside, f"127.0.0.1:{listeners['HOST']}"}
    assert services()["kafka"]["volumes"] == [f"kafka:{variables['KAFKA_LOG_DIRS']}"]
