"""docker/compose.yaml: valid, and its variables, settings, commands, waits and ports are real."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from importlib.metadata import distribution
from importlib.util import find_spec
from ipaddress import IPv4Address
from pathlib import Path

import click
import jsonschema_rs
import pytest

from jobs.cli import cli
from lake.settings import Settings
from streaming import archiver, delivery, school
from tests.docker.project import (
    COMPOSE,
    DOCKER,
    VARIABLE,
    compose,
    exec_form,
    filled,
    instructions,
    last,
    services,
)

LAKE_IMAGE = next(s["image"] for name, s in services().items() if name == "bucket")
OF_LAKE = sorted(name for name, s in services().items() if s["image"] == LAKE_IMAGE)
METRICS = {
    "archiver": "metrics_port",
    "stream": "stream_metrics_port",
    "records": "school_metrics_port",
}
# Such as make-env.sh makes them.
SECRETS = {
    "LMSLAKE_S3_ACCESS_KEY": "a" * 16,
    "LMSLAKE_S3_SECRET_KEY": "b" * 40,
    "LMSLAKE_PSEUDONYM_KEY": "c" * 64,
}


def environment(service: str) -> dict[str, str]:
    found: dict[str, str] = services()[service].get("environment", {})
    return {name: filled(str(value), SECRETS) for name, value in found.items()}


def settings_of(service: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment(service).items():
        monkeypatch.setenv(name, value)
    return Settings.from_env()


def parse(words: Sequence[str]) -> None:
    """Read a command line of lmslake without running it. Raises click's usage errors."""
    command: click.Command | None = cli
    rest = list(words)
    while isinstance(command, click.Group) and rest[:1] != ["--help"]:
        command = command.get_command(click.Context(command), rest[0])
        assert command is not None, f"lmslake has no command {rest[0]}: {words}"
        rest = rest[1:]
    assert command is not None
    if rest != ["--help"]:
        command.make_context("lmslake", rest)


def usage_lines() -> list[list[str]]:
    """The words of each `docker compose …` in the file's head, without the part before `run`."""
    head = COMPOSE.read_text().split("\nname:")[0]
    text = re.sub(r"\\\n# *", "", head)
    lines = re.findall(r"^# +docker compose -f docker/compose\.yaml (.*)$", text, re.MULTILINE)
    # What follows after two spaces says what it does.
    return [shlex.split(re.split(r" {2,}", line)[0]) for line in lines]


def test_compose__is_valid_by_the_specification() -> None:
    files = distribution("check-jsonschema").files or []
    [schema] = [file for file in files if file.name == "compose-spec.json"]
    specification = json.loads(Path(str(schema.locate())).read_text())
    validator = jsonschema_rs.validator_for(specification)
    assert [str(error) for error in validator.iter_errors(compose())] == []
    misspelled = {**compose(), "services": {"lake": {"imagine": "lmslake"}}}
    assert not validator.is_valid(misspelled), "the schema must refuse unknown keys"


def test_make_env__writes_all_variables_once(tmp_path: Path) -> None:
    script = shutil.copy(DOCKER / "make-env.sh", tmp_path)
    written = []
    for _ in range(2):
        subprocess.run(["sh", script], check=True, capture_output=True)
        written.append((tmp_path / ".env").read_text())
    assert written[0] == written[1], "the volumes belong to the first keys"
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in written[0].splitlines())
    assert {name: len(value) for name, value in values.items()} == {
        name: len(value) for name, value in SECRETS.items()
    }
    text = COMPOSE.read_text()
    assert set(VARIABLE.findall(text)) == set(values)
    assert re.findall(r"(?<!\$)\$(?!\$)(?!\{[A-Z0-9_]+:\?)", text) == [], "each must be required"


@pytest.mark.parametrize("service", OF_LAKE)
def test_environment__is_of_real_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"LMSLAKE_{name.upper()}" for name in Settings.model_fields}
    assert set(environment(service)) <= known
    settings = settings_of(service, monkeypatch)
    if service == "demo":
        assert services()[service]["volumes"] == [f"demo:{settings.root}"]
        return
    assert settings.key()
    bucket = environment("bucket")
    assert environment(service).items() >= bucket.items(), "all must be of one lake"
    assert settings.is_s3
    assert "store" in services()
    assert settings.s3_endpoint == "http://store:9000"


def test_store__has_the_credentials_of_the_lake() -> None:
    store, lake = environment("store"), environment("bucket")
    assert store["MINIO_ROOT_USER"] == lake["LMSLAKE_S3_ACCESS_KEY"]
    assert store["MINIO_ROOT_PASSWORD"] == lake["LMSLAKE_S3_SECRET_KEY"]


