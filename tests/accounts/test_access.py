"""Which models a key may ask for, and what it is told about the others."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.accounts.access import Access, check_unrestricted
from llmroute.accounts.gate import Asked
from llmroute.accounts.model import Key, Team
from llmroute.errors import ForbiddenError
from llmroute.messages.call import Call, Sender, Spoken
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio


def asked(key: Key | None, model: str = "fast", alias: str = "fast", **members: bool) -> Asked:
    sender = Sender("master") if key is None else key.sender
    return Asked(Call(Envelope.of({}), model, sender=sender, **members), alias, lambda: None)


def key(*aliases: str, team: tuple[str, ...] | None = None) -> Key:
    of = None if team is None else Team("t", "core", team)
    return Key("k", "ci", aliases=aliases, team=of)


@pytest.mark.parametrize(
    ("holder", "model"),
    [
        pytest.param(None, "fast", id="the master key"),
        pytest.param(key(), "fast", id="for everything"),
        pytest.param(key("fast"), "fast", id="a name"),
        pytest.param(key("claude-*"), "claude-opus-5", id="a pattern"),
        pytest.param(key("other", "f*t"), "fast", id="the second"),
        pytest.param(key("fast", team=()), "fast", id="a team for everything"),
        pytest.param(key("*", team=("fast",)), "fast", id="both"),
    ],
)
async def test_let_through(holder: Key | None, model: str) -> None:
    assert None is await Access().admit(asked(holder, model))


@pytest.mark.parametrize(
    ("holder", "model", "allowed"),
    [
        pytest.param(key("fast"), "slow", "fast", id="another name"),
        pytest.param(key("fast"), "faster", "fast", id="longer"),
        pytest.param(key("fast"), "FAST", "fast", id="upper case"),
        pytest.param(key("a.c"), "abc", "a.c", id="a dot is a dot"),
        pytest.param(key("fast", "claude-*"), "slow", "fast, claude-*", id="none of several"),
        pytest.param(key(team=("fast",)), "slow", "fast", id="the team"),
        pytest.param(
            key("slow", "fast", team=("fast",)),
            "slow",
            "slow, fast, and of these: fast",
            id="the key and not the team",
        ),
        pytest.param(
            key("claude-haiku-*", team=("claude-*",)),
            "slow",
            "claude-haiku-*",
            id="the team allows all that the key does",
        ),
    ],
)
async def test_refused_with_what_may_be_asked_for(holder: Key, model: str, allowed: str) -> None:
    with pytest.raises(ForbiddenError) as refused:
        await Access().admit(asked(holder, model))

    text = str(refused.value)
    assert text.startswith(f"The key 'ci' may not ask for '{model}'.")
    assert f"It may ask for: {allowed}. " in text
    assert refused.value.is_final


async def test_what_llmroute_asks_by_itself_is_no_concern_of_the_keys() -> None:
    assert None is await Access().admit(asked(key("fast"), "judge", is_ours=True))


async def test_a_model_without_an_alias_is_for_keys_without_aliases() -> None:
    assert None is await Access().admit(asked(key(), "claude-x", ""))
    assert None is await Access().admit(asked(key("*"), "claude-x", ""))
    with pytest.raises(ForbiddenError, match="no alias of this llmroute proxy matches 'claude-x'"):
        await Access().admit(asked(key("claude-*"), "claude-x", ""))


async def test_a_name_is_not_repeated_at_any_length() -> None:
    with pytest.raises(ForbiddenError) as refused:
        await Access().admit(asked(key("fast"), "x" * 100_000))

    assert len(str(refused.value)) < 1000


def test_what_is_not_told_apart_by_aliases_says_why() -> None:
    check_unrestricted(key(), "of that")
    with pytest.raises(ForbiddenError, match="may ask for some models only, and of that"):
        check_unrestricted(key("fast"), "of that")
    with pytest.raises(ForbiddenError):
        check_unrestricted(key(team=("fast",)), "of that")


ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "slow"}
TOOL = {"name": "Agent", "input_schema": {"properties": {"model": {"type": "string"}}}}


def saying(holder: Key | None, spoken: bool = False, **members: Any) -> Asked:
    """Return a call with these members in its body, or in that of another format."""
    body = Envelope.of(members)
    made = asked(holder)
    if spoken:
        call = Call(
            Envelope.of({}), "fast", sender=made.call.sender, spoken=Spoken("chat", body, ())
        )
    else:
        call = Call(body, "fast", sender=made.call.sender)
    return made._replace(call=call)


@pytest.mark.parametrize("spoken", [False, True], ids=["messages", "another format"])
@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"tools": [TOOL, ADVISOR]}, id="an advisor"),
        pytest.param({"fallbacks": [{"model": "fast"}, {"model": "slow"}]}, id="a fallback"),
        pytest.param({"fallbacks": ["slow"]}, id="a fallback by its name alone"),
        pytest.param({"models": ["fast", "slow"]}, id="models in turn"),
    ],
)
async def test_a_model_that_is_named_beside_the_one_asked_for_is_asked_for_too(
    members: dict[str, Any], spoken: bool
) -> None:
    with pytest.raises(ForbiddenError, match="may not ask for 'slow'"):
        await Access().admit(saying(key("fast"), spoken, **members))

    for holder in (None, key(), key("*"), key("fast", "slow")):
        assert None is await Access().admit(saying(holder, spoken, **members))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"tools": [TOOL]}, id="a tool that has a parameter of that name"),
        pytest.param({"fallbacks": "default"}, id="the upstreams own fallbacks"),
        pytest.param({"tools": None, "fallbacks": None, "models": {}}, id="nothing"),
        pytest.param({"tools": [1], "fallbacks": [1, {}], "models": [None]}, id="nonsense"),
        pytest.param({"tools": [{"model": 1}]}, id="a number"),
    ],
)
async def test_what_names_no_model_is_let_through(members: dict[str, Any]) -> None:
    assert None is await Access().admit(saying(key("fast"), **members))
