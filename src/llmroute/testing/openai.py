"""A fake OpenAI: the Responses API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from llmroute.testing._events import frame
from llmroute.testing._openai_body import complaint_about
from llmroute.testing._openai_events import events, response
from llmroute.testing.answer import Answer, Document, Error, Message, Request, Script, Stream
from llmroute.testing.answers import as_json
from llmroute.testing.received import Received
from llmroute.testing.upstream import FakeUpstream

__all__ = ["FakeOpenAI", "openai_error"]

_RESPONSES = "/v1/responses"
_COUNTING = "/v1/responses/input_tokens"
# Nobody but Anthropic is to know who asks, and with which client.
_ANTHROPICS = ("anthropic-", "x-claude-code-", "x-api-key")


def openai_error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    type: str = "invalid_request_error",  # noqa: A002 - the API's own name
    param: str | None = None,
) -> Answer:
    """Answer with an error as OpenAI words its own.

    >>> openai_error(429, "Rate limit reached", code="rate_limit_exceeded").status
    429
    """
    described = {"message": message, "type": type, "param": param, "code": code}
    return as_json({"error": described}, status)


class FakeOpenAI(FakeUpstream):
    """OpenAI's Responses API on 127.0.0.1, as strict as the real one.

    It refuses members it does not know, results without their calls and calls without results,
    reasoning that it has not handed out itself, and whatever is meant for Anthropic.  Answers are
    those of `FakeUpstream`, and it puts them in its own words; `openai_error` makes its errors.

        >>> from llmroute import sync
        >>> from llmroute.testing import FakeOpenAI
        >>> with FakeOpenAI(api_key="sk-1") as upstream:
        ...     deployment = {
        ...         "provider": "openai",
        ...         "base_url": upstream.url + "/v1",
        ...         "api_key": "sk-1",
        ...         "model": "gpt-5.4",
        ...     }
        ...     config = {"deployments": {"o": deployment}, "aliases": {"claude-*": "o"}}
        ...     with sync.Router.from_dict(config) as router:
        ...         messages = [{"role": "user", "content": "Name a river."}]
        ...         message = router.complete(model="claude-a", max_tokens=64, messages=messages)
        ...     message.text, upstream.requests[0].path
        ('Hello! What can I do for you?', '/v1/responses')

    Attributes:
        reasoning: What it has handed out encrypted, by its id; take some away to have it refused.
    """

    def __init__(
        self, *, port: int = 0, api_key: str | None = None, keep: int | None = None
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            api_key: Demanded as bearer; nothing is demanded if `None`.
            keep: How many requests to remember; all if `None`.
        """
        super().__init__(port=port, api_key=api_key, keep=keep)
        self.reasoning: dict[str, str] = {}
        self._responses = 0

    def _chosen(self, received: Received, problem: str) -> Answer:
        if (routed := self._routed(received, f"{received.method} {received.path}")) is not None:
            return routed
        counting = received.path == _COUNTING
        refusal = self._refusal(received, problem, counting=counting)
        if refusal is not None:
            return refusal
        if counting:
            count = max(1, len(received.body) // 4)
            return as_json({"object": "response.input_tokens", "input_tokens": count})
        return self._next(received)

    def _refusal(self, received: Received, problem: str, *, counting: bool) -> Answer | None:
        key = self._api_key
        if key is not None and received.header("authorization") != f"Bearer {key}":
            text = "Incorrect API key provided: sk-fa**********ke."
            return openai_error(401, text, code="invalid_api_key")
        if received.method != "POST" or received.path not in (_RESPONSES, _COUNTING):
            return openai_error(404, f"Invalid URL ({received.method} {received.path})")
        if problem:
            return openai_error(400, "We could not parse the JSON body of your request.")
        astray = [name for name, _ in received.headers if name.lower().startswith(_ANTHROPICS)]
        if astray:
            return openai_error(400, f"{astray[0]}: this is not Anthropic")
        wrong = complaint_about(received.json, self.reasoning, counting=counting)
        if wrong is None:
            return None
        return openai_error(400, wrong.message, code=wrong.code, param=wrong.param)

    def _scripted(self, answer: Answer, request: Request) -> Script:
        return self.worded(answer, request).script(request)

    def worded(self, answer: Answer, request: Request) -> Answer:
        """Return an answer in the words of Responses."""
        match answer.content:
            case Message(members, deltas):
                self._responses += 1
                made, reasoning = response(members, request.model, self._responses)
                self.reasoning |= reasoning
                content: Stream | Document = Document(msgspec.json.encode(made))
                if request.stream:
                    content = Stream(_failing(events(made, deltas), answer.fails_after))
                answer = replace(answer, content=content, _failure=None)
            case Error(described):
                said: dict[str, Any] = {**described, "code": None, "param": None}
                answer = replace(answer, content=Document(msgspec.json.encode({"error": said})))
        return answer


def _failing(given: Iterable[bytes], count: int | None) -> tuple[bytes, ...]:
    """End a stream after so many events with one that is an error."""
    frames = tuple(given)
    if count is None:
        return frames
    described = {
        "type": "server_error",
        "code": "server_is_overloaded",
        "message": "Overloaded",
        "param": None,
    }
    return (*frames[:count], frame({"type": "error", "sequence_number": count, "error": described}))
