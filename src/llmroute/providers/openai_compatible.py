"""Any server that speaks OpenAI's Chat Completions, at whatever address.

https://platform.openai.com/docs/api-reference/chat: the request and the answer are translated by
`llmroute.translate`; where a server differs from the others, a setting says so.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from llmroute.messages.call import Call
from llmroute.providers._base import BaseUrl, Decoder, Deployment, Provider, UpstreamRequest
from llmroute.providers._chat import chat_decoder, chat_request_of, chat_whole, of_family
from llmroute.providers._openai_error import openai_error
from llmroute.providers.limits import limits_of
from llmroute.providers.vendors import VENDORS
from llmroute.translate.chat_dialect import (
    CacheMarks,
    ChatDialect,
    EffortIn,
    Prefill,
    ReasoningIn,
    ReasoningReplay,
    ToolChoice,
)

__all__ = ["PROVIDER", "OpenAICompatibleDeployment", "chat_url"]

_PATH = "/chat/completions"


class OpenAICompatibleDeployment(Deployment):
    """A model behind Chat Completions."""

    provider: Literal["openai_compatible"] = "openai_compatible"
    forward_client_auth: Literal[False] = False
    """A caller's own credential is for Anthropic, and never sent here."""
    base_url: BaseUrl
    """The server's address, up to but without `/chat/completions`: `http://localhost:8000/v1`."""
    api_key: SecretStr | None = None
    """Sent as `Authorization: Bearer`; left out where the server asks for none."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Members set in the body of every request as it is sent, in place of translated ones."""
    vendor: str = ""
    """Whose server it is, by the name in the table of providers: for its prices, and for what is
    said of it."""
    drop_members: list[str] = Field(default_factory=list)
    """Members of the translated body that this server does not take and that are left out:
    `parallel_tool_calls`, `tool_choice`."""
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the limit of an answer's length is called; newer models of OpenAI's take the latter."""
    max_tokens_limit: int | None = Field(None, gt=0)
    """The longest answer in tokens that the model takes, where its name does not tell; a longer
    one that is asked for is lowered to it."""
    system_role: Literal["system", "developer"] = "system"
    """The role of the system prompt."""
    system_messages: bool = False
    """There may be system messages between the others; else they become reminders in the user's
    turn."""
    images: bool = True
    """The model sees images; else words stand for them."""
    image_urls: bool = True
    """The server fetches images from their addresses; else words stand for them."""
    documents: bool = False
    """The server reads PDFs, as parts of type `file`; else words stand for them."""
    tool_images: bool = False
    """A tool's message may have images; else they follow in a user's message."""
    user_after_tool: bool = True
    """A user's message may follow a tool's; else a short message of the assistant's is put in
    between."""
    null_content: bool = True
    """A message that only calls tools has `null` as content, else an empty text."""
    tool_ids: Literal["any", "mistral"] = "any"
    """Which ids of calls the server takes: any, or nine letters and digits, as older models of
    Mistral's want it."""
    tool_choices: tuple[ToolChoice, ...] = ("auto", "none", "required", "named")
    """The forms of `tool_choice` the server takes; one that it does not becomes the next wider
    one, and is left out at last."""
    parallel_tool_calls: bool = True
    """The server takes `parallel_tool_calls`, which is sent where a caller forbids them."""
    strict_tools: bool = False
    """Tools that are marked `strict` are sent so, with their schemas in OpenAI's strict mode."""
    response_format: Literal["none", "json_object", "json_schema"] = "json_schema"
    """What becomes of a schema for the answer; short of `json_schema`, words ask for it."""
    sampling: bool = True
    """The model takes `temperature` and `top_p`; reasoning models of OpenAI's do not."""
    top_k: bool = False
    """The server takes `top_k`."""
    stop: bool = True
    """The model takes stop sequences, four at most."""
    prefill: Prefill = "none"
    """How the server is told to go on with an assistant's message that comes last: by `prefix` or
    `partial` in it, or by vLLM's `continue_final_message`."""
    stream_options: bool = True
    """Ask for the usage at the end of a stream, which some servers refuse to be asked."""
    prompt_cache_key: bool = False
    """Send a hash of the session as `prompt_cache_key`."""
    cache_marks: CacheMarks = "none"
    """What becomes of `cache_control`: left out, kept as it is, or turned into breakpoints of
    OpenAI's, which gpt-5.6 and later take and charge for."""
    effort_in: list[EffortIn] = Field(default_factory=list)
    """How the server is told how hard to think: `reasoning_effort`, `reasoning` (an object with
    `effort`), `thinking` (an object with `type`), `enable_thinking`, or that in
    `chat_template_kwargs`; not at all if empty."""
    efforts: dict[str, str] = Field(
        default_factory=lambda: {"xhigh": "high", "max": "high", "none": ""}
    )
    """What the server calls an effort of `low`, `medium`, `high`, `xhigh` or `max`, and `none` for
    thinking that is off; an empty name leaves it out, and one that is not here stays as it is."""
    reasoning_in: ReasoningIn = "auto"
    """Which member of an answer holds the reasoning; by default whichever does."""
    reasoning_replay: ReasoningReplay = "none"
    """As which member the model gets its own earlier reasoning back; DeepSeek insists on it."""
    think_tags: str = Field("think", pattern="^[a-zA-Z_]*$")
    """The tag in which a server leaves the reasoning at the start of the text; empty to leave the
    text alone."""
    think_tags_open: bool = False
    """The opening tag is part of the prompt: an answer begins inside it."""

    @field_validator("vendor")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value and value not in VENDORS:
            raise ValueError("is no vendor; see llmroute providers")
        return value

    @property
    def seller(self) -> str:
        """Whose price list holds."""
        return VENDORS[self.vendor].seller if self.vendor else self.provider

    @cached_property
    def dialect(self) -> ChatDialect:
        """The settings of this class, as `llmroute.translate` takes them; without the family."""
        return ChatDialect(
            title=VENDORS[self.vendor].title if self.vendor else "the server",
            provider=self.provider,
            family="",
            max_tokens_name=self.max_tokens_name,
            max_tokens_limit=self.max_tokens_limit,
            system_role=self.system_role,
            system_messages=self.system_messages,
            images=self.images,
            urls=self.image_urls,
            documents=self.documents,
            tool_images=self.tool_images,
            user_after_tool=self.user_after_tool,
            null_content=self.null_content,
            tool_ids=self.tool_ids,
            tool_choices=frozenset(self.tool_choices),
            parallel_tool_calls=self.parallel_tool_calls,
            strict_tools=self.strict_tools,
            response_format=self.response_format,
            sampling=self.sampling,
            top_k=self.top_k,
            stop=self.stop,
            prefill=self.prefill,
            stream_options=self.stream_options,
            prompt_cache_key=self.prompt_cache_key,
            cache_marks=self.cache_marks,
            effort_in=frozenset(self.effort_in),
            efforts=self.efforts,
            reasoning_in=self.reasoning_in,
            reasoning_replay=self.reasoning_replay,
            think_tags=self.think_tags,
            think_tags_open=self.think_tags_open,
            drop_members=frozenset(self.drop_members),
        )


