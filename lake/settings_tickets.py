"""Settings of the labelling of support tickets."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class TicketSettings(BaseSettings):
    """Fields of `lake.settings.Settings`."""

    ticket_model_url: str | None = Field(
        None,
        description="OpenAI-compatible endpoint that labels tickets, as in "
        "https://api.groq.com/openai/v1; unset: rules label them, nothing is sent anywhere.",
    )
    ticket_model: str | None = Field(None, description="Name of the model to ask there.")
    ticket_model_key: SecretStr | None = Field(
        None, description="Key of the endpoint; unset means GROQ_API_KEY, else OPENAI_API_KEY."
    )
    ticket_model_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="Longest time of one request, and of one wait asked for."
    )
    ticket_model_attempts: int = Field(
        3, ge=1, le=10, description="How often a request is sent before the rules answer."
    )
    ticket_model_batch: int = Field(10, ge=1, le=50, description="Tickets per request.")
    ticket_model_max_tokens_per_run: int = Field(
        200_000,
        ge=0,
        le=1_000_000_000,
        description="Tokens, sent and received, after which the rest of a run goes to the rules: "
        "the cost cap, whatever a token costs.",
    )
