"""A conversation stays where its prompt is cached, unless moving it is cheaper.

Reading a prompt from the cache costs a tenth of what it costs plain, and writing it to another
deployment's cache a quarter more than plain: a turn that moves is some twelve times as dear. Moving
has a second price, since another company's deployment cannot read the thinking that was done here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.messages.call import Call
from llmroute.messages.usage import Usage
from llmroute.pricing import Rates
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["NOBODY", "Cache", "Choice", "Pin", "choose", "prompt_costs", "session_key"]

NOBODY = "?"
"""The realm of thinking that no deployment can be given."""

# https://docs.claude.com/en/docs/build-with-claude/prompt-caching; an hour is asked for by `ttl`.
_SHORT = 300.0
_LONG = 3600.0

_MOST_CACHES = 8
_MOST_TURNS = 32

# Claude Sonnet's list prices; only their proportions count.
_ASSUMED = Rates(3.0, 15.0, 0.3, 3.75, 6.0)

# Claude Code's first system block, which is no part of the prompt.
_ATTRIBUTION = b'"x-anthropic-billing-header'
_TEXT = msgspec.Raw(b'"text"')
_QUOTE = ord('"')
_BRACKET = ord("[")

_items = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def session_key(call: Call) -> str:
    """Return a short key for the conversation that a call belongs to; empty if it has none.

    It is the client's session and agent, else the body's `metadata.user_id`, with how the
    conversation began if that names no session, else that alone. The key is a hash: a store that
    is shared does not learn who is who.
    """
    if call.session:
        return "s" + _digest(call.session, call.agent)
    try:
        metadata = call.body.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, dict) else None
        if not (isinstance(user, str) and user):
            return _opening(call.body)
        # Claude Code names the session in it; another's may be the same for all that a user does.
        return "u" + _digest(user, "" if "session" in user else _opening(call.body))
    except (InvalidRequestError, *MALFORMED):
        return ""


def _opening(body: Envelope) -> str:
    """Return a key for the system prompt and the first message, which every turn repeats.

    What moves from turn to turn is left out: the marks of where to cache, and Claude Code's
    attribution.
    """
    if "messages" not in body:
        return ""
    messages = _items.decode(body.raw("messages"))
    if not messages:
        return ""
    first = _members.decode(messages[0])
    found = blake2b(digest_size=8)
    for content in (body.raw("system") if "system" in body else None, first.get("content")):
        for block in _blocks(content):
            found.update(msgspec.json.encode(block))
        found.update(b"\n")
    return "c" + found.hexdigest()


def _blocks(content: msgspec.Raw | memoryview | None) -> Iterator[Any]:
    if content is None:
        return
    start = memoryview(content)[0]
    if start == _QUOTE:
        # A client may write a text alone at one time, and as a block at another.
        yield {"type": _TEXT, "text": msgspec.Raw(content)}
    elif start == _BRACKET:
        for at, item in enumerate(_items.decode(content)):
            block = _members.decode(item)
            block.pop("cache_control", None)
            text = bytes(memoryview(block.get("text", b""))[: len(_ATTRIBUTION)])
            if at or text != _ATTRIBUTION:
                yield block
    else:
        yield msgspec.Raw(content)


def _digest(*parts: str) -> str:
    whole = "\0".join(parts).encode(errors="surrogatepass")
    return blake2b(whole, digest_size=8).hexdigest()


class Cache(NamedTuple):
    """A conversation's prompt in the cache of one deployment.

    Attributes:
        tokens: Its length, as of the last answer from there.
        until: When it is forgotten unless it is read, in seconds since 1970.
        lifetime: Seconds that it lives from each read.
    """

    tokens: int
    until: float
    lifetime: float


@dataclass(frozen=True, slots=True)
class Pin:
    """Where a conversation was answered, and what is left of it there.

    Attributes:
        last: The deployment that answered last; empty if none did.
        at: When, in seconds since 1970.
        caches: By deployment.
        turns: `(index, realm)` pairs, the indices rising: from that message on, the assistant's
            are by deployments of that realm, up to the next pair. A realm is a name for
            deployments that can read one another's thinking.
    """

    last: str = ""
    at: float = 0.0
    caches: Mapping[str, Cache] = field(default_factory=dict)
    turns: tuple[tuple[int, str], ...] = ()

    def answered(
        self, deployment: str, usage: Usage, *, realm: str, messages: int, now: float
    ) -> Pin:
        """Return the pin after an answer.

        Args:
            deployment: Who answered.
            usage: What the answer used; one without figures of the cache leaves it as it was.
            realm: The deployment's.
            messages: How many the request had, which is the index that the answer will have.
            now: When the request was sent, in seconds since 1970: a cache lives from its last use,
                and not from the end of a long answer.
        """
        caches = {name: cache for name, cache in self.caches.items() if now < cache.until}
        earlier = caches.pop(deployment, None)
        if (cache := _cache(usage, earlier, now)) is not None:
            caches[deployment] = cache
        while len(caches) > _MOST_CACHES:
            del caches[next(iter(caches))]
        # Fewer messages than before: the conversation was compacted, wound back, or is another one.
        turns = tuple(turn for turn in self.turns if turn[0] < messages)
        if not turns or turns[-1][1] != realm:
            turns += ((messages, realm),)
        if len(turns) > _MOST_TURNS:
            turns = ((0, NOBODY), *turns[1 - _MOST_TURNS :])
        return Pin(deployment, max(now, self.at), caches, turns)

    def differs(self, realm: str) -> bool:
        """Tell whether anyone but deployments of `realm` has answered so far."""
        return any(made_by != realm for _, made_by in self.turns)

    def foreign(self, realm: str) -> tuple[tuple[int, int | None], ...]:
        """Return where the thinking is that a deployment of `realm` cannot read.

        Each pair is an index of a message and the index behind the last one, `None` for the end.
        Messages before the first known turn count as that turn's.
        """
        starts = [0, *(start for start, _ in self.turns[1:])]
        ends = [*starts[1:], None]
        ranges: list[tuple[int, int | None]] = []
        for (_, made_by), start, end in zip(self.turns, starts, ends, strict=False):
            if made_by == realm != NOBODY:
                continue
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
        return tuple(ranges)

    def without_thinking_before(self, messages: int) -> Pin:
        """Return a pin by which nobody is given thinking of messages before that index.

        For a conversation whose thinking was refused: whoever made it, the same blocks are left
        out on every turn to come.
        """
        # Who makes the messages from there on, as far as is known.
        made_by = [realm for start, realm in self.turns if start <= messages][-1:]
        later = (turn for turn in self.turns if turn[0] > messages)
        turns = ((0, NOBODY), *((messages, realm) for realm in made_by), *later)
        return replace(self, turns=turns)

    def to_bytes(self) -> bytes:
        """Return a short form for a store."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Pin | None:
        """Read what `to_bytes` wrote; `None` if it is something else."""
        try:
            return msgspec.json.decode(data, type=cls)
        except MALFORMED:
            return None


