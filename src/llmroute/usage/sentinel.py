"""The cache sentinel: watches each session's prompts, and says why a cache was not read.

A prompt is looked at when it comes in: it has just been read, so most of it is still near the
processor, where it is looked at in a third of the time.  Of each turn some bytes a message are
kept, in this process only.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from llmroute import pricing
from llmroute.config import Config
from llmroute.messages.call import Call
from llmroute.observe import Record
from llmroute.usage.breaks import Turn, as_prefix, lifetime_of, lost_cost, verdict
from llmroute.usage.difference import is_next, kinship
from llmroute.usage.prefix import Prompt, prompt_of
from llmroute.wire.headers import Headers

__all__ = ["Sentinel"]

# A session and its subagents count one each; a long turn's digests are some kilobytes.
_MOST: Final = 2000
# Conversations of one session with prompts of their own: for titles, say.
_MOST_BESIDE: Final = 4
# Tokens that a prompt must have, at the least, to be cached anywhere.
_LEAST: Final = 512
# Above this length messages are not kept; no model takes as many.
_LONGEST: Final = 16 * 1024 * 1024  # bytes
# What of a conversation another maker's deployment was not sent, as a call's `why` says it.
_LEFT_OUT: Final = "left out"
_COMPACTED: Final = b"x-claude-code-context-compacted"

_Key = tuple[str, str, str]


class _Asked(Protocol):
    @property
    def call(self) -> Call:
        """What is asked for."""


class Sentinel:
    """A gate of the ledger that lets everything through, and has the last word on it."""

    def __init__(self, config: Config, *, most: int = _MOST, least: int = _LEAST) -> None:
        """Prepare.

        Args:
            config: Whose deployments answer.
            most: How many conversations are remembered.
            least: Tokens, four bytes each, that a request must have to be looked at.
        """
        self._most = most
        self._least = least
        self._turns: OrderedDict[_Key, list[Turn]] = OrderedDict()
        self._config = config
        self._is_on = _is_on(config)
        # By deployment: counts up with every change of its settings.
        self.settings: Mapping[str, int] = dict.fromkeys(config.deployments, 0)

    def configure(self, config: Config) -> None:
        """Watch what another configuration does from now on."""
        before, now = self._config.deployments, config.deployments
        self.settings = {
            **self.settings,
            **{
                name: self.settings.get(name, -1) + (before.get(name) != deployment)
                for name, deployment in now.items()
            },
        }
        self._config = config
        self._is_on = _is_on(config)
        if not self._is_on:
            self._turns.clear()

    async def admit(self, asked: _Asked) -> _Watch | None:
        """Watch a call, if it is a turn of a session and may be cached at all."""
        call = asked.call
        if not (self._is_on and call.session and call.endpoint == "messages"):
            return None
        return self._watch(call) if call.rough_tokens >= self._least else None

    def _watch(self, call: Call) -> _Watch | None:
        """Find the turn before, if it is known."""
        key: _Key = (call.sender.key, call.session, call.agent)
        turns = self._turns.get(key, ())
        prompt = prompt_of(call.body, call.headers, [turn.prompt for turn in turns])
        if prompt is None or prompt.said.length > _LONGEST:
            return None
        is_anew = any(name == _COMPACTED for name, _ in call.headers)
        before = _turn_before(prompt, turns)
        if before is None and is_anew:
            alike = (turn for turn in turns if turn.prompt.system == prompt.system)
            before = next(alike, None)
        return _Watch(self, key, prompt, before, is_anew=is_anew)

    def work(self) -> None:
        """Have the prices at hand; called in a thread that may wait."""
        if self._is_on and not pricing.loaded():
            pricing.load()

    def is_gone(self, deployment: str) -> bool:
        """Tell whether a deployment is not configured any more."""
        return deployment not in self._config.deployments

    def remember(self, key: _Key, before: Turn | None, now: Turn) -> None:
        """Put a turn in the place of the one before."""
        said = now.prompt.said
        turns = [
            turn
            for turn in self._turns.get(key, ())
            if turn is not before and not turn.prompt.said.is_sent_again_by(said)
        ]
        self._turns[key] = [now, *turns[: _MOST_BESIDE - 1]]
        self._turns.move_to_end(key)
        while len(self._turns) > self._most:
            self._turns.popitem(last=False)


def _is_on(config: Config) -> bool:
    usage = config.accounts.usage
    # What it finds out is written down with the call.
    return usage.cache_sentinel and usage.records


class _Watch:
    """Watches one call."""

    __slots__ = ("_before", "_is_anew", "_key", "_prompt", "_sentinel", "_settings")

    def __init__(
        self, sentinel: Sentinel, key: _Key, prompt: Prompt, before: Turn | None, *, is_anew: bool
    ) -> None:
        self._sentinel = sentinel
        self._settings = sentinel.settings
        self._key = key
        self._prompt = prompt
        self._before = before
        self._is_anew = is_anew

    def headed(self, headers: Headers) -> Headers:
        """Leave them as they are."""
        return headers

    def settle(self, record: Record | None) -> None:
        """Write down what became of the cache."""
        prompt, before = self._prompt, self._before
        if record is None or not _is_told(record):
            return
        now = Turn(
            record.id,
            record.at,
            prompt,
            self._is_anew,
            record.asked,
            record.deployment,
            record.model,
            self._settings.get(record.deployment, 0),
            _losses(record) if record.losses or record.why else (),
            record.usage,
            lifetime_of(record.usage, None if before is None else before.lifetime),
        )
        is_failover = is_gone = False
        if before is not None and before.deployment != record.deployment:
            is_failover = _is_failover(record, before)
            is_gone = self._sentinel.is_gone(before.deployment)
        found = verdict(before, now, is_failover=is_failover, is_gone=is_gone)
        cost = None
        if found.lost and pricing.loaded():
            cost = lost_cost(found.lost, record.usage, record.tariff())
        record.prefix = as_prefix(found, before, cost)
        self._sentinel.remember(self._key, before, now)


def _turn_before(prompt: Prompt, turns: Sequence[Turn]) -> Turn | None:
    """Return the one that a prompt is most likely to go on; `None` if there is none."""
    for turn in turns:
        if is_next(turn.prompt, prompt):
            return turn
    best, found = 0, None
    for turn in turns:
        if (sure := kinship(turn.prompt, prompt)) > best:
            best, found = sure, turn
    return found


def _is_told(record: Record) -> bool:
    """Tell whether the upstream has said how much of the prompt it read from its cache."""
    data = record.usage.data
    return "cache_read_input_tokens" in data if record.estimated else "input_tokens" in data


def _losses(record: Record) -> tuple[str, ...]:
    return (*record.losses, *(line for line in record.why if line.endswith(_LEFT_OUT)))


def _is_failover(record: Record, before: Turn) -> bool:
    """Tell whether another deployment answered because the one before could not."""
    if any(attempt.error for attempt in record.attempts):
        return True
    named = re.compile(rf"(?<![\w-]){re.escape(before.deployment)}(?![\w-])")
    return any(
        "no other is ready" in line or named.search(line) is not None
        for line in record.why
        # It was left for being dearer.
        if not line.startswith("moves to ")
    )
