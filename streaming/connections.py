"""Connections to Kafka that tell why they cannot be set up."""

from __future__ import annotations

import ssl
from typing import Any

from kafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    KafkaTimeoutError,
    RetriableError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

SASL_ERRORS = (
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)


class UntrustedCertificateError(KafkaError):
    """A broker's certificate is not one that the settings trust, or not of its host."""


class _Connections(KafkaConnectionManager):
    """Those of a client that tells why it cannot be set up.

    kafka-python 3.0.12 tries on until its time is up, with a wrong password too, and then tells
    only that. There is no public way to the cause; kafka-python is held to ~=3.0.
    """

    _cause: BaseException | None = None
    _is_starting = False

    def bootstrap(self, *arguments: Any, **more: Any) -> None:
        self._is_starting = True
        try:
            super().bootstrap(*arguments, **more)
        except KafkaTimeoutError as error:
            raise (self._cause or error) from None
        finally:
            self._is_starting = False

    async def _build_transport(self, *arguments: Any, **more: Any) -> Any:
        transport = await super()._build_transport(*arguments, **more)
        receive = transport._sock_recv

        def answer_before_end() -> tuple[bytes, KafkaError | None]:
            data, error = receive()
            # Where both are there at once, kafka-python drops the answer, which tells why the
            # broker ends the connection. The end is met again by the next read.
            return data, None if data else error

        transport._sock_recv = answer_before_end
        return transport

    async def _connect(self, node: Any, conn: Any, *arguments: Any, **more: Any) -> None:
        conn.init_future.add_errback(self._note)
        # A broker that wants SASL ends the connection at the first question without it.
        conn.close_future.add_errback(self._note)
        await super()._connect(node, conn, *arguments, **more)
        if self._is_starting and isinstance(self._cause, SASL_ERRORS):
            # The next attempt raises it: a password that is wrong is not sent again and again.
            self._auth_failures[node.node_id] = self._cause

    def _note(self, error: BaseException) -> None:
        if not self._is_starting:
            return
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            error = UntrustedCertificateError(error.__context__.verify_message)
        # A bare SSLError: a file of certificates or a key that cannot be read.
        if isinstance(error, KafkaError | ssl.SSLError) and (
            # What waiting does not change tells more than another broker's silence.
            self._cause is None or isinstance(self._cause, RetriableError)
        ):
            self._cause = error


def telling_client(**configs: Any) -> KafkaNetClient:
    """For `kafka_client` of every client: its errors name what is wrong with the connection."""
    net = NetworkSelector(**configs)
    return KafkaNetClient(net, _Connections(net, **configs))