def _cache(usage: Usage, earlier: Cache | None, now: float) -> Cache | None:
    written = usage.cache_creation_input_tokens
    tokens = usage.cache_read_input_tokens + written
    if not tokens:
        return earlier
    kinds = usage.data.get("cache_creation")
    for_an_hour = kinds.get("ephemeral_1h_input_tokens") if isinstance(kinds, Mapping) else None
    if isinstance(for_an_hour, int) and for_an_hour > 0:
        lifetime = _LONG
    elif earlier is not None and not written:
        lifetime = earlier.lifetime
    else:
        lifetime = _SHORT
    return Cache(tokens, now + lifetime, lifetime)


class Choice(NamedTuple):
    """Which deployments to try, and what spoke for the first.

    Attributes:
        names: All of them, the one to try first in front.
        held: The one in front, if a cache or the last answer put it there; else empty.
        moving: What the next best that is ready would cost above that, in micro-dollars.
        why: The reason, with its figures, in one line; empty if there was nothing to weigh.
    """

    names: list[str]
    held: str = ""
    moving: int = 0
    why: str = ""


def prompt_costs(
    names: Collection[str], pin: Pin, rates: Mapping[str, Rates], now: float
) -> dict[str, int]:
    """Return what a conversation's prompt would cost at each deployment, in micro-dollars.

    The prompt is as long as the longest cache of it; a deployment reads what it has cached and
    writes the rest. If the rates of one are unknown, usual ones are assumed for all: only how they
    compare decides, and a known one does not compare to a guess.
    """
    live = _live(pin, now)
    prompt = max((cache.tokens for cache in live.values()), default=0)
    for_an_hour = any(cache.lifetime > _SHORT for cache in live.values())
    costs = {}
    for name in names:
        at = rates[name] if _known(names, rates) else _ASSUMED
        cached = live[name].tokens if name in live else 0
        # Who takes nothing for writing to the cache takes the price of plain input.
        write = max(at.input, at.cache_write_1h if for_an_hour else at.cache_write)
        costs[name] = int(cached * at.cache_read + (prompt - cached) * write + 0.5)
    return costs


