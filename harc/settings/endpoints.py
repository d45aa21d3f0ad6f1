"""Settings of a chat endpoint: a model that attacks, judges or is attacked, here or behind a server."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from harc.settings.backbones import DEFAULT_DATE, GgufFile, TemplateSettings
from harc.settings.loading import SecretValue

LONGEST_WAIT = 86_400.0
"""Seconds, a day: more cannot be meant, and clocks of systems overflow."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


class EndpointSettings(TemplateSettings):
    """One chat model: loaded in this process (`local`) or asked over the network (`openai`)."""

    kind: Literal["local", "openai", "llama_cpp"] = Field(
        description="local: a folder or hub id loaded here; openai: a server with OpenAI's chat completions API "
        "(vLLM, `transformers serve`, hosted services); llama_cpp: a GGUF file behind llama.cpp's server, which the "
        "run starts and ends."
    )
    model: str = Field(
        min_length=1,
        description="Folder or hub id (local), the server's name of the model (openai), any name (llama_cpp).",
    )
    gguf: GgufFile | None = Field(
        None, description="The model's file, and where it can be had; needed by `llama_cpp`."
    )
    threads: int = Field(2, ge=1, description="Threads that compute (llama_cpp); own choice.")
    context: int = Field(
        4096, ge=256, description="Prompt and answer of one conversation, tokens (llama_cpp); own choice."
    )
    revision: str = Field("main", description="Commit or branch of a hub model (local).")
    base_url: str | None = Field(
        None, description="Address of the server's API, as http://127.0.0.1:8000/v1; needed by `openai`."
    )
    key_variable: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the server's key; none: the server asks for no key. Keys are "
        "never read from settings.",
    )
    concurrency: int = Field(
        8, ge=1, description="Requests under way at a time (openai, llama_cpp); own choice."
    )
    retries: int = Field(
        5,
        ge=0,
        description="Further tries of a request that failed in passing: 408, 409, 429, 5xx, cut connection, time-out, "
        "an answer that cannot be read; own choice.",
    )
    first_wait_s: float = Field(
        1.0,
        gt=0,
        le=LONGEST_WAIT,
        description="Wait before the first further try, doubled each time; seconds; own choice.",
    )
    longest_wait_s: float = Field(
        60.0,
        gt=0,
        le=LONGEST_WAIT,
        description="Longest wait before a further try, Retry-After included; seconds; own choice.",
    )
    timeout_s: float = Field(
        120.0,
        gt=0,
        le=LONGEST_WAIT,
        description="Longest wait for a whole answer, from connecting to its last byte; seconds; own choice.",
    )
    proxy: str | None = Field(
        None,
        description="Address of an HTTP proxy that requests pass through (openai); those of the environment "
        "(HTTPS_PROXY, ...) are not used, so that prompts go to no host that the settings do not name.",
    )
    temperature: float = Field(
        0.0, ge=0, description="Of sampling, where the caller names none; 0 is greedy."
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Share of probability that tokens are drawn from when sampling."
    )
    max_new_tokens: int = Field(512, ge=1, description="Longest answer, tokens, where the caller names none.")
    seed: int = Field(0, description="Of sampling, where the caller names none; servers may ignore it.")
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Name under which the server takes the longest answer (openai)."
    )
    continues_replies: bool = Field(
        False,
        description="Whether the server continues a last assistant turn when asked as vLLM is "
        "(continue_final_message); needed by suite prefill (openai).",
    )
    prompt_price: float = Field(
        0.0, ge=0, description="Price of a million prompt tokens, in any currency; own bookkeeping."
    )
    completion_price: float = Field(
        0.0, ge=0, description="Price of a million generated tokens, in the same currency."
    )
    cache: Path | None = Field(
        None,
        description="Folder of answers by content hash, shared by all runs; none: every request is sent, since a "
        "server's name does not say which weights it holds (path).",
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Precision of the weights (local).")
    device: str = Field("cpu", description="cpu, cuda, or auto to spread the blocks (local).")
    batch_size: int = Field(16, ge=1, description="Prompts decoded together (local).")

    def describe_answers(self) -> dict:
        """What an answer depends on; the rest changes speed, cost or patience."""
        return self.model_dump(
            mode="json",
            include={
                "kind",
                "model",
                "revision",
                "base_url",
                "temperature",
                "top_p",
                "max_new_tokens",
                "seed",
                "dtype",
                "context",
                "template_options",
                "template_date",
            },
        ) | ({} if self.gguf is None else {"gguf": self.gguf.sha256})

    @field_validator("base_url", "proxy")
    @classmethod
    def check_address(cls, url: str | None) -> str | None:
        """Refuse an address that is none, or that holds a secret."""
        if url is None:
            return None
        if any(mark in url for mark in "@?#"):
            raise SecretValue("an address without user, password or query; name the key's variable instead")
        if not _is_address(url):
            raise ValueError("an address such as http://127.0.0.1:8000/v1")
        return url

    @model_validator(mode="after")
    def check_server(self) -> "EndpointSettings":
        """An openai endpoint needs an address: there is no default, so that nothing goes to a service unasked."""
        if self.kind == "openai" and self.base_url is None:
            raise ValueError("base_url for an endpoint of kind openai")
        if self.kind != "local" and self.template_date != DEFAULT_DATE:
            raise ValueError(
                f"no template_date for an endpoint of kind {self.kind}: its server has a clock of its own"
            )
        if (self.kind == "llama_cpp") != (self.gguf is not None):
            raise ValueError("gguf for an endpoint of kind llama_cpp, and for no other")
        if self.kind == "llama_cpp" and (self.base_url, self.key_variable) != (None, None):
            raise ValueError("no base_url and no key_variable for a server that the run starts (llama_cpp)")
        return self
