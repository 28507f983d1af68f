"""Requests of clients that speak the upstream's own format: they go on as they came.

What translates them stays beside it: by it the answer is read, and others may be asked instead.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llmroute.messages.call import Call, Format, Spoken
from llmroute.providers._base import Deployment, UpstreamRequest
from llmroute.wire.envelope import MALFORMED

__all__ = ["spoken_in", "spoken_request"]

# Reasoning that a client was given by a translation of ours, and that only a translation reads.
_OURS = (b"llmr1.", b'"thinking_blocks"')


def spoken_in(call: Call, written: Format) -> Spoken | None:
    """Return what the caller said, if that is in this format and can go on as it is."""
    spoken = call.spoken
    if spoken is None or spoken.format != written or call.endpoint != "messages":
        return None
    raw = b"".join(spoken.body.pieces())
    return None if any(mark in raw for mark in _OURS) else spoken


def spoken_request(
    spoken: Spoken,
    deployment: Deployment,
    model: str,
    url: str,
    headers: list[tuple[bytes, bytes]],
    *,
    asks_usage: bool = False,
) -> UpstreamRequest:
    """Return the request as it came, but for the model and for what the deployment sets.

    Args:
        asks_usage: Ask for the usage at the end of a stream of Chat Completions, if the caller did
            not; it is counted here, and not handed on.
    """
    members = dict(deployment.extra_body)
    if spoken.body.string("model") != model:
        members["model"] = model
    hides = None
    if asks_usage and spoken.body.is_true("stream"):
        given = spoken.body.get("stream_options")
        options = given if isinstance(given, dict) else {}
        if options.get("include_usage") is not True:
            members["stream_options"] = {**options, "include_usage": True}
            hides = _is_usage
    body = spoken.body.replace(**members) if members else spoken.body
    return UpstreamRequest("POST", url, headers, body.pieces(), format=spoken.format, hides=hides)


class _Chunk(msgspec.Struct):
    choices: Any = None
    usage: Any = None


_chunk = msgspec.json.Decoder(_Chunk).decode


def _is_usage(data: bytes) -> bool:
    """Tell whether a chunk holds the usage, and nothing else."""
    if b'"usage"' not in data:
        return False
    try:
        chunk = _chunk(data)
    except MALFORMED:
        return False
    return chunk.choices == [] and isinstance(chunk.usage, dict)
