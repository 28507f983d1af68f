"""Why a turn's prompt was, or was not, read from the prompt cache.

Anthropic caches a prompt in the order tools, system, messages; a mark (`cache_control`) says up to
where.  A turn that begins as the one before reads what that one read and wrote, and writes only
what is new; a break shows as a read that falls short of it, and as a write in its place.  Usage
tells that there was one and what it cost, the digests of both prompts where the first difference
is, and what is known of both answers who made it.  These are the causes; the first that holds is
named:

- `compacted`: the client began anew with a summary, on purpose; `rewound`: it went back.
- `expired`: the pause was longer than the cache lives.
- `model`: the client asked for another one.
- `moved`: another deployment answered, whose cache is another.
- `configuration`: another model stands behind the same name, or the deployment's settings changed.
- `tools`, `system`, `parameters`, `message`: the client changed that part of what it had sent.
- `losses`: llmroute left something else out of the request than at the turn before.
- `no marks`, `marks`: the client marked nothing, or too far behind its last mark: a cache is looked
  for over twenty blocks.
- `upstream`: nothing of that; it has forgotten, or did not look.

A turn in between that another process has answered makes it `missed`: nobody here can tell.
Where nothing was lost, the turn is the `first` of a conversation, `grew`, or is as long as the one
before: `none`.  Where nothing is cached at all there is nothing to lose, either: `no marks`,
`below minimum` where the prompt is too short, else `uncached`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from llmroute.messages.usage import Usage
from llmroute.pricing import Tariff
from llmroute.pricing.table import claude_name
from llmroute.usage.difference import (
    comes_back,
    difference,
    has_grown,
    has_missed,
    is_next,
    message_difference,
)
from llmroute.usage.prefix import Prompt

__all__ = ["BREAKS", "Turn", "Verdict", "as_prefix", "lifetime_of", "lost_cost", "verdict"]

BREAKS: Final = frozenset(
    {
        "tools",
        "system",
        "parameters",
        "message",
        "model",
        "moved",
        "configuration",
        "losses",
        "no marks",
        "marks",
        "upstream",
    }
)
"""What may be called a break, where tokens were lost by it."""

# Less than this is not worth a word; caches count in blocks of some hundred tokens.
_NOISE: Final = 512
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching
_LOOKS_BACK: Final = 20  # blocks
_LONGEST: Final = 200  # characters of a place
_SHORT: Final = 300.0
_LONG: Final = 3600.0

# Tokens that a prompt must have to be cached, from the same page; others take a thousand.
_MINIMA: Final = {
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
    "claude-haiku-4-5": 4096,
    "claude-opus-4-7": 2048,
    "claude-opus-5": 512,
    "claude-opus-5-5": 512,
    "claude-sonnet-5-5": 512,
    "claude-haiku-5-5": 512,
    "claude-fable-5": 512,
    "claude-fable-5-1": 512,
    "claude-fable-5-2": 512,
    "claude-mythos-5": 512,
    "claude-mythos-5-1": 512,
    "claude-mythos-5-2": 512,
}
_USUAL_MINIMUM: Final = 1024


class Turn(NamedTuple):
    """One call of a conversation, and its answer.

    Attributes:
        id: Of the call.
        at: When it came in, seconds since 1970.
        prompt: What it began with.
        is_anew: The client says that it has compacted the conversation.
        asked: The model name that was asked for.
        deployment: Who answered.
        model: The upstream's name of the model.
        settings: A number for the deployment's settings at that time.
        losses: What the upstream did not get to see.
        usage: What the answer used.
        lifetime: Seconds that the shortest-lived part of the cache lives from then on.
    """

    id: str
    at: float
    prompt: Prompt
    is_anew: bool
    asked: str
    deployment: str
    model: str
    settings: int
    losses: tuple[str, ...]
    usage: Usage
    lifetime: float


class Verdict(NamedTuple):
    """What became of the cache at one turn.

    Attributes:
        change: The cause; see the module.
        by: Who made it: `client`, `configuration`, `failover`, `routing`, `llmroute`, `upstream`,
            or `time`; empty where nothing was lost.
        at: What changed, by its place and name.
        lost: Tokens that had been cached and were not read.
    """

    change: str
    by: str = ""
    at: str = ""
    lost: int = 0

    @property
    def is_break(self) -> bool:
        """Whether tokens were lost that somebody could have kept."""
        return self.lost > 0 and self.change in BREAKS


def _cached(usage: Usage) -> int:
    """Return how long the prompt is that the upstream has cached now, in tokens."""
    return usage.cache_read_input_tokens + usage.cache_creation_input_tokens


def _length(usage: Usage) -> int:
    return usage.input_tokens + _cached(usage)


def lifetime_of(usage: Usage, before: float | None = None) -> float:
    """Return how long the cache lives, by what was written: what is only read keeps its time."""
    written = usage.cache_creation_input_tokens
    if not written:
        return before or _SHORT
    kinds = usage.data.get("cache_creation")
    hour = kinds.get("ephemeral_1h_input_tokens") if isinstance(kinds, Mapping) else None
    return _LONG if isinstance(hour, int) and hour >= written else _SHORT


def verdict(before: Turn | None, now: Turn, *, is_failover: bool, is_gone: bool) -> Verdict:
    """Say what became of the cache between two turns of a conversation.

    Args:
        before: The turn before; `None` for the first.
        now: This one.
        is_failover: Somebody failed, or was known to be unwell, before this answer came.
        is_gone: The deployment that answered before is not configured any more.
    """
    if before is None:
        return _uncached(now) or Verdict("first")
    lost = min(_cached(before.usage), _length(now.usage)) - now.usage.cache_read_input_tokens
    is_plain = lost < _NOISE and not now.is_anew and is_next(before.prompt, now.prompt)
    if not is_plain and (changed := _anew(before, now)) is not None:
        return changed
    if lost < _NOISE:
        if (nothing := _uncached(now)) is not None:
            return nothing
        return Verdict("grew" if has_grown(before.prompt, now.prompt) else "none")
    if has_missed(before.prompt, now.prompt):
        # It may have been lost then, and by what is back as it was.
        return Verdict("missed")
    found = _elsewhere(before, now, is_failover, is_gone) or _changed(before, now)
    return Verdict(found.change, found.by, found.at, lost)


def _uncached(now: Turn) -> Verdict | None:
    if _cached(now.usage):
        return None
    name = claude_name(now.model)
    if name is not None and not now.prompt.is_marked:
        return Verdict("no marks")
    minimum = _MINIMA.get(name or "", _USUAL_MINIMUM)
    return Verdict("below minimum" if _length(now.usage) < minimum else "uncached")


def _anew(before: Turn, now: Turn) -> Verdict | None:
    """Tell a conversation that its client cut on purpose."""
    if now.is_anew:
        return Verdict("compacted")
    changed = message_difference(before.prompt, now.prompt)
    if changed is None or before.prompt.system != now.prompt.system:
        return None
    was, is_ = before.prompt.said.read().messages, now.prompt.said.read().messages
    is_shorter = len(is_) <= len(was)
    if changed.place == 0 and len(is_) < len(was):
        return Verdict("compacted")
    if changed.place and is_shorter and not comes_back(before.prompt, now.prompt, changed.place):
        return Verdict("rewound")
    return None


def _elsewhere(before: Turn, now: Turn, is_failover: bool, is_gone: bool) -> Verdict | None:
    """Tell a break for which the prompt is not to blame."""
    if now.at - before.at >= before.lifetime:
        return Verdict("expired", "time", f"after {now.at - before.at:.0f} s")
    if now.asked != before.asked and now.model != before.model:
        return Verdict("model", "client", f"{before.asked} → {now.asked}")
    if now.deployment != before.deployment:
        by = "configuration" if is_gone else "failover" if is_failover else "routing"
        return Verdict("moved", by, f"{before.deployment} → {now.deployment}")
    if now.model != before.model:
        return Verdict("configuration", "configuration", f"{before.model} → {now.model}")
    return None


def _changed(before: Turn, now: Turn) -> Verdict:
    changed = difference(before.prompt, now.prompt)
    if changed is not None:
        return Verdict(changed.part, "client", changed.at)
    if now.settings != before.settings:
        return Verdict("configuration", "configuration", f"settings of {now.deployment}")
    if now.losses != before.losses:
        differs = [loss for loss in now.losses if loss not in before.losses]
        differs += [f"no longer: {loss}" for loss in before.losses if loss not in now.losses]
        return Verdict("losses", "llmroute", next(iter(differs), ""))
    # Others cache without being told to.
    if claude_name(now.model) and (marks := _marks(before.prompt, now.prompt)) is not None:
        return marks
    return Verdict("upstream", "upstream")


def _marks(before: Prompt, now: Prompt) -> Verdict | None:
    """Tell marks from which the cache of the turn before was not found."""
    if before.is_marked and not now.is_marked:
        return Verdict("no marks", "client")
    if not (marks := before.said.read().marks):
        return None
    last = marks[-1]
    ahead = [mark - last for mark in now.said.read().marks if mark >= last]
    if not ahead:
        return Verdict("marks", "client", "none at or after the last turn's")
    if min(ahead) > _LOOKS_BACK:
        return Verdict("marks", "client", f"{min(ahead)} blocks after the last turn's")
    return None


def lost_cost(lost: int, usage: Usage, tariff: Tariff | None) -> int | None:
    """Return what it cost not to read tokens from the cache, in micro-dollars.

    They were written anew, or else are plain input; `None` if nobody knows the price.
    """
    if tariff is None:
        return None
    rates = tariff.at(_length(usage))
    paid = rates.input
    if usage.cache_creation_input_tokens:
        is_long = lifetime_of(usage) > _SHORT
        paid = rates.cache_write_1h if is_long else rates.cache_write
    return max(0, round(lost * (paid - rates.cache_read)))


def as_prefix(found: Verdict, before: Turn | None, cost: int | None) -> dict[str, Any]:
    """Return a verdict as it is written down with the call; what is empty is left out."""
    if before is not None and not (found.by or found.at or found.lost):
        return {"change": found.change, "previous": before.id}
    written = {
        "change": found.change,
        "break": found.is_break,
        "by": found.by,
        # Part of it is a client's.
        "at": found.at.encode(errors="replace").decode()[:_LONGEST],
        "lost_tokens": found.lost,
        "cost": cost,
        "previous": before.id if before is not None else "",
    }
    return {name: value for name, value in written.items() if value not in ("", None, 0, False)}
