"""The wire languages, and their translation to and from the common shape.

A format is a set of pure functions on decoded JSON (`bifrost_trio.types.Format`). `FORMATS` holds those there are.

The **common shape** is OpenAI's chat completion: its request, its answer, its chunk, as plain dicts. Other APIs say
more; what they say has these members beside OpenAI's own. A client of ``/v1`` may send them too.

Request
    =========================  =======================================================  =============================
    member                     meaning                                                  Anthropic
    =========================  =======================================================  =============================
    ``client_format``          the client's format where it is not OpenAI's; never sent
    ``max_completion_tokens``  limit on output                                          ``max_tokens``
    ``stop``                   a string or a list                                       ``stop_sequences``
    ``user``                   who asks                                                 ``metadata.user_id``
    ``service_tier``           ``auto``, ``default``                                    ``auto``, ``standard_only``
    ``reasoning_effort``       none, minimal, low, medium, high, xhigh, max             ``output_config.effort``
    ``reasoning``              ``effort`` and ``max_tokens``, as OpenRouter has them    ``thinking``
    ``thinking``               asked for explicitly; wins over ``reasoning_effort``     the same
    ``response_format``        ``json_schema``                                          ``output_config.format``
    ``output_config``          what else stands there (``task_budget``)                 the same
    ``parallel_tool_calls``    more than one call in an answer                          ``disable_parallel_tool_use``
    ``top_k``                  sampling                                                 the same
    ``cache_control``          end of a cached prefix; also on parts, tools, messages   the same
    ``container``, ``mcp_servers``, ``context_management``, ``inference_geo``, ``speed``, ``user_profile_id``: the same
    =========================  =======================================================  =============================

Message
    =======================  ======================================================================================
    member                   meaning
    =======================  ======================================================================================
    ``reasoning_content``    the thinking, as text
    ``thinking_blocks``      the same with signatures, and redacted thinking: Anthropic's blocks, to be sent back
    ``content_blocks``       a whole assistant turn as Anthropic's blocks, in order, where ``content``,
                             ``thinking_blocks`` and ``tool_calls`` could not give it back (citations, server tools,
                             several texts); it counts only while it says the same as those
    ``tool_calls[].caller``  who called the tool, when it was another tool
    ``is_error``             of a ``tool`` message: the tool failed; its ``content`` may hold images and files
    ``reasoning_items``      OpenAI's reasoning items of the Responses API as they are (``id``, ``summary``,
                             ``encrypted_content``), to be sent back
    ``extra_content``        what Google keeps with an answer: ``{"google": {"thought_signature": …}}``, as in its
                             OpenAI-compatible API; beside ``function`` in a tool call, too
    ``annotations``          citations of web pages, as OpenAI has them
    =======================  ======================================================================================

Part of a content
    ``cache_control`` and ``citations`` on a text; ``{"type": "file", "file": {…}}`` with one of ``file_data`` (a data
    URL), ``file_id``, ``file_url``, ``file_text``, and ``filename`` (Anthropic's title), beside it ``citations`` and
    ``context``; ``{"type": "video_url", "video_url": {"url": …}}``, which some providers have. Any other part is a
    block of Anthropic's as it is (``search_result``, ``container_upload`` …). A tool without ``function`` is a server
    tool as it is; ``defer_loading`` and the like stand beside ``function``.

Tool calls
    Anthropic's ``input`` is an object: arguments that are not JSON, or no object, become ``{"raw_arguments": "…"}``.
    In a stream the pieces of a call's arguments, joined, are what the provider sent, to the byte.

Answer
    ``choices[].native_finish_reason`` is the provider's own word, ``stop_sequence`` the one that was met,
    ``stop_details`` why it refused. ``usage`` counts as OpenAI does: ``prompt_tokens`` includes
    ``prompt_tokens_details.cached_tokens``, ``.cache_write_tokens``, ``.audio_tokens``, ``.image_tokens``, and
    ``completion_tokens`` what ``completion_tokens_details.reasoning_tokens``, ``.audio_tokens``, ``.image_tokens`` say;
    what else a provider counts keeps its name.
    ``container`` and ``context_management`` as in Anthropic's.

Chunk
    A delta may have ``reasoning_content``, ``thinking_blocks``, ``citations`` and ``content_blocks``; see
    `bifrost_trio.formats.anthropic.stream_in`. ``early_usage`` is what was counted before the output began.

The other OpenAI languages (completions, embeddings, responses) are spoken from end to end and are their own shape.
Paths in ``dropped`` are those of the common shape: ``logprobs``, ``messages[2].name``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from bifrost_trio.formats.anthropic import anthropic, anthropic_count_tokens
from bifrost_trio.formats.openai_chat import OpenAIChat, openai_chat
from bifrost_trio.formats.openai_same import openai_completions, openai_embeddings, openai_responses

if TYPE_CHECKING:
    from bifrost_trio.types import Format

__all__ = [
    "FORMATS",
    "OpenAIChat",
    "anthropic",
    "anthropic_count_tokens",
    "openai_chat",
    "openai_completions",
    "openai_embeddings",
    "openai_responses",
]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "openai_chat": openai_chat,
        "openai_completions": openai_completions,
        "openai_embeddings": openai_embeddings,
        "openai_responses": openai_responses,
        "anthropic": anthropic,
        "anthropic_count_tokens": anthropic_count_tokens,
    }
)
"""By name; the names are also those of the side scans in `bifrost_trio._wire.StreamScan`."""
