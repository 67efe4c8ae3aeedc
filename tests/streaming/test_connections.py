from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from lake.errors import LakeError
from streaming.consumer import KafkaOptions, open_consumer

TLS_ALERT = bytes.fromhex("15030300020228")


def refuse_all(listener: socket.socket) -> None:
    """Answers each question with a TLS alert that arrives together with the connection's end."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test is over
            return
        with connection:
            connection.recv(1 << 16)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            connection.sendall(TLS_ALERT)


@pytest.fixture
def refusing_server() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=refuse_all, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_connections__an_answer_that_comes_with_the_end_is_read(refusing_server: str) -> None:
    options = KafkaOptions(bootstrap_servers=refusing_server, group_id="test")
    with pytest.raises(LakeError, match="is not what Kafka would answer"):
        open_consumer(options)
