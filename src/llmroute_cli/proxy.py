"""What a running proxy answers to a command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import anyio
import msgspec

from llmroute import UpstreamError
from llmroute_cli.configuration import fail, say
from llmroute_cli.running import presented, running

__all__ = ["Proxy"]

_PATIENCE: Final = 10.0  # seconds
_LARGEST: Final = 16_777_216  # bytes of an answer
_NO_PROXY: Final = "it is no llmroute proxy, or an old one"
_KEYS: Final = (
    "set LLMROUTE_MASTER_KEY to its master key, or ANTHROPIC_AUTH_TOKEN to a key of your own"
)


class Proxy:
    """The proxy at an address, or the one that serves a configuration.

    The key it is sent is the configuration's master key, else one from the environment.
    """

    def __init__(self, path: Path | None, url: str | None) -> None:
        """Find out where it is.

        Raises:
            typer.Exit: The configuration or the address cannot be used; why has been printed.
        """
        proxy = running(path, url)
        if not proxy.url.startswith(("http://", "https://")):
            raise fail("--url must start with http:// or https://")
        self.url = proxy.url
        self._key = presented(proxy.key)

    def get(self, page: str, own: str, query: Mapping[str, Any]) -> Any:
        """Return a page for administrators, or what there is of it for any key.

        Args:
            page: Its path.
            own: The path of the other; empty where there is none.
            query: What is `None` is left out.

        Raises:
            typer.Exit: It is an error, or there is none.
        """
        given = {name: value for name, value in query.items() if value is not None}
        asked = f"?{urlencode(given)}" if given else ""
        status, told = anyio.run(self._sent, "GET", page + asked, None)
        if status == 403 and own:
            say("it is no master key, so this is about the key's own")
            status, told = anyio.run(self._sent, "GET", own + asked, None)
        return self._checked(status, told)

    async def ask(self, method: str, page: str, body: Any = None) -> Any:
        """Return the JSON of an answer.

        Raises:
            typer.Exit: It is an error, or there is none.
        """
        return self._checked(*await self._sent(method, page, body))

    def _checked(self, status: int, told: Any) -> Any:
        if status == 200 and told is not None:
            return told
        try:
            why = str(told["error"]["message"])
        except (LookupError, TypeError):
            why = _NO_PROXY
        if status == 401:
            why += f"; {_KEYS}"
        raise fail(f"The proxy at {self.url} answered {status}: {why}", 1)

    async def _sent(self, method: str, page: str, body: Any) -> tuple[int, Any]:
        """Return the status and the JSON of an answer; `None` if it is none."""
        # Here, for a command that asks a database can do without.
        from llmroute.transport import Timeouts
        from llmroute.transport.httpx import HttpxTransport

        headers = [(b"x-api-key", self._key.encode())] if self._key else []
        sent = () if body is None else (msgspec.json.encode(body),)
        if sent:
            headers.append((b"content-type", b"application/json"))
        transport = HttpxTransport()
        try:
            timeouts = Timeouts(_PATIENCE, _PATIENCE, _PATIENCE)
            reply = await transport.send(method, self.url + page, headers, sent, timeouts)
            answer = b""
            while len(answer) < _LARGEST and (data := await reply.receive()):
                answer += data
            await reply.aclose()
        except UpstreamError as error:
            hint = "Is it running? Start it with `llmroute serve`, or name its address with --url."
            raise fail(f"No proxy answers at {self.url}: {error}\n{hint}", 1) from None
        finally:
            await transport.aclose()
        try:
            return reply.status, msgspec.json.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return reply.status, None
