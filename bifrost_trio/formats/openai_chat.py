"""OpenAI's chat completions (platform.openai.com, "Create chat completion"): the language of the common shape."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from bifrost_trio.errors import InvalidField, MalformedAnswer
from bifrost_trio.formats.content import member
from bifrost_trio.formats.openai_language import OpenAILanguage
from bifrost_trio.formats.openai_request import translate_request
from bifrost_trio.formats.openai_stream import check_choice

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["OpenAIChat", "openai_chat"]


class OpenAIChat(OpenAILanguage):
    """What an OpenAI client sent goes on unchanged; what another client sent is brought to OpenAI's documented members.

    ``accepts`` names members of the common shape that a compatible provider takes beyond those (DeepSeek
    ``reasoning_content``, OpenRouter ``cache_control``, vLLM ``top_k``). ``limit_member`` is the provider's name for
    the limit on tokens: older compatible ones know only ``max_tokens``.
    """

    name: str

    def __init__(
        self,
        name: str = "openai_chat",
        *,
        accepts: Set[str] = frozenset(),
        limit_member: str = "max_completion_tokens",
    ) -> None:
        self.name = name
        self._accepts = accepts
        self._limit_member = limit_member

    def decode_request(self, wire: JsonObject) -> JsonObject:
        """The same, once its structure is one that every other format can rely on. Raises InvalidField."""
        _check_messages(wire.get("messages"))
        for n, tool in enumerate(_list(wire.get("tools"), "tools")):
            _object(tool, f"tools[{n}]")
        return wire

    def encode_request(self, common: JsonObject, dropped: list[str]) -> JsonObject:
        if common.get("client_format", "openai_chat") != "openai_chat":
            return translate_request(common, self._accepts, self._limit_member, dropped)
        return {name: value for name, value in common.items() if value is not None and name != "client_format"}

    def decode_answer(self, wire: JsonObject) -> JsonObject:
        """The same. Raises MalformedAnswer where there are no choices."""
        choices = member(wire, "choices")
        if not isinstance(choices, list):
            raise MalformedAnswer("The provider's answer is not a chat completion: it has no list of choices.")
        for choice in choices:
            check_choice(choice, "message")
        return wire


def _object(value: Any, path: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidField(f"{path} must be an object.", path)
    return value


def _list(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidField(f"{path} must be an array.", path)
    return value


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise InvalidField("messages is required.", "messages", "missing_required_parameter")
    for n, message in enumerate(_list(messages, "messages")):
        plain = isinstance(message, dict) and isinstance(message.get("content"), str) and "tool_calls" not in message
        if not plain or not isinstance(message.get("role"), str):
            _check_message(message, f"messages[{n}]")


def _check_message(message: Any, path: str) -> None:
    if not isinstance(_object(message, path).get("role"), str):
        raise InvalidField(f"{path}.role must be a string.", f"{path}.role")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        for k, part in enumerate(_list(content, f"{path}.content")):
            if not isinstance(part, str | dict):
                _object(part, f"{path}.content[{k}]")
    for k, call in enumerate(_list(message.get("tool_calls"), f"{path}.tool_calls")):
        _object(call, f"{path}.tool_calls[{k}]")


openai_chat = OpenAIChat()
