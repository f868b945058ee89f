"""A provider: its endpoints, its address, its auth. One attempt is one upstream request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from bifrost_trio._wire import Response, scan_answer
from bifrost_trio.errors import (
    FirstOutputTimeout,
    InvalidField,
    MalformedAnswer,
    ProviderError,
    ProviderTimeout,
    TotalTimeout,
    UnsupportedOperation,
)
from bifrost_trio.formats.codec import DecodeError, decode, encode
from bifrost_trio.providers.listing import ProviderModel, fetch_models
from bifrost_trio.providers.quirks import Quirks
from bifrost_trio.providers.relay import Relay, Translation
from bifrost_trio.providers.rendering import Auth, render_prefix
from bifrost_trio.providers.verdicts import (
    MAX_REFUSAL,
    blotted,
    cleaned,
    decompress,
    forwarded_headers,
    long_secrets,
    refusal,
)
from bifrost_trio.types import MAX_DECODED, Call, Format, Headers, Operation, Reply, WholeAnswer
from bifrost_trio.upstream import Connection, Pool, PoolStatistics

__all__ = ["Endpoint", "Provider", "ProviderStatistics"]

JSON: Headers = ((b"content-type", b"application/json"),)
EVENT_STREAM: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))

REFUSAL_SECONDS = 10.0
"""For the body of an answer whose status is an error: what it says is worth a short wait."""

FORWARDED = (b"anthropic-beta", b"anthropic-version", b"openai-beta")
"""Headers of a client that change what the request means, and so go with it to a provider of the same language."""


class Key(Protocol):
    """What an attempt needs of a key."""

    name: str
    value: str
    resolve: Callable[[str], str] | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and in which format a provider takes one operation."""

    format: Format
    path: str
    pool: Pool


@dataclass(frozen=True, slots=True)
class ProviderStatistics:
    """``connections``: of each origin that the provider's paths lead to."""

    name: str
    connections: dict[str, PoolStatistics]


