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
from bifrost_trio.providers.relay import Relay, Translation, compressed
from bifrost_trio.providers.rendering import Auth, hyphenated, render_prefix
from bifrost_trio.providers.verdicts import (
    MAX_REFUSAL,
    blotted,
    cleaned,
    decompress,
    forwarded_headers,
    long_secrets,
    refusal,
)
from bifrost_trio.types import MAX_DECODED, Call, Clock, Format, Headers, Operation, Reply, WholeAnswer
from bifrost_trio.upstream import Connection, Pool, PoolStatistics

__all__ = ["Endpoint", "Provider", "ProviderStatistics"]

JSON: Headers = ((b"content-type", b"application/json"),)

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
        clock: Clock = trio.current_time,
    ) -> None:
        """``endpoints`` by operation and whether it is streamed; ``models`` is where the provider lists its models.

        ``secrets`` are what no client may see beside the keys, should the provider repeat it. ``pinned``
        are headers that no client may say otherwise.
        """
        self._now = clock
        self.name = name
        self.endpoints = endpoints
        self._auth = auth
        self._headers = tuple(headers)
        self._quirks = quirks
        self._models = models
        self._raw_request = raw_request
        self._raw_response = raw_response
        self._secrets = tuple(secrets)
        self._pinned = frozenset(map(hyphenated, pinned))
        self._templates: dict[tuple[Operation, bool, str], RequestTemplate] = {}

    async def __call__(self, call: Call, reply: Reply, key: Key) -> WholeAnswer | None:
        """One attempt. A stream goes into ``reply``; a whole answer is returned, its connection already back home."""
        stream = call.envelope.stream
        # The caller may have brought headers or a key of its own: nothing of it may be remembered.
        template = self._templates.get((call.operation, stream, key.name)) if call.options is None else None
        template = template or self._template(call, key)
        data = self._render(call, template, key)
        began = call.attempt_at
        translation = None
        if stream and call.format is not template.format:
            translation = Translation(template.format, call.format, call.request)
        pool = template.pool
        sent = pool.send(data, began)
        # Made while the provider thinks.
        relay = begin = None
        if stream:
            secrets, hidden = template.secrets, template.hidden
            relay = Relay(call, reply, template.format, translation, secrets, hidden, self._now)
            begin = relay.begin
        try:
            connection, response = await pool.receive(sent, data, template.limit, template.overdue, begin)
        except BaseException:
            call.outcome.upstream_seconds += trio.current_time() - began
            raise
        answer = Exchange(call, template, connection, response, began)
        if relay is not None and response.event_stream and response.status == 200:
            await self._stream(answer, relay, reply)
            return None
        if not response.complete or response.status // 100 != 2:
            return await self._whole(answer)
        pool.give_back(connection)
        call.outcome.upstream_seconds += connection.waited
        return self._answer(answer, response.body)

    # --- the request ---

    def _template(self, call: Call, key: Key) -> RequestTemplate:
        """Raises UnsupportedOperation."""
        operation, stream = call.operation, call.envelope.stream
        endpoint = self.endpoints.get((operation, stream))
        if endpoint is None:
            what = f"{operation.value} as a stream" if stream else operation.value
            raise UnsupportedOperation(f"provider {self.name} does not offer {what}", "model")
        forwarded = self._forwarded(call, endpoint.format) if call.options is not None else []
        authority = endpoint.pool.origin.authority
        prefix = render_prefix(endpoint.path, authority, self._auth, key.value, self._headers, forwarded)
        template = RequestTemplate(endpoint, prefix, (key.value, *self._secrets), stream=stream)
        if call.options is None:
            self._templates[operation, stream, key.name] = template
        return template

    def _render(self, call: Call, template: RequestTemplate, key: Key) -> bytes:
        assert call.target is not None
        model = call.target.model
        if key.resolve is not None:
            model = key.resolve(model)
        call.spoken_to_in = format = template.format
        call.dropped_params = ()
        quirks = self._quirks
        if call.format is format and not call.changed and (quirks is None or not quirks.concern(call.body)):
            data = call.envelope.render(template.prefix, call.body, model)
        else:
            data = self._translate(call, template, model)
        if self._raw_request or (call.options is not None and call.options.raw_request):
            call.raw_request = data[data.index(b"\r\n\r\n") + 4 :]
        return data

    def _translate(self, call: Call, template: RequestTemplate, model: str) -> bytes:
        dropped: list[str] = []
        wire = template.format.encode_request({**call.request, "model": model}, dropped)
        if self._quirks is not None:
            wire = self._quirks.apply(wire, dropped)
        try:
            body = encode(wire)
        except RecursionError:
            raise InvalidField("the arguments of a tool call are nested too deeply", "messages") from None
        call.dropped_params = dropped
        return b"%b%d\r\n\r\n%b" % (template.prefix, len(body), body)

    def _forwarded(self, call: Call, format: Format) -> list[tuple[bytes, bytes]]:
        headers = list(call.options.extra_headers) if call.options is not None else []
        if call.format is format and call.head is not None:
            for name in FORWARDED:
                value = call.head.header(name)
                if value is not None:
                    headers.append((name, value))
        return [(name, value) for name, value in headers if hyphenated(name) not in self._pinned]

    # --- the answer ---

    async def _stream(self, exchange: Exchange, relay: Relay, reply: Reply) -> None:
        call, connection = exchange.call, exchange.connection
        pool = exchange.template.pool
        limits = pool.limits
        try:
            if compressed(exchange.response):
                raise MalformedAnswer("the provider compressed its stream, which was not asked for")
            deadline = exchange.began + limits.first_output
            last = await relay.run(connection, exchange.response, deadline, limits.idle)
        except BaseException:
            pool.drop(connection)
            raise
        else:
            pool.give_back(connection)
        finally:
            call.outcome.upstream_seconds += connection.waited
        await reply.finish(last)

    async def _whole(self, exchange: Exchange) -> WholeAnswer:
        """An answer that did not come in one read, or one that is no answer."""
        call, response, connection = exchange.call, exchange.response, exchange.connection
        refused = response.status // 100 != 2
        pool = exchange.template.pool
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
            raise refusal(exchange.template.format, response, body, *exchange.template.secrets)
        return self._answer(exchange, body)

    def _answer(self, exchange: Exchange, body: bytes) -> WholeAnswer:
        call, template = exchange.call, exchange.template
        format = template.format
        encoding = exchange.response.header(b"content-encoding")
        if encoding is not None:
            body = decompress(encoding, body)
        body = cleaned(body, template.hidden)
        answer = scan_answer(format.name, body)
        if answer.error:
            raise format.decode_stream_error(blotted(body, *template.secrets))
        if call.envelope.stream:
            raise MalformedAnswer("the provider answered a request for a stream with a whole answer")
        outcome = call.outcome
        outcome.usage, outcome.usage_estimated, outcome.finish_reason = answer.usage, False, answer.finish_reason
        if self._raw_response or (call.options is not None and call.options.raw_response):
            call.raw_response = body
        if call.format is not format:
            body = cleaned(_translated(body, format, call.format), template.hidden)
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


