"""The way to a server: to the named host alone, for a bounded time, and for a bounded number of bytes.

The openai client is given an HTTP client that follows no redirect, takes no proxy or password from the environment,
and whose sockets know when the request that they serve must end: waits between bytes alone bound nothing.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2
from httpx2 import HTTPError

from harc.settings.endpoints import EndpointSettings

__all__ = ["HTTPError", "ReplyRefused", "bounded", "describe_cause", "describe_redirect", "make_http_client"]

MOST_BYTES = 16 << 20
"""Of an answer with its headers; the longest answers of today's models are a hundredth of it."""
LATE = "no whole answer in the time that timeout_s allows"
PLAIN = ("", "identity")
LONGEST_HEADER = 200  # characters shown of one


class ReplyRefused(Exception):
    """An answer that is not read to its end: too large, or compressed. Another try would bring the same."""


class Bounds(threading.local):
    """When the request of this thread must be over, and how many bytes its answer may still have."""

    until: float = float("inf")
    left: int = MOST_BYTES

    def find_wait(self, wait: float | None, problem: type[Exception]) -> float | None:
        """The wait that is left of the given one.

        Raises:
            problem: if the time is over.
        """
        rest = self.until - time.monotonic()
        if rest <= 0:
            raise problem(LATE)
        return rest if wait is None else min(wait, rest)

    def count(self, data: bytes) -> bytes:
        """Count bytes of the answer.

        Raises:
            ReplyRefused: if there are more than an answer may have.
        """
        self.left -= len(data)
        if self.left < 0:
            raise ReplyRefused(f"an answer of more than {MOST_BYTES >> 20} MiB")
        return data


BOUNDS = Bounds()


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Bound the one request that this thread makes in the block."""
    BOUNDS.until, BOUNDS.left = time.monotonic() + seconds, MOST_BYTES
    try:
        yield
    finally:
        BOUNDS.until, BOUNDS.left = float("inf"), MOST_BYTES


class BoundedStream(httpcore2.NetworkStream):
    """A connection that keeps to the bounds of the thread that uses it."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self.stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        wait = BOUNDS.find_wait(timeout, httpcore2.ReadTimeout)
        try:
            return BOUNDS.count(self.stream.read(max_bytes, wait))
        except httpcore2.ReadTimeout:
            raise httpcore2.ReadTimeout(LATE) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write everything."""
        self.stream.write(buffer, BOUNDS.find_wait(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Encrypt the connection."""
        wait = BOUNDS.find_wait(timeout, httpcore2.ConnectTimeout)
        return BoundedStream(self.stream.start_tls(ssl_context, server_hostname, wait))

    def get_extra_info(self, info: str) -> Any:
        """What the connection says of itself."""
        return self.stream.get_extra_info(info)


class BoundedBackend(httpcore2.SyncBackend):
    """Opens connections that keep to the bounds."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect."""
        wait = BOUNDS.find_wait(timeout, httpcore2.ConnectTimeout)
        return BoundedStream(super().connect_tcp(host, port, wait, local_address, socket_options))


def refuse_compressed(response: httpx2.Response) -> None:
    """Stop before a body that was compressed unasked: a few kilobytes can stand for gigabytes.

    Raises:
        ReplyRefused: for any encoding.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in PLAIN:
        raise ReplyRefused(f"a compressed answer ({encoding[:LONGEST_HEADER]}), which was not asked for")


@cache
def load_certificates() -> ssl.SSLContext:
    """Whom TLS trusts: SSL_CERT_FILE, SSL_CERT_DIR, or the usual authorities."""
    return httpx2.create_ssl_context()


def make_http_client(settings: EndpointSettings) -> httpx2.Client:
    """The HTTP client for one server."""
    transport = httpx2.HTTPTransport(verify=load_certificates(), proxy=settings.proxy)
    transport._pool._network_backend = BoundedBackend()  # httpx2 has no parameter for it
    return httpx2.Client(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=settings.timeout_s,
        event_hooks={"response": [refuse_compressed]},
    )


def describe_redirect(response: httpx2.Response) -> str | None:
    """Which host a response sends on to, and from which; None if it is no redirect."""
    if not 300 <= response.status_code < 400:
        return None
    location = response.headers.get("location", "")
    try:
        target = response.request.url.join(location)
        there = urlsplit(str(target)).netloc.rpartition("@")[2]
    except Exception:
        there = "an address that is none"
    here = urlsplit(str(response.request.url)).netloc
    where = f"from {here} to {there[:LONGEST_HEADER]}" if location else f"from {here} to nowhere"
    return f"status {response.status_code}, a redirect {where}"


def describe_cause(error: Exception) -> str:
    """An error of the client in the words of the connection, which say more than its own."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split()) or type(cause).__name__
    return f"{type(error).__name__}: {text}"
