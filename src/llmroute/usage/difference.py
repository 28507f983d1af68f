"""How two prompts differ, and whether they are turns of one conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest
from typing import Final, NamedTuple

from llmroute.usage.prefix import Prompt

__all__ = [
    "Difference",
    "comes_back",
    "difference",
    "has_grown",
    "has_missed",
    "is_next",
    "kinship",
    "message_difference",
]


class Difference(NamedTuple):
    """The first part of a prompt that is not as it was.

    Attributes:
        part: `tools`, `system`, `parameters`, or `message`.
        at: Which one, by its place and name.
        place: Of a message, counted from 0.
    """

    part: str
    at: str
    place: int = 0


_ANSWERS: Final = re.compile(rb"a+")
_ROLES: Final = {ord("u"): "user", ord("a"): "assistant", ord("s"): "system"}


def difference(before: Prompt, now: Prompt) -> Difference | None:
    """Return the first part of `before` that `now` has not, in the order of the cache."""
    if before.tools != now.tools:
        return Difference("tools", _tool_that_differs(before.tools, now.tools))
    if before.system != now.system:
        pairs = enumerate(zip_longest(before.system, now.system))
        return Difference("system", next(f"system[{i}]" for i, (a, b) in pairs if a != b))
    if before.parameters != now.parameters:
        return Difference("parameters", _names(before.parameters, now.parameters))
    if (message := message_difference(before, now)) is not None:
        return message
    if before.others != now.others:
        return Difference("parameters", _names(before.others, now.others))
    return None


def message_difference(before: Prompt, now: Prompt) -> Difference | None:
    """Return the first message of `before` that `now` has not."""
    shared = _shared(before, now)
    was, is_ = before.said.read(), now.said.read()
    if shared == len(was.messages):
        return None
    if shared == len(is_.messages):
        return Difference("message", f"messages[{shared}] (left out)", shared)
    role = _ROLES.get(is_.roles[shared], "")
    return Difference("message", f"messages[{shared}] ({role})", shared)


def _names(before: Iterable[tuple[str, int]], now: Iterable[tuple[str, int]]) -> str:
    return ", ".join(sorted({name for name, _ in set(before) ^ set(now)}))


def _tool_that_differs(before: Iterable[tuple[str, int]], now: Iterable[tuple[str, int]]) -> str:
    had, has = dict(before), dict(now)
    for at, (was, is_) in enumerate(zip_longest(before, now)):
        if was == is_:
            continue
        if is_ is not None and is_[0] not in had:
            return f"tools[{at}] {is_[0]} (added)"
        if was is not None and was[0] not in has:
            return f"tools[{at}] {was[0]} (removed)"
        if was is None or is_ is None or was[0] != is_[0]:
            return f"tools[{at}] {(is_ or was or ('',))[0]} (moved)"
        return f"tools[{at}] {is_[0]}"
    return "tools"


def _shared(before: Prompt, now: Prompt) -> int:
    """Return how many messages both begin with."""
    was, is_ = before.said.read().messages, now.said.read().messages
    most = min(len(was), len(is_))
    if was[:most] == is_[:most]:
        return most
    pairs = enumerate(zip(was, is_, strict=False))
    return next(at for at, (one, other) in pairs if one != other)


def is_next(before: Prompt, now: Prompt) -> bool:
    """Tell whether it is beyond doubt, without either being read, that one goes on the other."""
    follows = now.said.follows == before.said.number and now.said.length >= before.said.length
    return follows and now.tools == before.tools and now.system == before.system


def has_grown(before: Prompt, now: Prompt) -> bool:
    """Tell whether messages have been added."""
    if is_next(before, now):
        return now.said.length > before.said.length
    return len(now.said.read().messages) > len(before.said.read().messages)


def has_missed(before: Prompt, now: Prompt) -> bool:
    """Tell whether there was a turn in between: the model has answered more than once since."""
    was, is_ = (_ANSWERS.findall(prompt.said.read().roles) for prompt in (before, now))
    return len(is_) > len(was) + 1


def kinship(before: Prompt, now: Prompt) -> int:
    """Return how sure it is that both are turns of one conversation; 0 if they are not.

    A session has others beside the main one, with prompts of their own: for titles, say.
    """
    shared = _shared(before, now)
    was, is_ = before.said.read(), now.said.read()
    alike = (before.system == now.system) + (before.tools == now.tools)
    if shared > 1:
        return shared * 4 + alike
    if shared == 1:
        goes_on = len(is_.messages) > len(was.messages) and alike > 0
        return 4 + alike if alike == 2 or goes_on else 0
    if alike < 2 or not (before.system or before.tools):
        return 0
    same_place = zip(was.messages, is_.messages, strict=False)
    if any(one == other for one, other in same_place):
        return 3
    return 2 if set(was.opening) & set(is_.opening) else 0


def comes_back(before: Prompt, now: Prompt, index: int) -> bool:
    """Tell whether anything after a message that changed was there before."""
    was, is_ = before.said.read().messages, now.said.read().messages
    return bool(set(was[index + 1 :]) & set(is_[index + 1 :]))
