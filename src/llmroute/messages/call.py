"""A call: one request as it came in, with what we need to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import Headers

__all__ = ["NOBODY", "Call", "Endpoint", "Format", "Sender", "Spoken"]

Endpoint = Literal["messages", "count_tokens"]
Format = Literal["messages", "chat", "responses"]
"""A format of requests and answers: Anthropic's Messages, or OpenAI's Chat Completions and
Responses."""


class Sender(NamedTuple):
    """Who makes a call, as the records name them.

    Attributes:
        key: The name of the key that was presented; `local` where the proxy has none, empty in
            process.
        owner: Whose key it is, or whom a gateway in front named; an e-mail address, say.
        team: The name of the key's team.
        tags: What the key and its team are marked with.
        account: The key itself, for those above who know keys; `None` for the master key, and in
            process.
    """

    key: str = ""
    owner: str = ""
    team: str = ""
    tags: tuple[str, ...] = ()
    account: object = None


NOBODY = Sender()
"""The sender of a call in process."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a client of another format has said, in its own words.

    Attributes:
        format: Which format that is.
        body: The request, as it came.
        losses: What of it has no place in the Messages request made of it, a line each.
        obstacle: Why no Messages request can ask for the same; empty if one can.
    """

    format: Format
    body: Envelope
    losses: tuple[str, ...] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, from either door.

    Attributes:
        body: The Messages request; its members keep their bytes.
        model: The alias that was asked for.
        stream: Whether the answer is to be a stream of events.
        endpoint: `messages`, or `count_tokens`.
        query: The raw query string, without its question mark.
        headers: What of the caller's headers an Anthropic-format upstream gets to see.
        client_auth: The caller's own credential headers, for deployments that forward them; never
            a key of ours.
        sender: Who makes it.
        session: Claude Code's session id, if there is one.
        agent: Claude Code's agent id, on a subagent's requests.
        parent: The id of the agent that started this one, where that is a subagent itself.
        kind: The class of request of Claude Code's: `main`, `subagent`, `auxiliary`, `compaction`,
            …; empty for other clients.
        tags: What the request is marked with, besides what its sender is.
        client: What the caller calls itself, `claude-cli/2.1.330` say.
        trace: The W3C `traceparent` it came with; empty if there is none, or it is none.
        trace_state: The `tracestate` beside it.
        is_ours: Whether llmroute makes it by itself, on behalf of the sender's own call.
        without: Betas and places that the deployment has refused, and that are left out.
        timeout: Seconds the caller will wait for the answer to begin, and then for each pause in
            it; `None` for the deployment's own.
        spoken: The request as it came, where that was in another format than Messages; `body` is
            its translation.
        input_tokens: How long the prompt is, by an estimate for the model that is asked; 0 if
            there is none.  Where the upstream tells only at the end, an answer begins with it.
    """

    body: Envelope
    model: str
    stream: bool = False
    endpoint: Endpoint = "messages"
    query: str = ""
    headers: Headers = ()
    client_auth: Headers = ()
    sender: Sender = NOBODY
    session: str = ""
    agent: str = ""
    parent: str = ""
    kind: str = ""
    tags: tuple[str, ...] = ()
    client: str = ""
    trace: str = ""
    trace_state: str = ""
    is_ours: bool = False
    without: frozenset[str] = frozenset()
    timeout: float | None = None
    spoken: Spoken | None = None
    input_tokens: int = 0

    @property
    def rough_tokens(self) -> int:
        """How many tokens the body may have, by its length alone: four bytes to a token."""
        return sum(map(len, self.body.pieces())) // 4
