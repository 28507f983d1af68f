"""What a prompt begins with, in digests: tools, system, and each message.

What moves from turn to turn without breaking anything is left out: the marks of where to cache,
with which a text alone becomes a block, Claude Code's attribution, and tools that are to be loaded
when they are searched for.
A digest is good for one process only, and says nothing of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from xxhash import xxh3_64_intdigest

from llmroute.errors import InvalidRequestError
from llmroute.usage.marks import is_marked, unmarked
from llmroute.usage.transcript import Transcript, said
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers

__all__ = ["Prompt", "prompt_of"]

_ATTRIBUTION: Final = b'"x-anthropic-billing-header'
_DEFERRED: Final = b'"defer_loading"'
_LONGEST: Final = 80  # characters of a tool's name

# They stand in no block, but change what the model reads.  With the first ones the cache of the
# messages is lost for sure: https://platform.claude.com/docs/en/build-with-claude/prompt-caching,
# on what invalidates it.
_PARAMETERS: Final = ("thinking", "tool_choice", "speed")
_OTHERS: Final = ("output_config", "context_management")
_BETAS: Final = b"anthropic-beta"

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Tool(msgspec.Struct):
    name: Any = None
    type: Any = None
    defer_loading: Any = None


_tool = msgspec.json.Decoder(_Tool).decode


class _Sent(NamedTuple):
    """A member as it was sent: a digest of its bytes, and whether there is a mark in them."""

    digest: int
    is_marked: bool


class Prompt(NamedTuple):
    """A request's prompt, in the order in which it is cached.

    Attributes:
        tools: The name and the digest of each.
        system: A digest of each block.
        parameters: Members on which the cache of the messages depends, by name.
        others: Members on which it may depend.
        said: The messages.
        tools_as_sent: The member, marks and all; and so is `system_as_sent`.
    """

    tools: tuple[tuple[str, int], ...]
    system: tuple[int, ...]
    parameters: tuple[tuple[str, int], ...]
    others: tuple[tuple[str, int], ...]
    said: Transcript
    tools_as_sent: _Sent
    system_as_sent: _Sent

    @property
    def is_marked(self) -> bool:
        """Whether the client has marked anything at all."""
        marked = (self.said.is_marked, self.system_as_sent.is_marked, self.tools_as_sent.is_marked)
        return any(marked)


def prompt_of(body: Envelope, headers: Headers, earlier: Sequence[Prompt]) -> Prompt | None:
    """Take the digests of a Messages request; `None` if it is none.

    Args:
        body: The request.
        headers: Of the request, those that an upstream gets to see.
        earlier: Prompts that it may be the next turn of: what one of them has is not looked at
            again, so that a long conversation costs little more than reading it once.
    """
    try:
        return _prompt(body, headers, earlier)
    except (InvalidRequestError, *MALFORMED):
        return None


def _prompt(body: Envelope, headers: Headers, earlier: Sequence[Prompt]) -> Prompt:
    raw_tools = body.raw("tools") if "tools" in body else memoryview(b"[]")
    raw_system = body.raw("system") if "system" in body else memoryview(b"[]")
    as_tools, as_system = xxh3_64_intdigest(raw_tools), xxh3_64_intdigest(raw_system)
    by_tools = next((each for each in earlier if each.tools_as_sent.digest == as_tools), None)
    by_system = next((each for each in earlier if each.system_as_sent.digest == as_system), None)
    if by_tools is not None:
        tools, tools_as_sent = by_tools.tools, by_tools.tools_as_sent
    else:
        data = bytes(raw_tools)
        tools, tools_as_sent = tuple(_tools(data)), _Sent(as_tools, is_marked(data))
    if by_system is not None:
        system, system_as_sent = by_system.system, by_system.system_as_sent
    else:
        data = bytes(raw_system)
        system, system_as_sent = tuple(_system(data)), _Sent(as_system, is_marked(data))
    messages = body.raw("messages") if "messages" in body else memoryview(b"[]")
    transcript = Transcript(messages, [each.said for each in earlier])
    betas = hash(tuple([value for name, value in headers if name == _BETAS]))
    return Prompt(
        tools,
        system,
        tuple((name, hash(bytes(body.raw(name)))) for name in _PARAMETERS if name in body),
        (
            *((name, hash(bytes(body.raw(name)))) for name in _OTHERS if name in body),
            ("anthropic-beta", betas),
        ),
        transcript,
        tools_as_sent,
        system_as_sent,
    )


def _tools(raw: bytes) -> Iterator[tuple[str, int]]:
    for item in _items(raw):
        data, _ = unmarked(bytes(item))
        tool = _tool(data)
        # One that is to be searched for is not in the prompt before it is found.
        if not (_DEFERRED in data and tool.defer_loading is True):
            yield str(tool.name or tool.type or "")[:_LONGEST], hash(data)


def _system(raw: bytes) -> Iterator[int]:
    if raw[:1] != b"[":
        yield hash(raw)
        return
    for at, item in enumerate(_items(raw)):
        block = said(unmarked(bytes(item))[0])
        # It keeps its place, and is the same whatever it says.
        yield hash(block) if at or not block.startswith(_ATTRIBUTION) else 0
