"""Who made a call, by its headers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.asgi.conftest import Gateway, config_for, serving

from llmroute.accounts.caller import Caller
from llmroute.accounts.model import Key
from llmroute.asgi.identity import name_of, sender_of, tags_of
from llmroute.testing import FakeUpstream

EMAIL, ID, LITELLM = (
    b"x-claude-gateway-user-email",
    b"x-claude-gateway-user-id",
    b"x-litellm-end-user-id",
)


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
    }
    body = {"model": "sonnet", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    assert 200 == gateway.http.post("/v1/messages", json=body, headers=headers).status_code

    [record] = gateway.records.wait()
    assert (owner, ("nightly",)) == (record.owner, record.tags)
    sent = {name.lower() for name, _ in upstream.requests[0].headers}
    assert not {EMAIL.decode(), "x-llmroute-tags"} & sent
