"""One attempt, where what stands between us and the upstream is not to be had through a router."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from llmroute.messages.call import Call
from llmroute.providers import UpstreamRequest
from llmroute.providers.anthropic import AnthropicDeployment
from llmroute.router.attempt import Target, Terms
from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import Headers

pytestmark = pytest.mark.anyio


class Refusal:
    """A 401 that nobody has read yet."""

    status = 401
    headers: Headers = ()

    def __init__(self) -> None:
        self.closed = False

    async def receive(self) -> bytes:
        return b""

    async def aclose(self) -> None:
        self.closed = True


class Transport:
    def __init__(self, reply: Refusal) -> None:
        self._reply = reply

    async def send(self, *request: Any) -> Refusal:
        return self._reply

    async def aclose(self) -> None:
        pass


class SlowCredential:
    """Another one takes for ever to come."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        return request

    async def headers(self, request: UpstreamRequest) -> Headers:
        return ()

    async def renew(self) -> bool:
        self.asked.set()
        await anyio.sleep_forever()
        return True


async def test_a_refusal_is_let_go_of_when_the_caller_goes_away_before_there_is_another_key() -> (
    None
):
    credential, reply = SlowCredential(), Refusal()
    target = Target("one", AnthropicDeployment(api_key="k"), lambda: 0.0)
    target._credential = credential
    call = Call(Envelope.of({"model": "m", "max_tokens": 9, "messages": []}), "m")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(target.attempt, call, "m", Transport(reply), Terms(), lambda *_: None)
        with anyio.fail_after(5):
            await credential.asked.wait()
        tasks.cancel_scope.cancel()

    assert reply.closed
