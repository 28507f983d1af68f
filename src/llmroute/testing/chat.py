"""Fakes of servers that speak OpenAI's Chat Completions, Azure's among them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.testing._chat_body import problem_with
from llmroute.testing._chat_chunks import as_chunk, chunks, completion
from llmroute.testing._openai_body import complaint_about
from llmroute.testing.answer import Answer, Document, Error, Message, Raw, Request, Script, Stream
from llmroute.testing.foundry import azure_error
from llmroute.testing.openai import FakeOpenAI, openai_error
from llmroute.testing.received import Received
from llmroute.testing.upstream import FakeUpstream

__all__ = ["FakeAzureOpenAI", "FakeChat", "chat_chunks"]

_CLASSIC = "/openai/deployments/"
_NEWER = "/openai/v1/chat/completions"
# By path, whether a version must be named.
_RESPONSES = {"/openai/v1/responses": False, "/openai/responses": True}
_PATH = "/chat/completions"


def chat_chunks(*given: Mapping[str, Any] | bytes) -> Answer:
    """Answer with these chunks, whatever was asked for; bytes go out as they are."""
    frames = tuple(each if isinstance(each, bytes) else as_chunk(each) for each in given)
    return Answer(Stream(frames))


class FakeChat(FakeUpstream):
    """A server on 127.0.0.1 that speaks Chat Completions, as strict as OpenAI's.

    Answers are those of `FakeUpstream`, put in this format's words; `chat_chunks` makes odd
    streams, and `openai_error` errors.

        >>> from llmroute.testing import FakeChat
        >>> with FakeChat() as server:
        ...     config = {
        ...         "deployments": {"c": {"provider": "openai_compatible", "base_url": server.url}},
        ...         "aliases": {"claude-*": "c"},
        ...     }

    Attributes:
        reasoning: The member of an answer that thinking goes into.
        takes: The members of a request that are taken; all that OpenAI or a like server knows if
            `None`.
    """

    def __init__(
        self, *, port: int = 0, api_key: str | None = None, keep: int | None = None
    ) -> None:
        """Make a server; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            api_key: Demanded as bearer; nothing is demanded if `None`.
            keep: How many requests to remember; all if `None`.
        """
        super().__init__(port=port, prefix="/v1", keep=keep)
        self.reasoning = "reasoning_content"
        self.takes: frozenset[str] | None = None
        self._key = api_key

    def _scripted(self, answer: Answer, request: Request) -> Script:
        match answer.content:
            case Message(_, deltas):
                whole = answer.script(request._replace(stream=False))
                message = msgspec.json.decode(b"".join(whole.pieces))
                answer = self._worded(answer, message, deltas, stream=request.stream)
            case Error(described):
                error = openai_error(
                    answer.status, str(described["message"]), type=str(described["type"])
                )
                answer = replace(answer, content=error.content)
            case Stream() | Document() | Raw():
                pass
        script = answer.script(request)
        return script._replace(
            headers=tuple(
                ("x-request-id", value) if name == "request-id" else (name, value)
                for name, value in script.headers
            )
        )

    def _worded(
        self, answer: Answer, message: Mapping[str, Any], deltas: int, *, stream: bool
    ) -> Answer:
        if not stream:
            body = msgspec.json.encode(completion(message, self.reasoning))
            return replace(answer, content=Document(body), _failure=None)
        frames = tuple(chunks(message, deltas, self.reasoning, with_usage=True))
        count = answer.fails_after
        if count is not None:
            error = {"message": "Overloaded", "type": "server_error", "code": "overloaded"}
            frames = (*frames[:count], as_chunk({"error": error}))
        return replace(answer, content=Stream(frames), _failure=None)

    def _chosen(self, received: Received, problem: str) -> Answer:
        del problem
        if (routed := self._routed(received, f"{received.method} {received.path}")) is not None:
            return routed
        return self._problem(received) or self._next(received)

    def _problem(self, received: Received) -> Answer | None:
        if (received.method, received.path) != ("POST", f"{self._prefix}{_PATH}"):
            return openai_error(404, f"Invalid URL ({received.method} {received.path})")
        if self._key is not None and received.header("authorization") != f"Bearer {self._key}":
            return openai_error(401, "Incorrect API key provided.", code="invalid_api_key")
        return self._of_body(received)

    def _of_body(self, received: Received) -> Answer | None:
        for name, _ in received.headers:
            if name.lower().startswith(("anthropic-", "x-claude-code-")):
                return openai_error(400, f"{name} is for somebody else")
        wrong = problem_with(received.body, takes=self.takes)
        return None if wrong is None else openai_error(400, wrong)


class FakeAzureOpenAI(FakeChat):
    """Azure OpenAI on 127.0.0.1, at both of its addresses.

    It takes its key as `api-key`, and tokens that a `FakeEntra` has given.  Responses are answered
    as by a `FakeOpenAI`.

    Attributes:
        deployments: The names that can be asked for; any if `None`.
        tokens: Those that were given, each with its end.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = "fake-key",
        deployments: set[str] | None = None,
        keep: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            api_key: Its key.
            deployments: The names that can be asked for; any if `None`.
            keep: How many requests to remember; all if `None`.
            clock: Seconds since 1970, for tokens.
        """
        super().__init__(port=port, api_key=api_key, keep=keep)
        self._prefix = ""
        self._openai = FakeOpenAI()
        self.deployments = deployments
        self.tokens: dict[str, float] = {}
        self._clock = clock

    def _problem(self, received: Received) -> Answer | None:
        name = received.json.get("model") if received.body[:1] == b"{" else None
        if received.path.startswith(_CLASSIC) and received.path.endswith(_PATH):
            name = unquote(received.path.removeprefix(_CLASSIC).removesuffix(_PATH))
            if "api-version=" not in received.query:
                return azure_error(404, "Resource not found")
        elif received.path in _RESPONSES:
            if _RESPONSES[received.path] and "api-version=" not in received.query:
                return azure_error(404, "Resource not found")
        elif received.path != _NEWER:
            return azure_error(404, "Resource not found")
        kind, _, token = (received.header("authorization") or "").partition(" ")
        is_known = kind == "Bearer" and self._clock() < self.tokens.get(token, 0.0)
        if not is_known and received.header("api-key") != self._key:
            return azure_error(
                401, "Access denied due to invalid subscription key or wrong API endpoint."
            )
        if self.deployments is not None and name not in self.deployments:
            return azure_error(
                404,
                "The API deployment for this resource does not exist.",
                code="DeploymentNotFound",
            )
        return self._of_body(received)

    def _of_body(self, received: Received) -> Answer | None:
        if received.path not in _RESPONSES:
            return super()._of_body(received)
        wrong = complaint_about(received.json, self._openai.reasoning, counting=False)
        if wrong is None:
            return None
        return openai_error(400, wrong.message, code=wrong.code, param=wrong.param)

    def _scripted(self, answer: Answer, request: Request) -> Script:
        if request.path in _RESPONSES:
            return self._openai.worded(answer, request).script(request)
        return super()._scripted(answer, request)
