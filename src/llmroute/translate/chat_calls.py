"""Which call a fragment belongs to, whatever a server leaves out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

__all__ = ["ChatCalls", "Piece"]


class Piece(NamedTuple):
    """What is new of a call; `name` is told once, when it is known to be whole."""

    key: int
    call_id: str
    name: str
    arguments: str


class _Call:
    __slots__ = ("call_id", "is_told", "key", "name")

    def __init__(self, key: int) -> None:
        self.key = key
        self.call_id = ""
        self.name = ""
        self.is_told = False


class ChatCalls:
    """The calls of one answer.

    OpenAI's fragments have an `index`, and the first of each call its id and name.  Others have no
    index, the same one for every call, the name in pieces, or everything in every fragment.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def take(self, fragment: Mapping[str, Any]) -> Iterator[Piece]:
        """Take a fragment; yield what is new."""
        function = fragment.get("function")
        function = function if isinstance(function, Mapping) else {}
        call_id, name = _text(fragment.get("id")), _text(function.get("name"))
        call = self._call(fragment.get("index"), call_id, name)
        call.call_id = call.call_id or call_id
        if name and not call.is_told and name != call.name:
            call.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = msgspec.json.encode(arguments).decode()
        if isinstance(arguments, str) and arguments:
            if call.name and not call.is_told:
                yield from self._told(before=call)
                call.is_told = True
                yield Piece(call.key, call.call_id, call.name, arguments)
            else:
                yield Piece(call.key, "", "", arguments)

    def unnamed(self) -> Iterator[tuple[int, str, str]]:
        """Yield the calls that have not been told, for no arguments came."""
        for piece in self._told(before=None):
            yield piece.key, piece.call_id, piece.name

    def _told(self, before: _Call | None) -> Iterator[Piece]:
        """Yield the names of the calls that began before another one did."""
        for call in self._calls:
            if call is before:
                return
            if not call.is_told and call.name:
                call.is_told = True
                yield Piece(call.key, call.call_id, call.name, "")

    def _call(self, index: Any, call_id: str, name: str) -> _Call:
        known: _Call | None
        if isinstance(index, int):
            known = self._by_index.get(index)
        elif call_id:
            known = next((each for each in self._calls if each.call_id == call_id), None)
        elif name:
            known = None
        else:
            known = self._calls[-1] if self._calls else None
        is_other = call_id and name and known is not None and known.call_id not in ("", call_id)
        if known is None or is_other:
            known = _Call(len(self._calls))
            self._calls.append(known)
        if isinstance(index, int):
            self._by_index[index] = known
        return known


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
