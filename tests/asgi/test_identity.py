"""Who made a call, with what, and what kind of call it was, by its headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.asgi.conftest import Gateway, config_for, serving

from llmroute.accounts.caller import Caller
from llmroute.accounts.model import Key
from llmroute.asgi.identity import client_of, kind_of, name_of, sender_of, tags_of
from llmroute.messages.call import Endpoint
from llmroute.testing import FakeUpstream
from llmroute.wire.envelope import Envelope

EMAIL, ID, LITELLM = (
    b"x-claude-gateway-user-email",
    b"x-claude-gateway-user-id",
    b"x-litellm-end-user-id",
)
CLAUDE = {b"user-agent": b"claude-cli/2.1.330 (external, cli)"}
TOOLS = [{"name": "Read", "input_schema": {"type": "object"}}]
THINKING = {"type": "adaptive", "display": "omitted"}
BILLING = "x-anthropic-billing-header: cc_version=2.1.330.6f8; cc_entrypoint=cli; "


@pytest.mark.parametrize(
    ("trusted", "headers", "owner"),
    [
        pytest.param(True, {EMAIL: b"ada@x.org", ID: b"7", LITELLM: b"l"}, "ada@x.org", id="email"),
        pytest.param(True, {ID: b"7", LITELLM: b"l"}, "7", id="id"),
        pytest.param(True, {LITELLM: b"l"}, "l", id="litellms"),
        pytest.param(True, {EMAIL: b" ", ID: b"7"}, "7", id="an empty one"),
        pytest.param(True, {}, "gateway", id="none"),
        pytest.param(False, {EMAIL: b"ada@x.org"}, "gateway", id="not trusted"),
    ],
)
def test_a_trusted_key_names_the_people_behind_it(
    trusted: bool, headers: dict[bytes, bytes], owner: str
) -> None:
    key = Key("k", "gateway", owner="gateway", trusted=trusted)

    assert owner == sender_of(Caller(key.sender, ()), headers).owner


@pytest.mark.parametrize(
    ("headers", "tags"),
    [
        pytest.param({}, (), id="none"),
        pytest.param({b"x-llmroute-tags": b"a, b,,a"}, ("a", "b"), id="a list"),
        pytest.param({b"x-litellm-tags": b"a"}, ("a",), id="litellms"),
        pytest.param({b"x-llmroute-tags": b"," * 9000}, (), id="nothing often"),
        pytest.param({b"x-llmroute-tags": b"a" * 999}, ("a" * 64,), id="long"),
        pytest.param(
            {b"x-llmroute-tags": b",".join(b"%d" % n for n in range(99))},
            tuple(map(str, range(16))),
            id="many",
        ),
    ],
)
def test_a_request_is_marked(headers: dict[bytes, bytes], tags: tuple[str, ...]) -> None:
    assert tags == tags_of(headers)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        pytest.param(b"ada", "ada", id="plain"),
        pytest.param("Zoë".encode(), "Zoë", id="utf-8"),
        pytest.param(b"a\x00b\xff", "ab�", id="what is not shown"),
        pytest.param(b"a" * 300, "a" * 200, id="long"),
    ],
)
def test_a_name_is_bounded_and_can_be_shown(value: bytes, name: str) -> None:
    assert name == name_of(value)


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        pytest.param(b"claude-cli/2.1.330 (external, sdk-cli)", "claude-cli/2.1.330", id="claude"),
        pytest.param(
            b"claude-cli/2.1.330 (external, cli) cc-gateway/2.1.330",
            "claude-cli/2.1.330",
            id="behind a gateway",
        ),
        pytest.param(b"Anthropic/Python 0.88.0", "Anthropic/Python 0.88.0", id="an SDK"),
        pytest.param(b"AsyncOpenAI/JS 6.1.0 x/1", "AsyncOpenAI/JS 6.1.0", id="another"),
        pytest.param(
            b"codex_cli_rs/0.50.0 (Ubuntu 24.4.0; x86_64) xterm", "codex_cli_rs/0.50.0", id="codex"
        ),
        pytest.param(b"aws-sdk-js/3.936.0 ua/2.1 os/linux", "aws-sdk-js/3.936.0", id="aws"),
        pytest.param(b"curl/8.5.0", "curl/8.5.0", id="nothing behind it"),
        pytest.param(b"a\x00" * 300, "a" * 100, id="odd and long"),
        pytest.param(b"", "", id="none"),
    ],
)
def test_a_client_is_its_name_and_version(agent: bytes, client: str) -> None:
    assert client == client_of({b"user-agent": agent})


def test_a_client_need_not_say_what_it_is() -> None:
    assert "" == client_of({})


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        pytest.param({}, {"tools": TOOLS, "thinking": THINKING}, "main", id="a turn"),
        pytest.param({}, {"tools": TOOLS}, "main", id="without thinking"),
        pytest.param({}, {"tools": [], "thinking": THINKING}, "main", id="without tools"),
        pytest.param({}, {"tools": [], "output_config": {"format": {}}}, "auxiliary", id="title"),
        pytest.param({}, {"max_tokens": 1}, "auxiliary", id="probe"),
        pytest.param(
            {},
            {"stop_sequences": ["</severity>"], "thinking": {"type": "disabled"}},
            "auxiliary",
            id="its own classifier",
        ),
        pytest.param(
            {}, {"tools": TOOLS, "tool_choice": {"type": "auto"}}, "auxiliary", id="web search"
        ),
        pytest.param(
            {b"x-claude-code-agent-id": b"a1"}, {"tools": TOOLS}, "subagent", id="subagent"
        ),
        pytest.param(
            {},
            {"system": [{"type": "text", "text": f"{BILLING}cc_is_subagent=true;"}]},
            "subagent",
            id="subagent behind a gateway",
        ),
        pytest.param(
            {},
            {
                "tools": TOOLS,
                "system": [{"text": BILLING}, {"text": "." * 400 + "cc_is_subagent=true"}],
            },
            "main",
            id="somebody talks of subagents",
        ),
        pytest.param(
            {b"x-claude-code-request-class": b"compaction"},
            {"tools": TOOLS},
            "compaction",
            id="it says so",
        ),
        pytest.param(
            {b"user-agent": b"curl/8"}, {"tools": TOOLS, "thinking": {}}, "", id="another client"
        ),
    ],
)
def test_the_class_of_a_request(
    headers: dict[bytes, bytes], body: dict[str, Any], kind: str
) -> None:
    assert kind == kind_of("messages", {**CLAUDE, **headers}, Envelope.of(body))


@pytest.mark.parametrize(
    ("endpoint", "kind"), [("messages", "main"), ("count_tokens", "auxiliary")]
)
def test_counting_is_on_the_side(endpoint: Endpoint, kind: str) -> None:
    assert kind == kind_of(endpoint, CLAUDE, Envelope.of({"tools": TOOLS}))


GATEWAY, PERSON = "sk-gateway-canary-1", "sk-person-canary-1"


@pytest.fixture
def gateway(upstream: FakeUpstream) -> Iterator[Gateway]:
    keys = {"gateway": {"key": GATEWAY, "trusted": True}, "person": {"key": PERSON}}
    with serving({**config_for(upstream.url), "keys": keys}) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("key", "owner"),
    [pytest.param(GATEWAY, "ada@x.org", id="trusted"), pytest.param(PERSON, "", id="not")],
)
def test_it_is_written_down_and_goes_no_further(
    gateway: Gateway, upstream: FakeUpstream, key: str, owner: str
) -> None:
    headers = {
        "authorization": f"Bearer {key}",
        EMAIL.decode(): "ada@x.org",
        "x-llmroute-tags": "nightly",
        "user-agent": CLAUDE[b"user-agent"].decode(),
    }
    body = {"model": "sonnet", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    assert 200 == gateway.http.post("/v1/messages", json=body, headers=headers).status_code

    [record] = gateway.records.wait()
    assert (owner, ("nightly",)) == (record.owner, record.tags)
    assert ("auxiliary", "claude-cli/2.1.330") == (record.kind, record.client)
    sent = {name.lower() for name, _ in upstream.requests[0].headers}
    assert not {EMAIL.decode(), "x-llmroute-tags"} & sent