def chat_url(base: str) -> str:
    """Return the endpoint at an address as people write it.

    >>> chat_url("http://localhost:8000/v1")
    'http://localhost:8000/v1/chat/completions'
    """
    return base.removesuffix(_PATH) + _PATH


def _dialect(call: Call, deployment: OpenAICompatibleDeployment) -> ChatDialect:
    return of_family(deployment.dialect, call, deployment)


def _prepare(call: Call, deployment: OpenAICompatibleDeployment, model: str) -> UpstreamRequest:
    url = chat_url(deployment.base_url)
    dialect = _dialect(call, deployment)
    longest = limits_of(deployment, model).answer
    if longest != dialect.max_tokens_limit:
        dialect = dataclasses.replace(dialect, max_tokens_limit=longest)
    return chat_request_of(call, deployment, model, url, dialect)


def _decoder(call: Call, deployment: OpenAICompatibleDeployment) -> Decoder:
    return chat_decoder(call, _dialect(call, deployment))


def _whole(call: Call, deployment: OpenAICompatibleDeployment, body: bytes) -> bytes:
    return chat_whole(call, body, _dialect(call, deployment))


PROVIDER = Provider(
    "openai_compatible",
    OpenAICompatibleDeployment,
    _prepare,
    openai_error,
    _decoder,
    _whole,
)
