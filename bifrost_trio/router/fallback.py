"""The router station: one target after another, until one answers or something is committed."""

from __future__ import annotations

from collections.abc import Awaitable

import trio

from bifrost_trio.errors import GatewayError, InvalidField, ProviderError, QueueFull, RequestError
from bifrost_trio.router.targets import Targets
from bifrost_trio.types import Call, Reply, Station, Target

__all__ = ["Router"]


class Router:
    """Each target is a new pass through the stations below, with its own attempts.

    A fallback follows where the error's class allows it. If all fail, the primary's error is raised: the caller asked
    for that one, and the trail tells of the others.
    """

    def __init__(self, targets: Targets, following: Station) -> None:
        self._targets = targets
        self._following = following

    def __call__(self, call: Call, reply: Reply) -> Awaitable[None]:
        """Not a coroutine itself where there is one target: a wait of the call passes through each one above it.

        Raises InvalidField at once, all else when awaited.
        """
        envelope = call.envelope
        if not envelope.model:
            raise InvalidField("the request names no model", "model", "missing_required_parameter")
        targets = self._targets
        target = targets.remembered.get((envelope.model, call.default_provider))
        call.target = target = target or targets.known(envelope.model, call.default_provider)
        if target is None or envelope.fallbacks:
            return self._with_fallbacks(call, reply)
        return self._following(call, reply)

    async def _with_fallbacks(self, call: Call, reply: Reply) -> None:
        envelope = call.envelope
        if call.target is None:
            call.target = await self._find(call, envelope.model or "", "model")
        # Resolved before the first attempt: a name that nobody knows is the caller's error, no failed fallback.
        fallbacks = [await self._find(call, name, "fallbacks") for name in envelope.fallbacks]
        try:
            await self._following(call, reply)
        except (ProviderError, QueueFull) as error:
            if not fallbacks or not error.fallback or call.outcome.committed:
                raise
            await self._fall_back(call, reply, fallbacks, error)

    async def _find(self, call: Call, name: str, param: str) -> Target:
        """A name that is not known yet is looked up in lists that the providers are asked for: a wait for them."""
        if (target := self._targets.known(name, param=param)) is not None:
            return target
        began = trio.current_time()
        try:
            return await self._targets.find(name, param)
        finally:
            call.outcome.upstream_seconds += trio.current_time() - began

    async def _fall_back(self, call: Call, reply: Reply, fallbacks: list[Target], primary: GatewayError) -> None:
        assert call.target is not None
        of_primary = call.target, call.spoken_to_in, call.dropped_params
        tried = {str(call.target)}
        for number, target in enumerate(fallbacks, 1):
            if str(target) in tried:
                continue
            tried.add(str(target))
            call.target = target
            call.fallback = number
            try:
                await self._following(call, reply)
            except (ProviderError, QueueFull, RequestError) as error:
                # Also what this target alone cannot do (an operation, a field that its format has no place for).
                if call.outcome.committed:
                    raise
                error.forget_frames()
            else:
                primary.forget_frames()
                return
        # The answer is about the primary again: whose it is, and in which format its error came.
        call.target, call.spoken_to_in, call.dropped_params = of_primary
        call.fallback = 0
        raise primary
