"""A whole answer as the stream that it would have come in."""

from __future__ import annotations

from collections.abc import Iterator

from bifrost_trio.types import JsonObject, Operation

__all__ = ["as_chunks"]


def as_chunks(operation: Operation, answer: JsonObject) -> Iterator[JsonObject]:
    """The chunks of a streamed answer, in the shape of its operation (platform.openai.com, "Streaming")."""
    if operation is Operation.RESPONSES:
        for number, event in enumerate(_events(answer)):
            yield {**event, "sequence_number": number}
    elif operation is Operation.TEXT_COMPLETION:
        # A chunk of a text completion has the shape of a whole one.
        yield answer
    else:
        yield from _chat(answer)


def _chat(answer: JsonObject) -> Iterator[JsonObject]:
    """For each choice one chunk with the message and one with its end; then the usage."""
    head: JsonObject = {key: answer[key] for key in ("id", "created", "model") if key in answer}
    head["object"] = "chat.completion.chunk"
    for choice in answer["choices"]:
        index = choice.get("index", 0)
        delta = dict(choice.get("message", {}))
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": i, **made} for i, made in enumerate(delta["tool_calls"])]
        yield {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        end = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason", "stop")}
        yield {**head, "choices": [end]}
    if answer.get("usage"):
        yield {**head, "choices": [], "usage": answer["usage"]}


def _events(response: JsonObject) -> Iterator[JsonObject]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    for index, item in enumerate(response["output"]):
        place = {"output_index": index}
        bare = {key: _EMPTY.get(key, value) for key, value in item.items()}
        yield {"type": "response.output_item.added", **place, "item": {**bare, "status": "in_progress"}}
        yield from _inside({"item_id": item.get("id", ""), **place}, item)
        yield {"type": "response.output_item.done", **place, "item": item}
    incomplete = response.get("status") == "incomplete"
    yield {"type": "response.incomplete" if incomplete else "response.completed", "response": response}


_EMPTY: JsonObject = {"arguments": "", "content": []}
"""What of an item comes piece by piece, as it is before the first piece."""


def _inside(place: JsonObject, item: JsonObject) -> Iterator[JsonObject]:
    if item.get("type") == "function_call":
        arguments = item.get("arguments", "")
        yield {"type": "response.function_call_arguments.delta", **place, "delta": arguments}
        done = {"name": item.get("name", ""), "arguments": arguments}
        yield {"type": "response.function_call_arguments.done", **place, **done}
    for index, part in enumerate(item.get("content") or ()):
        at = {**place, "content_index": index}
        member = "refusal" if part.get("type") == "refusal" else "text"
        kind = "response.refusal" if member == "refusal" else "response.output_text"
        more: JsonObject = {} if member == "refusal" else {"logprobs": []}
        yield {"type": "response.content_part.added", **at, "part": {**part, member: ""}}
        yield {"type": f"{kind}.delta", **at, "delta": part.get(member, ""), **more}
        yield {"type": f"{kind}.done", **at, member: part.get(member, ""), **more}
        yield {"type": "response.content_part.done", **at, "part": part}
