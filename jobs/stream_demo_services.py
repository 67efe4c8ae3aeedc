"""What `lmslake stream-demo` runs on: its folder, keys, broker, store and environment."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from infra.services.install import missing_services
from infra.services.run import free_port, running_kafka, running_minio
from jobs.demo import demo_settings
from lake.errors import LakeError
from lake.settings import Settings

DRIVER_MEMORY = "2g"
LAKE_IN_BUCKET = "demo"


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """The demo's folder, absolute."""

    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def environment_file(self) -> Path:
        return self.folder / "demo.env"

    @property
    def acknowledged(self) -> Path:
        """Records that Kafka acknowledged in this run."""
        return self.folder / "acknowledged.tsv"


def prepared_folder(folder: Path) -> DemoFolder:
    demo = DemoFolder(folder.absolute())
    try:
        for name in ("logs", "kafka", "minio"):
            (demo.folder / name).mkdir(parents=True, exist_ok=True)
        (demo.folder / ".gitignore").write_text("*\n")
        demo.acknowledged.unlink(missing_ok=True)
    except OSError as error:
        raise LakeError(
            f"{folder} cannot be used: {error.strerror}. Choose another --folder."
        ) from None
    return demo


def started_services(
    stack: ExitStack, demo: DemoFolder, kafka: str | None, uri: str | None
) -> Settings:
    """Settings of the demo's lake and broker; what was not given is started. Raises LakeError."""
    wanted = [name for name, given in (("MinIO", uri), ("Kafka", kafka)) if given is None]
    if missing := [name for name in missing_services() if name in wanted]:
        raise LakeError(
            f"{' and '.join(missing)} not installed.\n"
            "  Type: make services   (once), or give --kafka and --lake."
        )
    settings = demo_settings(demo.folder)
    changes: dict[str, object] = {
        "metrics_port": free_port(),
        "metrics_host": "127.0.0.1",
        "stream_metrics_port": free_port(),
        "driver_memory": os.environ.get("LMSLAKE_DRIVER_MEMORY", DRIVER_MEMORY),
    }
    if uri is not None:
        changes["root"] = uri if "://" in uri else str(Path(uri).absolute())
        if (own_key := Settings.from_env().pseudonym_key_file) is not None:
            changes["pseudonym_key_file"] = own_key.absolute()
    else:
        click.echo("Starting MinIO …")
        credentials = _credentials(demo.folder / "minio.key")
        service = running_minio(demo.folder / "minio", credentials, has_own_session=True)
        minio = stack.enter_context(service)
        of_minio = minio.settings(LAKE_IN_BUCKET)
        names = ("root", "s3_endpoint", "s3_access_key", "s3_secret_key", "s3_region")
        changes |= {name: getattr(of_minio, name) for name in names}
    if kafka is not None:
        changes["kafka_bootstrap_servers"] = kafka
    else:
        click.echo("Starting Kafka …")
        broker = stack.enter_context(running_kafka(demo.folder / "kafka", has_own_session=True))
        changes["kafka_bootstrap_servers"] = broker.bootstrap_servers
    return settings.model_copy(update=changes)


def _credentials(path: Path) -> tuple[str, str]:
    """Access key and secret key of the demo's store; made on first use, for their owner only."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        access_key, secret_key = json.loads(path.read_text())
        return access_key, secret_key
    with os.fdopen(descriptor, "w") as file:
        made = secrets.token_hex(8), secrets.token_hex(20)
        json.dump(made, file)
    return made


def _variables(settings: Settings) -> dict[str, str]:
    """The settings that the demo has chosen, as variables of the environment."""
    names = (
        "root", "pseudonym_key_file", "kafka_bootstrap_servers", "metrics_port", "metrics_host",
        "stream_metrics_port", "driver_memory", "s3_endpoint", "s3_access_key", "s3_region",
    )  # fmt: skip
    values = {name: getattr(settings, name) for name in names}
    if settings.s3_secret_key is not None:
        values["s3_secret_key"] = settings.s3_secret_key.get_secret_value()
    return {
        f"LMSLAKE_{name.upper()}": str(value) for name, value in values.items() if value is not None
    }


def process_environment(settings: Settings) -> dict[str, str]:
    """That of the processes: this one's with the settings of the demo."""
    inherited = {name: v for name, v in os.environ.items() if name != "LMSLAKE_PSEUDONYM_KEY"}
    return {**inherited, "GX_ANALYTICS_ENABLED": "false", **_variables(settings)}


def write_environment(demo: DemoFolder, settings: Settings) -> None:
    """A file for `.` of another shell, with the ports of this run."""
    programs = shlex.quote(str(Path(sys.executable).parent))
    lines = [f"export PATH={programs}:$PATH", "unset LMSLAKE_PSEUDONYM_KEY"]
    lines += [f"export {name}={shlex.quote(v)}" for name, v in _variables(settings).items()]
    demo.environment_file.unlink(missing_ok=True)
    descriptor = os.open(demo.environment_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")
