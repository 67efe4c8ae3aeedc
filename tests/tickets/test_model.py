"""A model that fails in every way: its tickets get a reason, the run goes on, the key stays."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from lake.errors import LakeError
from lake.settings import Settings
from lake.tickets.endpoint import Endpoint, configured_endpoint
from lake.tickets.exchange import Redacted
from lake.tickets.labels import Labels
from lake.tickets.model import BREAKER_FAILURES, Model, ModelOptions
from lake.tickets.monitoring import TicketMetrics
from tests.tickets.server import (
    KEY,
    Behaviour,
    Server,
    completion,
    cutting,
    cutting_within,
    dripping,
    failing,
    good,
    huge,
    label,
    saying,
    sending,
    silent,
)

TWO = (Redacted("Invoice", "too high"), Redacted("Refund", ""))
BILLING = Labels("billing", "low", "positive")
PLENTY = 1_000_000


class Asked:
    """A model at the server. waits: seconds that it would have waited."""

    def __init__(
        self,
        server: Server,
        *,
        timeout: float = 20.0,
        attempts: int = 3,
        max_tokens: int = PLENTY,
    ) -> None:
        endpoint = Endpoint(
            is_secure=False,
            host="127.0.0.1",
            port=server.server_port,
            path="/v1/chat/completions",
            key=SecretStr(KEY),
            timeout_seconds=timeout,
        )
        self.waits: list[float] = []
        self.metrics = TicketMetrics()
        options = ModelOptions("m-1", batch=2, attempts=attempts, max_tokens=max_tokens)
        self.model = Model(endpoint, options, self.metrics, sleep=self.waits.append)

    def ask(self) -> list[Labels | str]:
        return self.model.ask(TWO)

    def requests(self, outcome: str) -> float:
        name = "lmslake_tickets_requests_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


def test_ask__gets_labels_in_the_order_of_the_tickets(server: Server) -> None:
    server.does(saying([label(2, "grades"), label(1)]))
    asked = Asked(server)
    assert asked.ask() == [BILLING, Labels("grades", "low", "positive")]
    assert [r.headers["Authorization"] for r in server.requests] == [f"Bearer {KEY}"]
    assert asked.requests("ok") == 1
    assert asked.model.spending.spent == 100


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (failing(500), "server_error"),
        (failing(503, {"Retry-After": "3"}), "server_error"),
        (failing(429), "rate_limited"),
        (cutting, "unreachable"),
        (cutting_within, "unreachable"),
    ],
)
def test_ask__tries_again_what_may_pass(server: Server, behaviour: Behaviour, reason: str) -> None:
    asked = Asked(server)
    server.does(behaviour, behaviour, good)
    assert asked.ask() == [BILLING, BILLING]
    assert asked.requests(reason) == 2
    assert len(asked.waits) == 2

    server.does(*[behaviour] * 3)
    assert asked.ask() == [reason, reason]
    assert len(server.requests) == 6


@pytest.mark.parametrize("behaviour", [silent, dripping])
def test_ask__a_slow_server_is_cut_off(server: Server, behaviour: Behaviour) -> None:
    asked = Asked(server, timeout=0.3, attempts=2)
    server.does(behaviour, behaviour)
    assert asked.ask() == ["timeout", "timeout"]
    assert asked.requests("timeout") == 2
    assert asked.model.spending.spent > 0, "a server may charge for what came too late"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (failing(400), "refused"),
        (failing(401, text=f"Incorrect API key provided: {KEY}"), "refused"),
        (failing(404), "refused"),
        (failing(302, {"Location": "http://elsewhere.example/"}), "refused"),
        (failing(204), "refused"),
        (sending(b"<html>"), "malformed"),
        (sending(completion("no")), "malformed"),
        (saying([label(1), label(2), label(3)]), "malformed"),
        (saying([]), "malformed"),
        (huge, "malformed"),
    ],
)
def test_ask__does_not_repeat_what_will_not_pass(
    server: Server, behaviour: Behaviour, reason: str
) -> None:
    asked = Asked(server)
    server.does(behaviour)
    assert asked.ask() == [reason, reason]
    assert len(server.requests) == 1


def test_ask__a_fault_costs_its_own_ticket_alone(server: Server) -> None:
    server.does(saying([label(1, "spam"), label(2)]))
    assert Asked(server).ask() == ["malformed", BILLING]


def test_ask__waits_as_long_as_the_server_asks(server: Server) -> None:
    asked = Asked(server, timeout=20.0)
    server.does(failing(429, {"Retry-After": "7"}), good)
    assert asked.ask() == [BILLING, BILLING]
    assert asked.waits == [7.0]
    in_time = format_datetime(datetime.now(UTC) + timedelta(seconds=15), usegmt=True)
    server.does(failing(429, {"Retry-After": in_time}), good)
    asked.ask()
    assert 0 <= asked.waits[1] <= 15


@pytest.mark.parametrize("header", ["21", "9" * 400, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_ask__does_not_wait_longer_than_for_an_answer(server: Server, header: str) -> None:
    asked = Asked(server, timeout=20.0)
    server.does(failing(429, {"Retry-After": header}))
    assert asked.ask() == ["rate_limited", "rate_limited"]
    assert asked.waits == []


def test_ask__stops_asking_a_model_that_only_fails(server: Server) -> None:
    asked = Asked(server, attempts=1)
    server.does(*[failing(500)] * BREAKER_FAILURES)
    for _ in range(BREAKER_FAILURES):
        assert asked.ask() == ["server_error", "server_error"]
    assert asked.ask() == ["breaker", "breaker"]
    assert len(server.requests) == BREAKER_FAILURES


def test_ask__a_success_closes_the_breaker(server: Server) -> None:
    asked = Asked(server, attempts=1)
    failures = [failing(500)] * (BREAKER_FAILURES - 1)
    server.does(*failures, good, *failures, good)
    answers = [asked.ask() for _ in range(2 * BREAKER_FAILURES)]
    assert answers.count([BILLING, BILLING]) == 2


def test_ask__does_not_spend_more_than_it_may(server: Server) -> None:
    asked = Asked(server, max_tokens=5_000)
    server.does(saying([label(1), label(2)], tokens=4_900))
    assert asked.ask() == [BILLING, BILLING]
    for _ in range(BREAKER_FAILURES + 1):
        assert asked.ask() == ["cost_cap", "cost_cap"], "the cap is no failure of the model"
    assert len(server.requests) == 1
    assert asked.model.spending.spent == 4_900


def test_ask__without_any_tokens_sends_nothing(server: Server) -> None:
    assert Asked(server, max_tokens=0).ask() == ["cost_cap", "cost_cap"]
    assert server.requests == []


@pytest.mark.parametrize("tokens", [None, -1, 0, "many", 10**15])
def test_ask__estimates_what_the_server_does_not_tell(server: Server, tokens: object) -> None:
    server.does(saying([label(1), label(2)], tokens))
    asked = Asked(server)
    asked.ask()
    assert 100 < asked.model.spending.spent < 5_000


def test_ask__repetitions_are_within_the_cap_too(server: Server) -> None:
    asked = Asked(server, max_tokens=2_000, attempts=10)
    server.does(*[cutting] * 10)
    assert asked.ask() == ["cost_cap", "cost_cap"]
    assert len(server.requests) < 4


def test_ask__nobody_listens() -> None:
    endpoint = Endpoint(False, "127.0.0.1", 9, "/v1/chat/completions", SecretStr(KEY), 5.0)
    model = Model(endpoint, ModelOptions("m", 2, 2, PLENTY), TicketMetrics(), sleep=lambda _: None)
    assert model.ask(TWO) == ["unreachable", "unreachable"]


def test_ask__what_is_no_tls_gets_no_key(server: Server) -> None:
    port = server.server_port
    endpoint = Endpoint(True, "127.0.0.1", port, "/v1/chat/completions", SecretStr(KEY), 20.0)
    model = Model(endpoint, ModelOptions("m", 2, 1, PLENTY), TicketMetrics())
    assert model.ask(TWO) == ["unreachable", "unreachable"]
    assert server.requests == []


def test_ask__the_key_and_the_texts_are_in_no_log_and_no_representation(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = Asked(server, attempts=1)
    for behaviour in (failing(401, text=KEY), failing(500, text=KEY), cutting, sending(b"x")):
        server.does(behaviour)
        asked.ask()
    told = caplog.text + repr(asked.model) + repr(asked.model.endpoint)
    assert "status 401" in told
    assert KEY not in told
    assert "too high" not in told


def given(**more: object) -> Settings:
    return Settings(
        **{"ticket_model_url": "https://api.groq.com/openai/v1", "ticket_model": "m", **more}  # type: ignore[arg-type]
    )


def test_configured_endpoint__none_without_url() -> None:
    assert configured_endpoint(Settings(), {"GROQ_API_KEY": KEY}) is None


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://api.groq.com/openai/v1/", "api.groq.com", None, "/openai/v1/chat/completions"),
        ("https://x.example:8443/chat/completions", "x.example", 8443, "/chat/completions"),
        ("http://localhost:11434/v1", "localhost", 11434, "/v1/chat/completions"),
        ("http://192.168.1.7/v1", "192.168.1.7", None, "/v1/chat/completions"),
        ("http://vllm:8000", "vllm", 8000, "/chat/completions"),
    ],
)
def test_configured_endpoint__takes_what_others_take(
    url: str, host: str, port: int | None, path: str
) -> None:
    found = configured_endpoint(given(ticket_model_url=url, ticket_model_key=KEY), {})
    assert found is not None
    assert (found.host, found.port, found.path) == (host, port, path)


@pytest.mark.parametrize(
    ("url", "environment", "key"),
    [
        ("https://api.groq.com/openai/v1", {"GROQ_API_KEY": "g", "OPENAI_API_KEY": "o"}, "g"),
        ("https://api.openai.com/v1", {"GROQ_API_KEY": "g", "OPENAI_API_KEY": "o"}, "o"),
        ("https://models.example/v1", {"GROQ_API_KEY": "g", "OPENAI_API_KEY": "o"}, "g"),
        ("https://models.example/v1", {"OPENAI_API_KEY": "o\n"}, "o"),
    ],
)
def test_configured_endpoint__finds_the_key_of_the_provider(
    url: str, environment: dict[str, str], key: str
) -> None:
    found = configured_endpoint(given(ticket_model_url=url), environment)
    assert found is not None
    assert found.key.get_secret_value() == key
    own = configured_endpoint(given(ticket_model_url=url, ticket_model_key="own"), environment)
    assert own is not None
    assert own.key.get_secret_value() == "own"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: given(), "no key"),
        (lambda: given(ticket_model=None, ticket_model_key=KEY), "LMSLAKE_TICKET_MODEL"),
        (lambda: given(ticket_model_url="api.groq.com", ticket_model_key=KEY), "no address"),
        (lambda: given(ticket_model_url="ftp://x/", ticket_model_key=KEY), "no address"),
        (lambda: given(ticket_model_url="https://u:p@x.example/"), "no address"),
        (lambda: given(ticket_model_url="https://x.example:port/"), "no address"),
        (lambda: given(ticket_model_url="https://x.example/ v1"), "no address"),
        (lambda: given(ticket_model_url="http://x.example/"), "without encryption"),
        (lambda: given(ticket_model_key=f"{KEY} and\nmore"), "characters that no key has"),
    ],
)
def test_configured_endpoint__says_what_is_wrong_without_the_key(
    make: Callable[[], Settings], message: str
) -> None:
    with pytest.raises(LakeError, match=message) as caught:
        configured_endpoint(make(), {})
    assert KEY not in str(caught.value)


def test_configured_endpoint__a_providers_key_goes_to_no_other_provider() -> None:
    with pytest.raises(LakeError, match="GROQ_API_KEY"):
        configured_endpoint(given(), {"OPENAI_API_KEY": KEY})