class RequestTemplate:
    """What is the same for all requests of one kind with one key, made once.

    ``prefix`` is the head up to the number of its content-length; ``hidden`` those ``secrets`` that are long enough to
    be looked for in answers.
    """

    __slots__ = ("format", "hidden", "limit", "overdue", "pool", "prefix", "secrets")

    def __init__(self, endpoint: Endpoint, prefix: bytes, secrets: Sequence[str], *, stream: bool) -> None:
        limits = endpoint.pool.limits
        self.format = endpoint.format
        self.pool = endpoint.pool
        self.prefix = prefix
        self.secrets = secrets
        self.hidden = long_secrets(*secrets)
        self.limit = limits.first_output if stream else limits.total
        self.overdue: type[ProviderTimeout] = FirstOutputTimeout if stream else TotalTimeout


class Exchange:
    """One attempt's facts once the head of the answer is there."""

    __slots__ = ("began", "call", "connection", "response", "template")

    def __init__(
        self, call: Call, template: RequestTemplate, connection: Connection, response: Response, began: float
    ) -> None:
        self.call = call
        self.template = template
        self.connection = connection
        self.response = response
        self.began = began

    def shown_headers(self) -> list[tuple[bytes, bytes]]:
        return forwarded_headers(self.response, *self.template.secrets)
