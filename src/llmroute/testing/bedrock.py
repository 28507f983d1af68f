"""A fake Amazon Bedrock."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.testing import _converse_body
from llmroute.testing._bedrock_body import problem_with
from llmroute.testing._converse_events import converse_document, converse_frames
from llmroute.testing._sigv4 import AwsKey, Refused, signer_of
from llmroute.testing.answer import Answer, Document, Error, Message, Request, Script
from llmroute.testing.answers import as_json, error
from llmroute.testing.received import Received
from llmroute.testing.upstream import Asked, FakeUpstream
from llmroute.wire.eventstream import encode
from llmroute.wire.sse import SSEDecoder

__all__ = ["FakeBedrock", "aws_error"]

_PATH = re.compile(
    r"/model/([^/]+)/(invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)"
)
_STREAMS = frozenset({"invoke-with-response-stream", "converse-stream"})
_MODEL = re.compile(
    r"(?:[a-z-]+\.)?anthropic\.claude-[a-z0-9.:-]+"
    r"|arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:[a-z-]+/[A-Za-z0-9.:/_-]+"
)
_FOUNDATION = re.compile(r"anthropic\.claude-[a-z0-9.:-]+")
_MESSAGES = "/v1/messages"
# The services that signatures are for, by where the Messages API is.
_NATIVE = {"/anthropic": "bedrock-mantle", "": "aws-external-anthropic"}
_STREAMED = ("content-type", "application/vnd.amazon.eventstream")

# What AWS calls the errors that the functions of `llmroute.testing` make.
_NAMES = {
    "invalid_request_error": ("ValidationException", 400),
    "authentication_error": ("UnrecognizedClientException", 403),
    "permission_error": ("AccessDeniedException", 403),
    "not_found_error": ("ResourceNotFoundException", 404),
    "rate_limit_error": ("ThrottlingException", 429),
    "timeout_error": ("ModelTimeoutException", 408),
    "api_error": ("InternalServerException", 500),
    "overloaded_error": ("ServiceUnavailableException", 503),
}
_STATUSES = dict(_NAMES.values()) | {
    "ExpiredTokenException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ServiceQuotaExceededException": 400,
}


def aws_error(name: str, message: str = "", *, status: int | None = None, **members: Any) -> Answer:
    """Answer with one of AWS's exceptions.

    >>> aws_error("ThrottlingException", "Too many requests").status
    429
    """
    headers = [("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/")]
    body = {"message": message, **members}
    return as_json(body, _STATUSES.get(name, 400) if status is None else status, headers)


class FakeBedrock(FakeUpstream):
    """Bedrock on 127.0.0.1, as strict as the real one: Claude, and other models by Converse.

    Bedrock's runtime API is at its `url`, Bedrock's Messages endpoint below `/anthropic`, and
    Claude Platform on AWS is at its `url` as well.

    It checks the signature over what it received, refuses the betas and members that Bedrock
    refuses, in its words, and streams in AWS's own framing.  Answers are those of `FakeUpstream`:
    errors come out as AWS's exceptions, and `fail` as an exception in the stream.  By Converse it
    takes ids that begin with a vendor's name; `test.` is one.

        >>> from llmroute.testing import FakeBedrock, text
        >>> with FakeBedrock() as bedrock:
        ...     bedrock.answer(text("Good morning."))
        ...     config = {
        ...         "deployments": {
        ...             "b": {
        ...                 "provider": "bedrock",
        ...                 "base_url": bedrock.url,
        ...                 "region": bedrock.region,
        ...                 "access_key_id": "AKIAFAKE",
        ...                 "secret_access_key": "fake-secret",
        ...                 "model": "anthropic.claude-haiku-4-5-20251001-v1:0",
        ...             }
        ...         },
        ...         "aliases": {"fast": "b"},
        ...     }

    Attributes:
        keys: Who may sign, by access key id; add to it, and take away, at any time.
        region: The region that signatures must be for.
        signers: The key that signed each request that was let in, in order.
        workspace_id: The workspace at Claude Platform on AWS.
        lacks: What a model refuses by Converse, by its id without a region: `system`, `tools`,
            `streamed_tools`, `text_beside_results`, `status`, `images`, `documents`, `reasoning`,
            `stop_sequences`, `any` or `tool`, the last two for choices of tools.
        longest: The longest answer of a model by Converse, in tokens, likewise.
        signatures: Those that reasoning was signed with by Converse; no other is taken back.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        region: str = "us-east-1",
        api_key: str | None = None,
        keep: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            region: The region that it is in.
            api_key: Taken as bearer, besides signatures.
            keep: How many requests to remember; all if `None`.
            clock: Seconds since 1970, for dates and expiry.
        """
        super().__init__(port=port, keep=keep)
        self.region = region
        self.keys: dict[str, AwsKey] = {"AKIAFAKE": AwsKey("fake-secret")}
        self.signers: list[str] = []
        self.workspace_id = "wrkspc_fake"
        self.lacks: dict[str, Collection[str]] = {}
        self.longest: dict[str, int] = {}
        self.signatures: set[str] = set()
        self._bearer = api_key
        self._clock = clock

    def _asked(self, received: Received) -> Asked:
        match = _PATH.fullmatch(received.path)
        if match is None:
            return super()._asked(received)
        # The answer bears the short name of a model, not the one in the path.
        model = unquote(match[1]).rpartition("/")[2].rpartition("anthropic.")[2]
        return Asked(model, match[2] in _STREAMS)

    def _chosen(self, received: Received, problem: str) -> Answer:
        base = received.path.removesuffix("/count_tokens").removesuffix(_MESSAGES)
        service = _NATIVE.get(base, "bedrock")
        try:
            self.signers.append(self._signer(received, service))
        except Refused as refused:
            return aws_error(refused.name, str(refused))
        routed = self._routed(received, f"{received.method} {received.path}")
        if routed is None and base in _NATIVE:
            return self._native(received, problem, service)
        return routed or self._invoked(received)

    def _native(self, received: Received, problem: str, service: str) -> Answer:
        """Answer at one of the addresses of the Messages API."""
        if problem:
            return error(400, message=f"The request body is not valid JSON: {problem}")
        if received.header("anthropic-version") is None:
            return error(400, message="anthropic-version: header is required")
        workspace = received.header("anthropic-workspace-id")
        if service == "aws-external-anthropic" and workspace != self.workspace_id:
            return error(403, message="anthropic-workspace-id: no such workspace")
        model = str(received.json.get("model"))
        if _FOUNDATION.fullmatch(model) is None and service == "bedrock-mantle":
            return error(404, message=f"model: {model}")
        if received.path.endswith("/count_tokens"):
            return as_json({"input_tokens": max(1, len(received.body) // 4)})
        return self._next(received)

    def _invoked(self, received: Received) -> Answer:
        match = _PATH.fullmatch(received.path)
        if match is None or received.method != "POST":
            return aws_error("UnknownOperationException", "", status=404)
        model, action = unquote(match[1]), match[2]
        if action.startswith("converse"):
            return self._conversed(received, model, streams=action in _STREAMS)
        if action == "count-tokens":
            return self._counted(model, received.body)
        if not _MODEL.fullmatch(model):
            text = "The provided model identifier is invalid."
            return aws_error("ValidationException", text)
        if wrong := problem_with(received.body, model):
            return aws_error("ValidationException", wrong)
        return self._next(received)

    def _conversed(self, received: Received, model: str, *, streams: bool) -> Answer:
        """Answer a request of Converse's."""
        for name, _ in received.headers:
            if name.lower().startswith(("anthropic-", "x-claude-", "x-api-key")):
                return aws_error("ValidationException", f"header {name} is none of AWS's")
        found = _converse_body.MODEL.fullmatch(model.rpartition("/")[2])
        if found is None:
            text = "The provided model identifier is invalid."
            return aws_error("ValidationException", text)
        if wrong := self._problem(received.body, found[1], streams=streams):
            return aws_error("ValidationException", wrong)
        if b'"cachePoint"' in received.body and not _converse_body.CACHES.match(found[1]):
            text = "You invoked an unsupported model or your request did not allow prompt caching."
            return aws_error("AccessDeniedException", text)
        return self._next(received)

    def _problem(self, body: bytes, model: str, *, streams: bool) -> str | None:
        return _converse_body.problem_with(
            body,
            model,
            lacks=self.lacks.get(model, _converse_body.lacks_of(model)),
            longest=self.longest.get(model),
            signatures=self.signatures,
            streams=streams,
        )

    def _counted(self, model: str, body: bytes) -> Answer:
        if not _FOUNDATION.fullmatch(model):
            text = "The provided model doesn't support counting tokens."
            return aws_error("ValidationException", text)
        try:
            given = msgspec.json.decode(body)["input"]
            if "converse" in given:
                counted = msgspec.json.encode(given["converse"])
                wrong = self._problem(counted, model, streams=False)
            else:
                counted = base64.b64decode(given["invokeModel"]["body"], validate=True)
                wrong = problem_with(counted, model)
        except (msgspec.DecodeError, KeyError, TypeError, binascii.Error):
            return aws_error("ValidationException", "The input is malformed.")
        if wrong:
            return aws_error("ValidationException", wrong)
        return as_json({"inputTokens": max(1, len(counted) // 4)})

    def _signer(self, received: Received, service: str) -> str:
        bearer = received.header("authorization") or ""
        if bearer.startswith("Bearer "):
            if self._bearer is None or bearer != f"Bearer {self._bearer}":
                raise Refused(
                    "AccessDeniedException",
                    "Authentication failed: Please make sure your API Key is valid.",
                )
            return "bearer"
        return signer_of(
            received, self.keys, service=service, region=self.region, now=self._clock()
        )

    def _scripted(self, answer: Answer, request: Request) -> Script:
        found = _PATH.fullmatch(request.path)
        if found is None:
            return answer.script(request)
        converses = found[2].startswith("converse")
        if converses and isinstance(answer.content, Message):
            for block in answer.content.members.get("content", ()):
                self.signatures |= {block["signature"]} if block["type"] == "thinking" else set()
            if not request.stream:
                written = converse_document(answer.content.members, request.message_id)
                answer = replace(answer, content=Document(msgspec.json.encode(written)))
        if isinstance(answer.content, Error):
            described = answer.content.error
            name = _NAMES.get(described["type"], ("InternalServerException", 500))[0]
            answer = aws_error(name, described["message"])
        request_id = ("x-amzn-requestid", request.request_id)
        if isinstance(answer.content, Document):
            answer = answer.header(*request_id)

        def framing(events: Sequence[bytes]) -> tuple[Sequence[tuple[str, str]], tuple[bytes, ...]]:
            framed = converse_frames(events, _exception) if converses else _framed(events)
            return (_STREAMED, request_id), tuple(framed)

        return answer.script(request, framing)


def _framed(events: Iterable[bytes]) -> Iterable[bytes]:
    """Put events into AWS's framing, an error as an exception; pings are not sent."""
    for event in events:
        frames = SSEDecoder().feed(event)
        if len(frames) != 1 or not frames[0].data:
            yield event
            continue
        data = frames[0].data
        if frames[0].event == b"ping":
            yield b""
        elif frames[0].event == b"error":
            yield _exception(msgspec.json.decode(data)["error"])
        else:
            if frames[0].event == b"message_stop":
                metrics = {"inputTokenCount": 12, "outputTokenCount": 6, "invocationLatency": 1}
                data = msgspec.json.encode(
                    {**msgspec.json.decode(data), "amazon-bedrock-invocationMetrics": metrics}
                )
            yield _chunk(data)


def _chunk(data: bytes) -> bytes:
    """Frame one event as Bedrock does."""
    headers = {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    padding = "abcdefghijklmnopqrstuvwxyz"[: len(data) % 26]
    payload = {"bytes": base64.b64encode(data).decode(), "p": padding}
    return encode(headers, msgspec.json.encode(payload))


def _exception(described: dict[str, Any]) -> bytes:
    name = _NAMES.get(described["type"], (described["type"], 0))[0]
    headers = {
        ":exception-type": name[:1].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode(headers, msgspec.json.encode({"message": described["message"]}))
