"""One provider's attempts at a call."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from bifrost_trio.errors import GatewayError, KeysExhausted, ProviderError, Retry
from bifrost_trio.types import Attempt, Call, Clock, Options, Reply, WholeAnswer
from bifrost_trio.workers.keys import Key, Keys
from bifrost_trio.workers.pool import Worker, WorkerPool
from bifrost_trio.workers.rotation import Rotation

__all__ = ["Attempts", "Provider", "RetryPolicy"]


class Provider(Protocol):
    """One attempt at one provider: the next station, seen from here.

    A stream is written to ``reply``; a whole answer is returned, so that the worker goes home before the client is
    written to. Raises ProviderError.
    """

    name: str

    def __call__(self, call: Call, reply: Reply, key: Key) -> Awaitable[WholeAnswer | None]: ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``retries`` beyond the first attempt; back-off from ``initial`` seconds, doubled up to ``limit``."""

    retries: int = 2
    initial: float = 0.5
    limit: float = 5.0

    def back_off(self, attempt: int, chance: Callable[[], float]) -> float:
        """Seconds before the attempt after number ``attempt`` (from 0): doubled each time, times 0.8 to 1.2."""
        return min(self.initial * 2.0**attempt, self.limit) * (0.8 + 0.4 * chance())


class Attempts:
    """The loop. Every attempt counts, whatever its reason, so there are never more than ``1 + retries``."""

    def __init__(
        self,
        pool: WorkerPool,
        keys: Keys,
        provider: Provider,
        policy: RetryPolicy,
        *,
        chance: Callable[[], float] = random.random,
        clock: Clock = trio.current_time,
    ) -> None:
        self._now = clock
        self.pool = pool
        self.keys = keys
        self.provider = provider
        self.policy = policy
        self._chance = chance

    async def __call__(self, call: Call, reply: Reply) -> None:
        assert call.target is not None
        key = self.keys.choose(call.target.model, call.options and _own_options(call))
        assert key is not None
        worker = self.pool.borrow_nowait() or await self._wait(call)
        try:
            answer = await self._attempt(call, reply, key, worker)
        except ProviderError as error:
            answer = await self._again(call, reply, key, error)
        if answer is not None:
            await reply.send(answer.status, answer.headers, answer.body)

    async def _wait(self, call: Call) -> Worker:
        began = trio.current_time()
        try:
            return await self.pool.borrow()
        finally:
            call.outcome.queue_seconds += trio.current_time() - began

    async def _sleep(self, call: Call, seconds: float) -> None:
        began = trio.current_time()
        try:
            await trio.sleep(seconds)
        finally:
            call.outcome.back_off_seconds += trio.current_time() - began

    async def _attempt(self, call: Call, reply: Reply, key: Key, worker: Worker) -> WholeAnswer | None:
        """One attempt, entered in the trail however it ends; the worker goes home whatever happens."""
        call.attempt_at = began = self._now()
        status, kind = 0, "cancelled"
        try:
            answer = await self.provider(call, reply, key)
            status, kind = 200 if answer is None else answer.status, "success"
            return answer
        except GatewayError as error:
            if isinstance(error, ProviderError):
                error.provider = self.provider.name
            status, kind = error.status, error.kind
            raise
        except Exception:
            kind = GatewayError.kind
            raise
        finally:
            self.pool.give_back(worker)
            target = call.target
            assert target is not None
            ended = self._now()
            if kind == "success" and not call.outcome.first_output_at:
                call.outcome.first_output_at = ended
            call.trail.append(
                Attempt(target.provider, target.model, key.name, status, kind, ended - began, call.fallback)
            )

    async def _again(self, call: Call, reply: Reply, key: Key, error: ProviderError) -> WholeAnswer | None:
        """Everything after a first attempt that failed."""
        rotation = Rotation()
        for attempt in range(self.policy.retries):
            key, wait = self._plan(call, key, error, rotation, attempt)
            error.forget_frames()
            if wait:
                await self._sleep(call, wait)
            worker = self.pool.borrow_nowait() or await self._wait(call)
            try:
                return await self._attempt(call, reply, key, worker)
            except ProviderError as again:
                error = again
        if error.retry is Retry.WITHOUT_KEY:
            raise self._exhausted(error) from error
        raise error

    def _plan(self, call: Call, key: Key, error: ProviderError, rotation: Rotation, attempt: int) -> tuple[Key, float]:
        """The key of the next attempt and the seconds to wait before it; raises the error if there is to be none."""
        if call.outcome.committed or error.retry is Retry.NEVER:
            raise error
        back_off = self.policy.back_off(attempt, self._chance)
        if error.retry is Retry.SAME_KEY:
            return key, self._within_limit(error, back_off if error.retry_after is None else error.retry_after)
        assert call.target is not None
        now = trio.current_time()
        error.forget_frames()
        rotation.note(key, error, now)
        other = rotation.fresh(partial(self.keys.choose, call.target.model, _own_options(call)), now)
        if other is not None:
            return other, 0.0
        soonest = rotation.again(now, back_off)
        if soonest is None:
            raise self._exhausted(error) from error
        other, limited, wait = soonest
        return other, self._within_limit(limited, wait)

    def _within_limit(self, error: ProviderError, wait: float) -> float:
        if error.retry_after is not None and wait > self.policy.limit:
            # The caller can wait for that better than a place in the queue can.
            error.retry_after = wait
            raise error
        return wait

    def _exhausted(self, error: ProviderError) -> KeysExhausted:
        error.forget_frames()
        exhausted = KeysExhausted(f"provider {self.provider.name} refused every key that was tried: {error.message}")
        exhausted.provider = self.provider.name
        return exhausted


def _own_options(call: Call) -> Options | None:
    """A key that the caller named or brought belongs to the provider that it asked for, and to no fallback."""
    return call.options if not call.fallback else None
