"""``mock``: the provider that is not one, on a port."""

from __future__ import annotations

import signal

import trio

from bifrost_trio.cli.options import Options
from bifrost_trio.cli.output import UsageError, complain, say
from bifrost_trio.mock import MockProvider, serve_mock

__all__ = ["mock"]


def mock(options: Options) -> int:
    """Serves until SIGINT or SIGTERM; the exit status."""
    try:
        provider = MockProvider(_default(options), options.rules)
    except ValueError as error:
        raise UsageError(f"{error} (see bifrost-trio mock --help)") from None
    try:
        trio.run(_serve, options, provider)
    except BaseExceptionGroup as group:
        reason = _reason(group)
        if reason is None:
            raise
        complain(f"cannot listen on {options.host} port {options.port}: {reason} (another one: --port)")
        return 1
    return 0


def _default(options: Options) -> str:
    given = {"delay": options.delay, "first-output": options.first_output, "gap": options.gap}
    return " ".join(f"{name}={seconds}" for name, seconds in given.items() if seconds is not None)


def _reason(group: BaseExceptionGroup[BaseException]) -> str | None:
    """Why the socket could not be had, if that is what happened."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (error.strerror or str(error)) if isinstance(error, OSError) else None


async def _serve(options: Options, provider: MockProvider) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            listening = await nursery.start(serve_mock, options.host, options.port, provider)
            host = f"[{options.host}]" if ":" in options.host else options.host
            url = f"http://{host}:{listening.port}"
            say(f"mock provider on {url}, as OpenAI and as Anthropic; Ctrl-C ends it")
            await anext(signals)
            nursery.cancel_scope.cancel()
