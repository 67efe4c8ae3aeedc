"""MinIO and Kafka as processes of their own, below a folder, on this machine only."""

from __future__ import annotations

import secrets
import socket
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

from infra.services.install import KAFKA_LOCK, kafka_jars, minio_program
from lake.errors import LakeError
from lake.java import java
from lake.settings import Settings

START_SECONDS = 90.0
STOP_SECONDS = 20.0
LOG_TAIL = 4_000
REGION = "us-east-1"


@dataclass(frozen=True)
class Minio:
    """A running store with one bucket. `settings("prefix")` is a lake in it."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = "lake"

    def client(self) -> Any:
        """A boto3 client of the store."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
        )

    def settings(self, prefix: str | None = None, **more: Any) -> Settings:
        """Settings of a lake at s3a://bucket/prefix; a new, empty prefix unless one is given."""
        return Settings(
            root=f"s3a://{self.bucket}/{prefix or uuid4().hex}",
            s3_endpoint=self.endpoint,
            s3_access_key=self.access_key,
            s3_secret_key=self.secret_key,
            s3_region=REGION,
            **more,
        )

    def environment(self) -> dict[str, str]:
        """The same as LMSLAKE_… variables, for a process of its own."""
        return {
            "LMSLAKE_S3_ENDPOINT": self.endpoint,
            "LMSLAKE_S3_ACCESS_KEY": self.access_key,
            "LMSLAKE_S3_SECRET_KEY": self.secret_key,
            "LMSLAKE_S3_REGION": REGION,
        }


@dataclass(frozen=True)
class Kafka:
    """A running broker; topics must be created."""

    bootstrap_servers: str

    def create_topic(self, partitions: int = 4, name: str | None = None, **config: str) -> str:
        """Create a topic, by default one with a new name, and return the name."""
        from kafka.admin import KafkaAdminClient, NewTopic

        topic = name or f"test-{uuid4().hex[:12]}"
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        try:
            admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
        finally:
            admin.close()
        return topic


