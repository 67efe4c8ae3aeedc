"""Settings of Kafka, of the archiver and of what both long-running processes tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

# Topics of the raw zone that are kinds of files.
FILE_TOPICS = frozenset({"native", "xapi"})
KAFKA_TOPIC = re.compile(r"(?P<name>[a-zA-Z0-9._-]{1,249})(#(?P<generation>[1-9][0-9]{0,5}))?")


class KafkaSettings(BaseSettings):
    """Fields of `lake.settings.Settings`."""

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
    school_topics_prefix: str = Field(
        "school.",
        pattern=r"^[a-zA-Z0-9._-]{0,200}$",
        description="Topics of school records are called this and the source: school.students.",
    )
    school_metrics_port: int = Field(
        9110, ge=0, le=65_535, description="The same of `records stream`; 0 means none."
    )

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
    def _whole_sasl(self) -> Self:
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

    @property
    def topics(self) -> dict[str, int]:
        """Topics to archive, each with its generation."""
        matches = (KAFKA_TOPIC.fullmatch(topic) for topic in self.kafka_topics.split(","))
        return {m["name"]: int(m["generation"] or 1) for m in matches if m is not None}