@pytest.mark.parametrize("service", OF_LAKE)
def test_command__exists_with_its_options(service: str) -> None:
    own = services()[service]
    if entrypoint := own.get("entrypoint"):
        assert entrypoint[:2] == ["python", "-m"]
        assert find_spec(entrypoint[2]) is not None
    else:
        image = DOCKER / "Dockerfile"
        assert exec_form(last(image, "ENTRYPOINT")) == ["lmslake"]
        parse(own.get("command") or exec_form(last(image, "CMD")))


def test_usage__names_real_services_and_commands() -> None:
    lines = usage_lines()
    assert [line[0] for line in lines].count("run") >= 5
    assert {line[0] for line in lines} == {"build", "up", "run", "down"}
    for line in (line for line in lines if line[0] == "run"):
        options = ["--rm"] + (["--entrypoint", "sh"] if "--entrypoint" in line else [])
        assert line[1 : len(options) + 1] == options
        service, *words = line[len(options) + 1 :]
        assert service in OF_LAKE
        if "--entrypoint" in line:
            assert words[0] == "-c"
            words = [word.replace("files/*", str(COMPOSE)) for word in shlex.split(words[1])]
            for part in " ".join(words).split(" && "):
                program, *arguments = part.split()
                assert program == "lmslake"
                parse(arguments)
        elif words:
            parse(words)


def test_depends_on__waits_for_what_can_come() -> None:
    for name, service in services().items():
        for other, wait in service.get("depends_on", {}).items():
            awaited = services()[other]
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in awaited, f"{name} would wait for {other} without end"
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert "restart" not in awaited, f"{other} would never be over"
            assert awaited.get("profiles") is None


def test_images__are_built_by_one_service_each_and_never_pulled() -> None:
    """Two builds in one `docker compose build` would write the same name at the same time."""
    built = [service["image"] for service in services().values() if "build" in service]
    assert len(built) == len(set(built))
    for service in services().values():
        is_own = service["image"] in built
        assert service.get("pull_policy") == ("never" if is_own else None)
        if "build" in service:
            file = (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).resolve()
            assert file.parent == DOCKER
            assert file.is_file()
    for name in OF_LAKE:
        assert services()[name]["init"] is True


def test_volumes__are_declared() -> None:
    used = {v.split(":")[0] for s in services().values() for v in s.get("volumes", [])}
    assert used == set(compose()["volumes"])


def test_ports__are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings()
    for service, field in METRICS.items():
        port = getattr(defaults, field)
        assert services()[service]["ports"] == [f"127.0.0.1:{port}:{port}"]
        own = settings_of(service, monkeypatch)
        assert IPv4Address(own.metrics_host).is_unspecified, "the host reaches no loopback"
    published = [port for s in services().values() for port in s.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len(published) == len(set(published))
    host, _, port = defaults.kafka_bootstrap_servers.partition(":")
    assert host == "localhost"
    assert services()["kafka"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_stop_grace_period__is_enough() -> None:
    def seconds(service: str) -> int:
        return int(services()[service]["stop_grace_period"].removesuffix("s"))

    assert seconds("archiver") > archiver.STOP_SECONDS + archiver.CLOSE_MS / 1_000
    assert seconds("produce") > delivery.STOP_SECONDS
    # A build, which has no limit; a kill loses nothing (tests/pipelines/test_kill.py).
    assert seconds("stream") == seconds("records") > school.CLOSE_MS / 1_000


def test_healthcheck__calls_what_the_image_has() -> None:
    """Of Kafka's image nothing can be checked here but that it asks its own listener."""
    test = services()["store"]["healthcheck"]["test"]
    assert test[:2] == ["CMD", "curl"]
    installed = [rest for word, rest in instructions(DOCKER / "Dockerfile.minio") if word == "RUN"]
    assert re.search(r"apt-get install .*\bcurl\b", installed[-1])
    started = exec_form(last(DOCKER / "Dockerfile.minio", "CMD"))
    [port] = re.findall(r"http://127\.0\.0\.1(:\d+)/minio/health/ready", " ".join(test))
    assert started[started.index("--address") + 1] == port
    assert services()["store"]["volumes"] == [f"store:{started[-1]}"]
    [_, script] = services()["kafka"]["healthcheck"]["test"]
    assert environment("archiver")["LMSLAKE_KAFKA_BOOTSTRAP_SERVERS"] in script
