"""Reasoning goes back to its maker and to nobody else."""

import json

import pytest

from llmroute.translate.reasoning import is_sealed, seal, unseal, without_sealed
from llmroute.wire.envelope import Envelope

SEALED = seal("gemini", "gemini-3", {"calls": {"a": "Q2=="}})


def test_a_payload_comes_back():
    assert {"calls": {"a": "Q2=="}} == unseal(SEALED, "gemini", "gemini-3")
    assert {} == unseal(seal("deepseek", "v4"), "deepseek", "v4")


@pytest.mark.parametrize(
    ("signature", "provider", "family"),
    [
        pytest.param(SEALED, "openai", "gemini-3", id="another-provider"),
        pytest.param(SEALED, "gemini", "gemini-2.5", id="another-family"),
        pytest.param("EqQBCgIYAhIM", "gemini", "gemini-3", id="anthropics"),
        pytest.param("", "gemini", "gemini-3", id="none"),
        pytest.param(None, "gemini", "gemini-3", id="null"),
        pytest.param("llmr1.", "gemini", "gemini-3", id="empty"),
        pytest.param("llmr1.é", "gemini", "gemini-3", id="not-ascii"),
        pytest.param("llmr1.e30", "gemini", "gemini-3", id="incomplete"),
        pytest.param(SEALED[:-3], "gemini", "gemini-3", id="cut"),
    ],
)
def test_what_is_not_for_this_upstream_is_nothing(signature, provider, family):
    assert unseal(signature, provider, family) is None


def test_a_seal_is_told_from_anthropics_signatures():
    assert is_sealed(SEALED)
    assert not is_sealed("EqQBCgIYAhIM")
    assert not is_sealed(None)


def body(*contents, role="assistant"):
    messages = [{"role": role, "content": content} for content in contents]
    return json.dumps({"model": "m", "messages": messages}).encode()


TEXT = {"type": "text", "text": "llmr1. is a prefix"}
FOREIGN = {"type": "thinking", "thinking": "Hm.", "signature": SEALED}
OWN = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([[OWN], [FOREIGN, OWN, TEXT]], [[OWN], [OWN, TEXT]], id="a-block"),
        pytest.param([[FOREIGN], [TEXT]], [[TEXT]], id="a-message-of-nothing-else"),
    ],
)
def test_sealed_thinking_is_left_out_for_anthropic(before, after):
    assert json.loads(body(*after)) == json.loads(
        bytes(without_sealed(Envelope.parse(body(*before))))
    )


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(body([OWN]), id="nothing-sealed"),
        pytest.param(body([OWN, TEXT]), id="text-that-looks-sealed"),
        pytest.param(body("llmr1."), id="content-of-text"),
        pytest.param(body([1, "llmr1."]), id="no-blocks"),
        pytest.param(b'{"model": "m"}', id="no-messages"),
        pytest.param(b'{"messages": "llmr1."}', id="messages-of-text"),
        pytest.param(b'{"messages": ["llmr1."]}', id="messages-that-are-none"),
    ],
)
def test_all_else_is_the_same_body(given):
    envelope = Envelope.parse(given)

    assert without_sealed(envelope) is envelope