def choose(
    names: Sequence[str],
    ready: Collection[str],
    pin: Pin | None,
    rates: Mapping[str, Rates],
    now: float,
) -> Choice:
    """Return the order in which to try the deployments of an alias for one conversation.

    If one that is ready has a cache of it, the ready one where the prompt costs least comes first;
    of equally cheap ones the last to answer, and then the first of `names`. If none has a cache,
    the one that answered less than 300 seconds ago comes first, if it is ready: it can read its own
    thinking. The others keep their order.

    Args:
        names: As `llmroute.routing.select.order` has them.
        ready: Those that neither cool nor are full. One that is no equal of the others, since it
            has another model or a later `order`, is not to be among them.
        pin: What is known of the conversation, if anything.
        rates: By deployment, for prompts of this length; unknown ones are missing.
        now: Seconds since 1970.
    """
    willing = [name for name in names if name in ready]
    if pin is None or not willing:
        return Choice([*names])
    live = _live(pin, now)
    if not any(name in live for name in willing):
        return _uncached(names, willing, pin, live, now)
    costs = prompt_costs(willing, pin, rates, now)
    ranked = sorted(willing, key=lambda name: (costs[name], name != pin.last))
    front, *others = ranked
    if not others:
        return Choice(_led(front, names), front, 0, f"{_held(front, pin, live)}, no other is ready")
    moving = costs[others[0]] - costs[front]
    assumed = "" if _known(willing, rates) else " (rates assumed)"
    if front in live:
        more = f"{_dollars(moving)} $ more" if moving else "no more"
        why = f"{_held(front, pin, live)}, moving would cost {more}{assumed}"
    else:
        held = next(name for name in others if name in live)
        more = f"{live[held].tokens:,} tokens would cost {_dollars(costs[held] - costs[front])} $"
        why = f"moves to {front}: staying with {held} and its {more} more{assumed}"
    return Choice(_led(front, names), front if front in live else "", moving, why)


def _uncached(
    names: Sequence[str],
    willing: Collection[str],
    pin: Pin,
    live: Mapping[str, Cache],
    now: float,
) -> Choice:
    if pin.last in willing and now - pin.at < _SHORT:
        ago = max(0, round(now - pin.at))
        why = f"stays with {pin.last}: it answered {ago} s ago"
        return Choice(_led(pin.last, names), pin.last, 0, why)
    lost = [f"{live[name].tokens:,} tokens at {name}" for name in names if name in live]
    return Choice([*names], why=f"not ready, though cached: {', '.join(lost)}" if lost else "")


def _led(front: str, names: Sequence[str]) -> list[str]:
    return [front, *(name for name in names if name != front)]


def _held(front: str, pin: Pin, live: Mapping[str, Cache]) -> str:
    verb = "stays with" if front == pin.last else "returns to"
    return f"{verb} {front}: {live[front].tokens:,} tokens cached there"


def _live(pin: Pin, now: float) -> dict[str, Cache]:
    return {name: cache for name, cache in pin.caches.items() if now < cache.until}


def _known(names: Collection[str], rates: Mapping[str, Rates]) -> bool:
    return all(name in rates for name in names)


def _dollars(amount: int) -> str:
    """Write micro-dollars as dollars: three digits that count, and two decimals at least."""
    decimals = min(6, max(2, 9 - len(str(amount))))
    return f"{amount / 1e6:.{decimals}f}"