@dataclass(frozen=True)
class SecureKafka(Kafka):
    """A broker that asks for TLS and SASL at `secure_servers`.

    `bootstrap_servers` is its other listener, without either, where it talks to itself.
    """

    secure_servers: str
    ca_file: Path
    username: str
    password: str = field(repr=False)

    def environment(self, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """The secure listener as LMSLAKE_… variables, for a process of its own."""
        return {
            "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": self.secure_servers,
            "LMSLAKE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "LMSLAKE_KAFKA_SASL_MECHANISM": mechanism,
            "LMSLAKE_KAFKA_SASL_USERNAME": self.username,
            "LMSLAKE_KAFKA_SASL_PASSWORD": self.password,
            "LMSLAKE_KAFKA_SSL_CA_FILE": str(self.ca_file),
        }

    def add_user(self) -> None:
        """Give the user its SCRAM credential: unlike PLAIN's it lives in the cluster."""
        from kafka.admin import KafkaAdminClient, UserScramCredentialUpsertion

        credential = UserScramCredentialUpsertion(self.username, "SCRAM-SHA-512", self.password)
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        try:
            admin.alter_user_scram_credentials([credential])
        finally:
            admin.close()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_minio(
    folder: Path, credentials: tuple[str, str] | None = None, *, has_own_session: bool = False
) -> Iterator[Minio]:
    """MinIO with its data below `folder`; has the bucket `lake`.

    credentials: (access key, secret key), random ones without. has_own_session: Ctrl-C in the
    terminal does not reach it. Raises LakeError where it does not start.
    """
    port = free_port()
    access_key, secret_key = credentials or (secrets.token_hex(8), secrets.token_hex(20))
    minio = Minio(f"http://127.0.0.1:{port}", access_key, secret_key)
    environment = {
        "HOME": str(folder),
        "MINIO_ROOT_USER": minio.access_key,
        "MINIO_ROOT_PASSWORD": minio.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(minio_program()), "server", "--quiet", "--address", f"127.0.0.1:{port}",
               str(folder / "data")]  # fmt: skip
    log = folder / "minio.log"
    with _process(command, log, environment, has_own_session) as process:
        _wait(process, log, lambda: _answers(f"{minio.endpoint}/minio/health/ready"))
        _make_bucket(minio)
        yield minio


@contextmanager
def running_kafka(
    folder: Path, port: int | None = None, *, has_own_session: bool = False
) -> Iterator[Kafka]:
    """One broker in KRaft mode, its data below `folder`; what is there already is kept.

    port: a free one without. has_own_session: as for MinIO. Raises LakeError where it does not
    start.
    """
    port = port or free_port()
    with _broker(folder, port, has_own_session=has_own_session):
        yield Kafka(f"127.0.0.1:{port}")


@contextmanager
def running_secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """The same with a second listener: TLS, SASL by PLAIN and SCRAM-SHA-512, one random password.

    Raises LakeError where it does not start.
    """
    port, secure_port = free_port(), free_port()
    username, password = "lmslake", secrets.token_hex(20)
    ca_file = _make_certificate(folder)
    secure_servers = f"127.0.0.1:{secure_port}"
    secure = {
        "secure_port": secure_port,
        "keystore": folder / "keystore.p12",
        "keystore_password": (folder / "keystore.password").read_text(),
        "username": username,
        "password": password,
    }
    with _broker(folder, port, secure):
        kafka = SecureKafka(f"127.0.0.1:{port}", secure_servers, ca_file, username, password)
        kafka.add_user()
        yield kafka


@contextmanager
def _broker(
    folder: Path,
    port: int,
    secure: Mapping[str, object] | None = None,
    has_own_session: bool = False,
) -> Iterator[None]:
    """A broker that listens at `port`; with what secure.properties needs, at a second one too."""
    templates = ["server.properties"] + ["secure.properties"] * (secure is not None)
    template = "\n".join((KAFKA_LOCK.parent / name).read_text() for name in templates)
    ports = {"port": port, "controller_port": free_port()}
    properties = folder / "server.properties"
    _write_secret(
        properties, template.format_map({**ports, "data": folder / "data", **(secure or {})})
    )
    command = [str(java()), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
               f"-Dlog4j2.configurationFile={KAFKA_LOCK.parent / 'log4j2.properties'}",
               "-cp", f"{kafka_jars()}/*"]  # fmt: skip
    if not (folder / "data" / "meta.properties").exists():
        storage = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)]
        subprocess.run([*command, *storage], check=True, capture_output=True)
    log = folder / "kafka.log"
    with _process([*command, "kafka.Kafka", str(properties)], log, None, has_own_session) as broker:
        _wait(broker, log, lambda: _serves(f"127.0.0.1:{port}"))
        yield


def _make_certificate(folder: Path) -> Path:
    """A key of 127.0.0.1 in folder/keystore.p12, and the PEM file of its own signature."""
    password, keystore = folder / "keystore.password", folder / "keystore.p12"
    _write_secret(password, secrets.token_hex(20))
    keytool = [str(java().with_name("keytool")), "-keystore", str(keystore), "-alias", "broker",
               "-storepass:file", str(password)]  # fmt: skip
    make = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=lmslake test broker",
            "-ext", "san=ip:127.0.0.1,dns:localhost"]  # fmt: skip
    subprocess.run([*keytool, *make], check=True, capture_output=True)
    keystore.chmod(0o600)
    ca_file = folder / "ca.pem"
    shown = subprocess.run([*keytool, "-exportcert", "-rfc"], check=True, capture_output=True)
    ca_file.write_bytes(shown.stdout)
    return ca_file


def _write_secret(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _make_bucket(minio: Minio) -> None:
    client = minio.client()
    if minio.bucket not in (bucket["Name"] for bucket in client.list_buckets()["Buckets"]):
        client.create_bucket(Bucket=minio.bucket)


def _cluster_id() -> str:
    return urlsafe_b64encode(uuid4().bytes).decode().rstrip("=").replace("-", "a")


def _serves(address: str) -> bool:
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    host, port = address.split(":")
    try:
        # kafka-python waits long for a broker that does not listen yet
        socket.create_connection((host, int(port)), 1).close()
        consumer = KafkaConsumer(bootstrap_servers=address, request_timeout_ms=12_000)
        consumer.topics()
        consumer.close()
    except (OSError, KafkaError):
        return False
    return True


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def _process(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None, has_own_session: bool
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=has_own_session,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    deadline = monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or monotonic() > deadline:
            tail = log.read_text(errors="replace")[-LOG_TAIL:]
            raise LakeError(f"{process.args!r} did not start:\n{tail}")
        sleep(0.2)
