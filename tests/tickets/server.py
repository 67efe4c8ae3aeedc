"""A chat completion server that does what a test says, one behaviour per request."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Label = dict[str, Any]
Behaviour = Callable[["Handler", list[Json]], None]
KEY = "sk-of-the-tests-0123456789"


def label(number: int, category: str = "billing") -> Label:
    return {"n": number, "category": category, "urgency": "low", "sentiment": "positive"}


def completion(labels: object, tokens: object = 100) -> bytes:
    """A reply whose message is the JSON of `labels`; text stays as it is."""
    content = labels if isinstance(labels, str) else json.dumps({"labels": labels})
    message = {"role": "assistant", "content": content}
    reply: Json = {"choices": [{"index": 0, "message": message}]}
    if tokens is not None:
        reply["usage"] = {"total_tokens": tokens}
    return json.dumps(reply).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers a request with the next behaviour of its server."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tickets = json.loads(json.loads(body)["messages"][1]["content"])
        behave = self.server.next_behaviour(self, body)
        behave(self, tickets)

    def answer(self, status: int, body: bytes, headers: Json | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | (headers or {})).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        return None


def good(handler: Handler, tickets: list[Json]) -> None:
    handler.answer(200, completion([label(ticket["n"]) for ticket in tickets]))


def saying(labels: object, tokens: object = 100) -> Behaviour:
    return lambda handler, _: handler.answer(200, completion(labels, tokens))


def sending(body: bytes) -> Behaviour:
    return lambda handler, _: handler.answer(200, body)


def failing(status: int, headers: Json | None = None, text: str = "") -> Behaviour:
    return lambda handler, _: handler.answer(status, text.encode(), headers)


def silent(handler: Handler, _: list[Json]) -> None:
    handler.server.ended.wait(30)


def dripping(handler: Handler, _: list[Json]) -> None:
    """Never silent for long, and never done: headers without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.ended.wait(0.05):
        try:
            handler.wfile.write(b"X-More: more\r\n")
        except OSError:
            return


def cutting(handler: Handler, _: list[Json]) -> None:
    handler.cut()


def cutting_within(handler: Handler, tickets: list[Json]) -> None:
    body = completion([label(ticket["n"]) for ticket in tickets])
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.cut()


def huge(handler: Handler, _: list[Json]) -> None:
    """More than anybody reads: a gigabyte of blanks."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _megabyte in range(1024):
            handler.wfile.write(b" " * (1 << 20))
    except OSError:
        return


@dataclass
class Request:
    headers: dict[str, str]
    body: bytes

    @property
    def tickets(self) -> list[Json]:
        tickets: list[Json] = json.loads(json.loads(self.body)["messages"][1]["content"])
        return tickets


@dataclass
class Script:
    """behaviours: of the next requests in turn; after them `good`."""

    behaviours: list[Behaviour] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = Script()
        self.ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def requests(self) -> list[Request]:
        return self.script.requests

    def does(self, *behaviours: Behaviour) -> None:
        self.script.behaviours = list(behaviours)

    def next_behaviour(self, handler: Handler, body: bytes) -> Behaviour:
        with self._lock:
            self.script.requests.append(Request(dict(handler.headers), body))
            return self.script.behaviours.pop(0) if self.script.behaviours else good

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what many tests are about."""


@contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def texts(requests: Sequence[Request]) -> str:
    """All that was sent of tickets."""
    return "\n".join(f"{t['subject']}\n{t['text']}" for r in requests for t in r.tickets)