class Provider:
    """``raw_request`` and ``raw_response``: keep both for ``extra_fields`` (``send_back_raw_*``)."""

    def __init__(
        self,
        name: str,
        endpoints: Mapping[tuple[Operation, bool], Endpoint],
        auth: Auth,
        *,
        headers: Headers = (),
        quirks: Quirks | None = None,
        models: tuple[Pool, str] | None = None,
        raw_request: bool = False,
        raw_response: bool = False,
        secrets: Sequence[str] = (),
        pinned: Collection[bytes] = (),
    ) -> None:
        """``endpoints`` by operation and whether it is streamed; ``models`` is where the provider lists its models.

        ``secrets`` are what no client may see beside the keys, should the provider repeat it. ``pinned``
        are headers that no client may say otherwise.
        """
        self.name = name
        self.endpoints = endpoints
        self._auth = auth
        self._headers = tuple(headers)
        self._quirks = quirks
        self._models = models
        self._raw_request = raw_request
        self._raw_response = raw_response
        self._secrets = tuple(secrets)
        self._pinned = frozenset(pinned)
        self._prefixes: dict[tuple[Operation, bool, str], bytes] = {}

    async def __call__(self, call: Call, reply: Reply, key: Key) -> WholeAnswer | None:
        """One attempt. A stream goes into ``reply``; a whole answer is returned, its connection already back home."""
        stream = call.envelope.stream
        endpoint = self.endpoints.get((call.operation, stream))
        if endpoint is None:
            what = f"{call.operation.value} as a stream" if stream else call.operation.value
            raise UnsupportedOperation(f"provider {self.name} does not offer {what}", "model")
        data = self._render(call, endpoint, key)
        limits = endpoint.pool.limits
        overdue: type[ProviderTimeout]
        limit, overdue = (limits.first_output, FirstOutputTimeout) if stream else (limits.total, TotalTimeout)
        began = trio.current_time()
        try:
            connection, response = await endpoint.pool.exchange(data, limit, overdue)
        except BaseException:
            call.outcome.upstream_seconds += trio.current_time() - began
            raise
        exchange = Exchange(call, endpoint, (key.value, *self._secrets), connection, response, began)
        if stream and response.event_stream and response.status == 200:
            await self._stream(exchange, reply)
            return None
        return await self._whole(exchange)

    # --- the request ---

    def _render(self, call: Call, endpoint: Endpoint, key: Key) -> bytes:
        assert call.target is not None
        model = call.target.model
        if key.resolve is not None:
            model = key.resolve(model)
        same = call.format is endpoint.format
        prefix = self._prefix(call, endpoint, key, same)
        call.spoken_to_in = endpoint.format
        call.dropped_params = ()
        quirks = self._quirks
        if same and not call.changed and (quirks is None or not quirks.concern(call.body)):
            data = call.envelope.render(prefix, call.body, model)
        else:
            dropped: list[str] = []
            wire = endpoint.format.encode_request({**call.request, "model": model}, dropped)
            if quirks is not None:
                wire = quirks.apply(wire, dropped)
            try:
                body = encode(wire)
            except RecursionError:
                raise InvalidField("the arguments of a tool call are nested too deeply", "messages") from None
            call.dropped_params = dropped
            data = b"%b%d\r\n\r\n%b" % (prefix, len(body), body)
        if self._raw_request or (call.options is not None and call.options.raw_request):
            call.raw_request = data[data.index(b"\r\n\r\n") + 4 :]
        return data

    def _prefix(self, call: Call, endpoint: Endpoint, key: Key, same: bool) -> bytes:
        if call.options is not None:
            # The caller may have brought headers or a key of its own: nothing of it may be remembered.
            return self._make_prefix(endpoint, key, self._forwarded(call, same))
        place = (call.operation, call.envelope.stream, key.name)
        known = self._prefixes.get(place)
        if known is None:
            known = self._prefixes[place] = self._make_prefix(endpoint, key, [])
        return known

    def _make_prefix(self, endpoint: Endpoint, key: Key, forwarded: list[tuple[bytes, bytes]]) -> bytes:
        authority = endpoint.pool.origin.authority
        return render_prefix(endpoint.path, authority, self._auth, key.value, self._headers, forwarded)

    def _forwarded(self, call: Call, same: bool) -> list[tuple[bytes, bytes]]:
        headers = list(call.options.extra_headers) if call.options is not None else []
        if same and call.head is not None:
            for name in FORWARDED:
                value = call.head.header(name)
                if value is not None:
                    headers.append((name, value))
        return [(name, value) for name, value in headers if name not in self._pinned]

    # --- the answer ---

    async def _stream(self, exchange: Exchange, reply: Reply) -> None:
        call, connection = exchange.call, exchange.connection
        translation = None
        if not exchange.same:
            translation = Translation(exchange.endpoint.format, call.format, call.request)
        headers = EVENT_STREAM if call.native else (*EVENT_STREAM, *exchange.shown_headers())
        relay = Relay(call, reply, connection, exchange.endpoint.format, headers, translation, exchange.secrets)
        pool = exchange.endpoint.pool
        limits = pool.limits
        try:
            if exchange.response.header(b"content-encoding") not in (None, b"identity"):
                raise MalformedAnswer("the provider compressed its stream, which was not asked for")
            last = await relay.run(exchange.response, exchange.began + limits.first_output, limits.idle)
        except BaseException:
            pool.drop(connection)
            raise
        else:
            pool.give_back(connection)
        finally:
            call.outcome.upstream_seconds += connection.waited
        await reply.finish(last)

    async def _whole(self, exchange: Exchange) -> WholeAnswer:
        call, response, connection = exchange.call, exchange.response, exchange.connection
        refused = response.status // 100 != 2
        pool = exchange.endpoint.pool
        try:
            body = response.body
            if not response.complete:
                limit = pool.limits.first_output if call.envelope.stream else pool.limits.total
                left = exchange.began + limit - trio.current_time()
                if refused:
                    body = await connection.read_whole(response, min(left, REFUSAL_SECONDS), MAX_REFUSAL)
                else:
                    body = await connection.read_whole(response, left)
        except BaseException as error:
            pool.drop(connection)
            if not refused or not isinstance(error, ProviderError):
                raise
            # The status says enough.
            body = b""
        else:
            pool.give_back(connection)
        finally:
            call.outcome.upstream_seconds += connection.waited
        if refused:
            raise refusal(exchange.endpoint.format, response, body, *exchange.secrets)
        return self._answer(exchange, decompress(response.header(b"content-encoding"), body))

    def _answer(self, exchange: Exchange, body: bytes) -> WholeAnswer:
        call, format = exchange.call, exchange.endpoint.format
        hidden = long_secrets(*exchange.secrets)
        body = cleaned(body, hidden)
        answer = scan_answer(format.name, body)
        if answer.error:
            raise format.decode_stream_error(blotted(body, *exchange.secrets))
        if call.envelope.stream:
            raise MalformedAnswer("the provider answered a request for a stream with a whole answer")
        call.outcome.usage, call.outcome.usage_estimated = answer.usage, False
        call.outcome.finish_reason = answer.finish_reason
        if self._raw_response or (call.options is not None and call.options.raw_response):
            call.raw_response = body
        if not exchange.same:
            body = cleaned(_translated(body, format, call.format), hidden)
        return WholeAnswer(200, JSON if call.native else (*JSON, *exchange.shown_headers()), body)

    # --- everything else ---

    async def list_models(self, key: Key | None) -> list[ProviderModel]:
        """The provider's own list; empty where it has none. Raises ProviderError."""
        if self._models is None:
            return []
        pool, path = self._models
        return await fetch_models(self.name, pool, path, self._auth, key.value if key else "", self._headers)

    @property
    def pools(self) -> list[Pool]:
        pools = [endpoint.pool for endpoint in self.endpoints.values()]
        return list(dict.fromkeys([*pools, *([self._models[0]] if self._models else [])]))

    def close(self) -> None:
        """Closes what is idle now, and what is busy when it comes back."""
        for pool in self.pools:
            pool.close()

    def statistics(self) -> ProviderStatistics:
        return ProviderStatistics(self.name, {pool.origin.authority: pool.statistics() for pool in self.pools})


def _translated(body: bytes, provider: Format, client: Format) -> bytes:
    """Raises MalformedAnswer, also for what the scan lets pass: numbers and nesting that no program can hold."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_DECODED:
        raise MalformedAnswer(f"the provider's answer holds more than {MAX_DECODED} values, too many to be translated")
    try:
        return encode(client.encode_answer(provider.decode_answer(decode(body))))
    except (DecodeError, RecursionError) as error:
        raise MalformedAnswer("the provider's answer cannot be read") from error


class Exchange:
    """One attempt's facts once the head of the answer is there."""

    __slots__ = ("began", "call", "connection", "endpoint", "response", "same", "secrets")

    def __init__(
        self,
        call: Call,
        endpoint: Endpoint,
        secrets: Sequence[str],
        connection: Connection,
        response: Response,
        began: float,
    ) -> None:
        self.call = call
        self.endpoint = endpoint
        self.secrets = secrets
        self.connection = connection
        self.response = response
        self.began = began
        self.same = call.format is endpoint.format

    def shown_headers(self) -> list[tuple[bytes, bytes]]:
        return forwarded_headers(self.response, *self.secrets)
