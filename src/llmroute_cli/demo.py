"""`llmroute demo`: the whole proxy, with an upstream of its own and no account."""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time

import anyio
import typer
import uvicorn

from llmroute import LLMRouteError, Router
from llmroute.config import load_dict
from llmroute.testing import FakeUpstream, conversation
from llmroute.transport.direct import DirectTransport
from llmroute_cli.configuration import say
from llmroute_cli.probe import NotingTransport, proxy_config
from llmroute_cli.serve import address, heed_signals, listen, prepare, proxy_server

__all__ = ["demo"]

_MODEL = "claude-sonnet-5-5"
_QUESTION = "What is between us?"
_PATIENCE = 20.0  # seconds


def demo(port: int | None, *, once: bool) -> None:
    """Serve an upstream and a proxy in front of it; send one request; print what to try next.

    Raises:
        typer.Exit: The port cannot be used, or the request was not answered.
    """
    key = f"sk-demo-{secrets.token_hex(8)}"
    listener = listen("127.0.0.1", port if port is not None else 0 if once else 4000)
    url = address(listener)
    with FakeUpstream(keep=1, api_key="sk-upstream-of-the-demo") as upstream:
        upstream.answer_with(conversation)
        config = load_dict(
            {
                "deployments": {
                    "demo": {
                        "provider": "anthropic",
                        "base_url": upstream.url,
                        "api_key": "sk-upstream-of-the-demo",
                    }
                },
                "aliases": {"claude-*": "demo"},
                "server": {"master_key": key, "drain": 2.0},
                "database": "none",
            },
            {},
        )
        prepare()
        log = _HeldLog()
        server = proxy_server(config, write=log.write)
        heed_signals(server)
        typer.echo(f"upstream (embedded): {upstream.url}")
        typer.echo(f"proxy:               {url}")
        typer.echo()
        is_answered = anyio.run(_demonstrate, server, listener, log, url, key, once)
    if not is_answered:
        raise typer.Exit(1)


class _HeldLog:
    """Keeps the log's lines until they no longer come in the middle of an answer."""

    def __init__(self) -> None:
        self._held: list[str] | None = []

    def write(self, line: str) -> None:
        if self._held is None:
            sys.stderr.write(line)
        else:
            self._held.append(line)

    def release(self) -> None:
        held, self._held = self._held or [], None
        sys.stdout.flush()
        sys.stderr.writelines(held)


async def _demonstrate(
    server: uvicorn.Server, listener: socket.socket, log: _HeldLog, url: str, key: str, once: bool
) -> bool:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        try:
            with anyio.fail_after(_PATIENCE):
                await _ask(url, key)
            is_answered = True
        except (LLMRouteError, TimeoutError) as error:
            say(f"The demo's own request was not answered: {error}")
            is_answered = False
        log.release()
        if once or not is_answered:
            server.should_exit = True
        else:
            typer.echo(_next_steps(url, key))
    return is_answered


async def _ask(url: str, key: str) -> None:
    """Send one streamed request through the proxy, over HTTP, and show the answer as it comes."""
    transport = NotingTransport(DirectTransport())
    async with Router(proxy_config(url, key), transport=transport) as router:
        typer.echo(f"> {_QUESTION}")
        started = time.perf_counter()
        begun = 0.0
        async with router.stream(
            model=_MODEL, max_tokens=256, messages=[{"role": "user", "content": _QUESTION}]
        ) as stream:
            async for text in stream.text_stream:
                begun = begun or time.perf_counter() - started
                typer.echo(text, nl=False)
            message = await stream.message()
        typer.echo()
    usage = message.usage
    typer.echo(
        f"\nanswered by {transport.deployment} as {message.model}: first token after "
        f"{1000 * begun:.0f} ms, {usage.input_tokens} tokens in, {usage.output_tokens} out"
    )


def _next_steps(url: str, key: str) -> str:
    body = {
        "model": _MODEL,
        "max_tokens": 256,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }
    return f"""
Try it, in another terminal (the key is this demo's own, and ends with it):

  curl -N {url}/v1/messages -H 'x-api-key: {key}' \\
    -H 'content-type: application/json' -d '{json.dumps(body)}'

  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key} claude

Ctrl-C ends it."""
