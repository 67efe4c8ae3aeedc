"""Settings of a lake, read from the environment (`LMSLAKE_…`) by main() functions only."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lake.errors import LakeError

BUNDLED_GEOIP = Path(__file__).parent / "data" / "geo-country.mmdb"
MIN_KEY_BYTES = 16
# Topics of the raw zone that are kinds of files.
FILE_TOPICS = frozenset({"native", "xapi"})
KAFKA_TOPIC = re.compile(r"(?P<name>[a-zA-Z0-9._-]{1,249})(#(?P<generation>[1-9][0-9]{0,5}))?")


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/lmslake`, as other programs of this machine do it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmslake"


def known_address(address: str) -> str:
    """A folder as it is, a bucket as s3a://bucket/prefix. Raises ValueError for anything else."""
    scheme, separator, _ = address.partition("://")
    if separator and scheme not in ("s3a", "s3"):
        raise ValueError("must be a local folder or s3a://bucket/prefix")
    return address.replace("s3://", "s3a://", 1).rstrip("/") if separator else address


class Settings(BaseSettings):
    """One lake: where it lies, how it pseudonymises and how Spark runs.

    Every field is set by the environment variable `LMSLAKE_` + its name in capitals.
    """

    model_config = SettingsConfigDict(
        env_prefix="LMSLAKE_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    root: str = Field(
        "lake-data", description="The lake's root: a local folder or s3a://bucket/prefix."
    )
    tenant: str = Field("default", min_length=1, description="Part of every pseudonym.")
    pseudonym_key: SecretStr | None = Field(
        None, description="Secret key of the pseudonyms, at least 16 bytes. No default."
    )
    pseudonym_key_file: Path | None = Field(
        None, description="File that holds the key, instead of pseudonym_key."
    )
    pseudonym_key_version: int = Field(
        1, ge=1, description="Version of the key; a lake refuses to mix versions."
    )
    session_gap_minutes: int = Field(
        30, ge=1, le=1_439, description="Silence longer than this opens a new session."
    )
    max_event_age_days: int = Field(
        30, ge=1, description="Streamed events older than this are quarantined as too_old."
    )
    max_clock_skew_minutes: int = Field(
        10, ge=0, description="Events further ahead of the record time are in_future."
    )
    geoip_database: Path = Field(
        BUNDLED_GEOIP, description="MaxMind-format country database (.mmdb)."
    )
    flush_records: int = Field(200_000, ge=1, description="Records per flush of file ingestion.")
    max_record_bytes: int = Field(
        1_000_000, ge=1_024, description="Larger records are quarantined as too_large."
    )
    landing: str | None = Field(
        None,
        description="Where files of school records arrive: a local folder or s3a://bucket/prefix; "
        "unset means `landing` below the root.",
    )
    landing_settle_seconds: float = Field(
        2.0, ge=0, description="A local file that did not change for so long is complete."
    )
    landing_poll_seconds: float = Field(
        10.0, gt=0, description="Between two looks of `land --watch` where nothing wakes it."
    )
    landing_max_file_bytes: int = Field(
        4 << 30, ge=1, description="Larger files of records, decompressed, are refused."
    )
    s3_endpoint: str | None = Field(
        None, description="URL of an S3-compatible store; unset means AWS."
    )
    s3_access_key: str | None = Field(None, description="Access key of the store.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret key of the store.")
    s3_region: str = Field("us-east-1", description="Region of the store.")
    kafka_bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Kafka brokers, HOST:PORT separated by commas."
    )
    kafka_topics: str = Field(
        "clickstream,video,quiz,assignment",
        description="Topics to archive, separated by commas. A topic that was deleted and made "
        "again gets a generation: clickstream#2.",
    )
    kafka_group_id: str = Field(
        "lmslake-archiver", min_length=1, description="Consumer group of the archiver."
    )
    kafka_session_timeout_seconds: int = Field(
        45, ge=6, le=1_800, description="Silence after which the group gives up an archiver."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; needed with SASL_…."
    )
    kafka_sasl_username: str | None = Field(None, description="User of SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Password of SASL.")
    kafka_ssl_ca_file: Path | None = Field(
        None, description="Certificates (PEM) to trust; unset means the system's."
    )
    kafka_ssl_cert_file: Path | None = Field(None, description="Own certificate (PEM).")
    kafka_ssl_key_file: Path | None = Field(None, description="Key of the own certificate (PEM).")
    kafka_ssl_key_password: SecretStr | None = Field(None, description="Password of that key.")
    kafka_ssl_check_hostname: bool = Field(
        True, description="Whether a broker's certificate must name its host."
    )
    archive_flush_bytes: int = Field(
        8 << 20, ge=1, description="The archiver flushes when it holds so many bytes of records …"
    )
    archive_flush_records: int = Field(50_000, ge=1, description="… or so many records …")
    archive_flush_seconds: float = Field(
        10.0, gt=0, description="… or when the oldest of them was taken so long ago."
    )
    metrics_port: int = Field(
        9108, ge=0, le=65_535, description="Port of /metrics, /healthz and /readyz; 0 means none."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that it listens on; 0.0.0.0 for others to reach it."
    )
    stream_metrics_port: int = Field(
        9109, ge=0, le=65_535, description="The same of the continuous query; 0 means none."
    )
    lock_wait_minutes: float = Field(
        30.0, ge=0, description="How long a build waits for another process that builds."
    )
    spark_master: str = Field("local[*]", description="Spark master when not set by spark-submit.")
    driver_memory: str = Field("4g", description="Heap of the Spark driver.")
    cache_dir: Path = Field(
        default_factory=default_cache_dir, description="Where JARs and services are cached."
    )

    @field_validator("root", "landing")
    @classmethod
    def _known_scheme(cls, address: str | None) -> str | None:
        return None if address is None else known_address(address)

    @field_validator("geoip_database")
    @classmethod
    def _database_exists(cls, path: Path) -> Path:
        if path != BUNDLED_GEOIP and not path.is_file():
            raise ValueError(f"no such file: {path}")
        return path

    @field_validator("kafka_topics")
    @classmethod
    def _topic_names(cls, topics: str) -> str:
        names = [topic.strip() for topic in topics.split(",") if topic.strip()]
        if not names:
            raise ValueError("names no topic")
        found = [(name, KAFKA_TOPIC.fullmatch(name)) for name in names]
        if wrong := [name for name, match in found if match is None]:
            raise ValueError(f"not a topic of Kafka: {', '.join(wrong)}")
        bare = [match["name"] for _, match in found if match is not None]
        if len(set(bare)) < len(bare):
            raise ValueError("names a topic twice")
        if taken := FILE_TOPICS.intersection(bare):
            raise ValueError(f"{', '.join(sorted(taken))}: the name of a kind of files")
        return ",".join(names)

    @field_validator("kafka_ssl_ca_file", "kafka_ssl_cert_file", "kafka_ssl_key_file")
    @classmethod
    def _file_exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"no such file: {path}")
        return path

    @model_validator(mode="after")
    def _whole_sasl(self) -> Settings:
        if self.kafka_security_protocol.startswith("SASL_"):
            parts = ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
            if missing := [part.upper() for part in parts if getattr(self, part) is None]:
                raise ValueError(
                    f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs "
                    f"LMSLAKE_{', LMSLAKE_'.join(missing)}"
                )
        elif self.kafka_sasl_mechanism is not None:
            raise ValueError("KAFKA_SASL_MECHANISM needs KAFKA_SECURITY_PROTOCOL=SASL_SSL")
        if (self.kafka_ssl_cert_file is None) != (self.kafka_ssl_key_file is None):
            raise ValueError("set KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE, or neither")
        return self

    @model_validator(mode="after")
    def _one_key(self) -> Settings:
        if self.pseudonym_key is not None and self.pseudonym_key_file is not None:
            raise ValueError("set pseudonym_key or pseudonym_key_file, not both")
        return self

    @classmethod
    def from_env(cls) -> Settings:
        """Settings of this process. Raises LakeError that names each wrong variable, no value."""
        try:
            return cls()
        except ValidationError as error:
            lines = [
                f"  LMSLAKE_{'_'.join(map(str, e['loc'])).upper() or '…'}: "
                f"{e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_input=False, include_context=False)
            ]
            raise LakeError("Settings are not valid:\n" + "\n".join(lines)) from None

    @property
    def is_s3(self) -> bool:
        return self.root.startswith("s3a://")

    @property
    def landing_zone(self) -> str:
        """Where files of school records arrive."""
        return self.landing or f"{self.root}/landing"

    @property
    def session_gap(self) -> timedelta:
        return timedelta(minutes=self.session_gap_minutes)

    @property
    def lock_wait(self) -> timedelta:
        return timedelta(minutes=self.lock_wait_minutes)

    @property
    def max_clock_skew(self) -> timedelta:
        return timedelta(minutes=self.max_clock_skew_minutes)

    @property
    def max_event_age(self) -> timedelta:
        return timedelta(days=self.max_event_age_days)

    @property
    def topics(self) -> dict[str, int]:
        """Topics to archive, each with its generation."""
        matches = (KAFKA_TOPIC.fullmatch(topic) for topic in self.kafka_topics.split(","))
        return {m["name"]: int(m["generation"] or 1) for m in matches if m is not None}

    def key(self) -> bytes:
        """The pseudonym key. Raises LakeError where none is set or it is too short."""
        if self.pseudonym_key_file is not None:
            try:
                key = self.pseudonym_key_file.read_bytes().strip()
            except OSError as error:
                raise LakeError(
                    f"LMSLAKE_PSEUDONYM_KEY_FILE cannot be read: {error.strerror}"
                ) from None
        elif self.pseudonym_key is not None:
            key = self.pseudonym_key.get_secret_value().encode()
        else:
            raise LakeError(
                "No pseudonym key is set, and there is no default one.\n"
                "  export LMSLAKE_PSEUDONYM_KEY_FILE=lake.key   "
                "(make one: openssl rand -hex 32 > lake.key)"
            )
        if len(key) < MIN_KEY_BYTES:
            raise LakeError(f"The pseudonym key has {len(key)} bytes; it needs {MIN_KEY_BYTES}.")
        return key
