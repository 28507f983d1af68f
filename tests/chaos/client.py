"""A client that takes the proxy's HTTP at its word, and nothing that is not HTTP/1.1."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Self

import h11

__all__ = ["Client", "Reply"]

# An answer that has not ended by now would be silent for ever.
_PATIENCE = 10.0  # seconds


class Reply(NamedTuple):
    """A whole answer of the proxy's; names of headers in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """One connection, made anew when the proxy has closed it; used by one task at a time."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._headers = [("host", "proxy"), ("x-api-key", key)]
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def ask(self, body: bytes) -> Reply:
        """Post a Messages request and return all of its answer.

        Raises:
            TimeoutError: It did not come, or did not end.
            h11.RemoteProtocolError: It was no HTTP, or broke off.
        """
        async with asyncio.timeout(_PATIENCE):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                self._http = h11.Connection(h11.CLIENT)
            try:
                reply = await self._exchange(body, *self._streams)
            except BaseException:
                self._close()
                raise
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._close()
        return reply

    async def _exchange(
        self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Reply:
        http = self._http
        headers = [*self._headers, ("content-length", str(len(body)))]
        request = h11.Request(method="POST", target="/v1/messages", headers=headers)
        for sent in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(http.send(sent) or b"")
        head: h11.Response | None = None
        chunks = []
        while True:
            match http.next_event():
                case h11.NEED_DATA:
                    http.receive_data(await reader.read(65536))
                case h11.Response() as head:
                    pass
                case h11.Data(data=data):
                    chunks.append(bytes(data))
                case h11.EndOfMessage() if head is not None:
                    return Reply(head.status_code, dict(head.headers), b"".join(chunks))
                case other:
                    raise AssertionError(f"in place of an answer came {other!r}")

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
