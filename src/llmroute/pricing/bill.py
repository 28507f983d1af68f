"""From the usage of an answer to its cost, and how that comes about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from llmroute.messages.usage import Usage
from llmroute.pricing import table
from llmroute.pricing.listed import listed
from llmroute.pricing.rates import SCALE, Rates, Tariff, exact, reached

__all__ = ["Bill", "Line", "bill", "cost", "itemised", "saved"]

# From Anthropic's page of prices, https://platform.claude.com/docs/en/about-claude/pricing, of
# November 2026, for where no list has a price of its own.  What a request asks for is billed only
# if the answer's usage says it was had.
_FACTORS: Final = {"fast": Decimal(2), "batch": Decimal("0.5")}  # times the standard price
_IN_US: Final = Decimal("1.1")  # times, by `inference_geo: us`, at Anthropic alone
_CLAUDE_AT: Final = frozenset({"anthropic", "bedrock", "foundry", "vertex"})

# No answer can have taken more; a number of any length could not be stored.
_MOST: Final = 2**40
_encode = msgspec.json.Encoder().encode
_ONE: Final = 10**SCALE
_HALF: Final = _ONE // 2

_LONGEST: Final = 200  # characters of a name that an upstream chose

# An answer of one sampling has no more kinds of tokens.
_FEW: Final = 6
_OTHERS: Final = ("advisor_message", "fallback_message")
_MODES: Final = {
    "batch": "batch",
    "fast": "fast",
    "flex": "flex",
    "priority": "priority",
}
# The usual one first, for to ask of the other takes long.
_OBJECTS: Final = (dict, Mapping)
# No set: an upstream may send anything here.
_STANDARD: Final = (None, "standard", "default", "auto", "standard_only")


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of what was used.

    Attributes:
        kind: `input`, `output`, `thinking`, `cache_read`, `cache_write`, `cache_write_1h`: tokens;
            `web_search`, `grounded_prompt`, `file_search`, `code_execution`, `request`: pieces.
        count: How many.
        rate: Micro-dollars for each.
        amount: Micro-dollars for all, not rounded.
        model: The upstream's name of the model; empty for what no model did.
        why: What makes the rate another than the usual one; empty if nothing does.
    """

    kind: str
    count: int
    rate: Decimal
    amount: Decimal
    model: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    """What an answer cost, and how that comes about.

    Attributes:
        total: In micro-dollars: the sum of the lines, half of one rounded up.
        lines: What was used, by kind.
        source: Where the rates come from.
        as_of: The day whose rates these are; `None` for those of the configuration.
        notes: What the sum leaves out, or takes for something else, a line each.
    """

    total: int
    lines: tuple[Line, ...]
    source: str
    as_of: date | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it; what is empty is left out of a line."""
        return {
            "total": self.total,
            "source": self.source,
            "as_of": self.as_of and self.as_of.isoformat(),
            "lines": [_plain(line) for line in self.lines],
            "notes": list(self.notes),
        }


def _plain(line: Line) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "kind": line.kind,
        "count": line.count,
        "rate": float(line.rate),
        "amount": float(line.amount),
    }
    return plain | {name: value for name in ("model", "why") if (value := getattr(line, name))}


def cost(tariff: Tariff, usage: Usage) -> int:
    """Return what an answer cost, in micro-dollars, half of one rounded up: the bill's total.

    Usual answers, those without a mode, a server's tool or several samplings, take no bill.
    """
    data = usage.data
    if data and not _is_usual(data):
        return bill(tariff, usage).total
    written = usage.cache_creation_input_tokens
    plain, read = usage.input_tokens, usage.cache_read_input_tokens
    rates = tariff.whole_at(plain + read + written)
    if len(rates) > 5 or "request" in tariff.fees:
        return bill(tariff, usage).total
    total = plain * rates[0] + usage.output_tokens * rates[1] + read * rates[2]
    if written:
        hour = _hour(usage)
        total += (written - hour) * rates[3] + hour * rates[4]
    return (total + _HALF) // _ONE


def _is_usual(data: Mapping[str, Any]) -> bool:
    if data.get("speed") not in _STANDARD or data.get("service_tier") not in _STANDARD:
        return False
    if data.get("inference_geo") == "us":
        return False
    tools = data.get("server_tool_use")
    if tools and isinstance(tools, Mapping) and any(tools.values()):
        return False
    samplings = data.get("iterations")
    return not samplings or not isinstance(samplings, list) or _is_one(samplings)


def _is_one(samplings: list[Any]) -> bool:
    first = samplings[0]
    return len(samplings) == 1 and isinstance(first, Mapping) and first.get("type") == "message"


def bill(tariff: Tariff, usage: Usage) -> Bill:
    """Return what an answer cost, line by line.

    An answer that took several samplings (an advisor, a fallback of the upstream's, a compaction)
    is charged by sampling, as the upstream does; one of another model by that model's list price,
    or by this tariff if that is not known, which is noted.
    """
    notes: dict[str, None] = {}
    lines: list[Line] = []
    for part in _parts(tariff, usage, notes):
        lines += part.lines()
    lines += _pieces(tariff, usage.data, notes)
    if len(lines) > _FEW:
        lines = _together(lines)
    total = sum((line.amount for line in lines), Decimal(0))
    return Bill(_rounded(total), tuple(lines), tariff.source, tariff.as_of, tuple(notes))


def itemised(tariff: Tariff, usage: Usage) -> str:
    """Return the bill as JSON text; that of a usual answer is written out at once."""
    data, tiers = usage.data, tariff.tiers
    written = usage.cache_creation_input_tokens
    plain, read = usage.input_tokens, usage.cache_read_input_tokens
    is_dearer = len(tiers) > 1 and plain + read + written > tiers[1][0]
    rates = tariff.whole_at(0)
    if is_dearer or len(rates) > 5 or "request" in tariff.fees or (data and not _is_usual(data)):
        return _encoded(bill(tariff, usage).as_json())
    hour = _hour(usage)
    thought = min(usage.output_tokens, _thought(data))
    written_out = _rates_written(rates)
    model, end = _written(tariff.model, tariff.source, tariff.as_of)
    total = 0
    lines = []
    counts = plain, read, written - hour, hour, thought, usage.output_tokens - thought
    for count, (kind, rate, shown) in zip(counts, written_out, strict=True):
        if count:
            amount = count * rate
            total += amount
            paid = f'"rate":{shown},"amount":{amount / _ONE}'
            lines.append(f'{{"kind":"{kind}","count":{count},{paid}{model}}}')
    return f'{{"total":{(total + _HALF) // _ONE},"lines":[{",".join(lines)}],{end}}}'


@lru_cache(maxsize=1024)
def _rates_written(rates: tuple[int, ...]) -> tuple[tuple[str, int, float], ...]:
    input_, output, read, short, long = rates
    by_kind = (
        *(("input", input_), ("cache_read", read), ("cache_write", short)),
        *(("cache_write_1h", long), ("thinking", output), ("output", output)),
    )
    return tuple((kind, rate, rate / _ONE) for kind, rate in by_kind)


@lru_cache(maxsize=1024)
def _written(model: str, source: str, as_of: date | None) -> tuple[str, str]:
    """Return what is the same in all bills of a tariff: of a line, and of the whole."""
    rest: dict[str, Any] = {"source": source, "as_of": as_of and as_of.isoformat(), "notes": []}
    return f',"model":{_encoded(model)}' if model else "", _encoded(rest)[1:-1]


def _encoded(value: object) -> str:
    return _encode(value).decode()


def _together(lines: list[Line]) -> list[Line]:
    """Make one line of those of the same kind, rate and reason."""
    counts: dict[tuple[str, Decimal, str, str], int] = {}
    for line in lines:
        key = (line.kind, line.rate, line.model, line.why)
        counts[key] = counts.get(key, 0) + line.count
    return [
        Line(kind, count, rate, rate * count, model, why)
        for (kind, rate, model, why), count in counts.items()
    ]


def saved(tariff: Tariff, usage: Usage) -> int:
    """Return what caching saved, in micro-dollars, against the same tokens as plain input.

    It is negative where more was paid for writing to the cache than reading from it saved.
    """
    if not usage.data or _is_usual(usage.data):
        read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
        if not (read or written):
            return 0
        plain, _, by_read, short, long, *_ = tariff.whole_at(usage.input_tokens + read + written)
        hour = _hour(usage)
        total = read * (plain - by_read) + (written - hour) * (plain - short)
        return (total + hour * (plain - long) + _HALF) // _ONE
    return _rounded(sum((part.saved() for part in _parts(tariff, usage, {})), Decimal(0)))


def _rounded(amount: Decimal) -> int:
    return int((amount + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


class _Part(NamedTuple):
    """One sampling, and what its tokens cost."""

    usage: Usage
    rates: Rates
    factor: Decimal
    model: str
    why: str

    def lines(self) -> Iterator[Line]:
        usage, hour = self.usage, _hour(self.usage)
        thought = min(usage.output_tokens, _thought(usage.data))
        counts = {
            "input": usage.input_tokens,
            "cache_read": usage.cache_read_input_tokens,
            "cache_write": usage.cache_creation_input_tokens - hour,
            "cache_write_1h": hour,
            "thinking": thought,
            "output": usage.output_tokens - thought,
        }
        for kind, count in counts.items():
            if count:
                rate = self._rate(kind)
                yield Line(kind, count, rate, rate * count, self.model, self.why)

    def saved(self) -> Decimal:
        usage, hour = self.usage, _hour(self.usage)
        counts = {
            "cache_read": usage.cache_read_input_tokens,
            "cache_write": usage.cache_creation_input_tokens - hour,
            "cache_write_1h": hour,
        }
        plain = self._rate("input")
        return sum((count * (plain - self._rate(kind)) for kind, count in counts.items()), _NONE)

    def _rate(self, kind: str) -> Decimal:
        rate: float | None = getattr(self.rates, kind)
        return _times(self.rates.output if rate is None else rate, self.factor)


_NONE: Final = Decimal(0)
_UNCHANGED: Final = Decimal(1)


# There are few of them, and working one out takes longer than all the rest of a line.
@lru_cache(maxsize=4096)
def _times(rate: float, factor: Decimal) -> Decimal:
    # In whole units of the scale, as the short way in `cost` has it.
    scaled = round(exact(rate).scaleb(SCALE))
    return (Decimal(scaled).scaleb(-SCALE) * factor).normalize() + _NONE


def _parts(tariff: Tariff, usage: Usage, notes: dict[str, None]) -> Iterator[_Part]:
    """Return the samplings; the usage's own figures leave some of them out."""
    samplings = usage.data.get("iterations")
    entries = samplings if isinstance(samplings, list) else []
    entries = [entry for entry in entries if isinstance(entry, Mapping)]
    if all(entry.get("type") == "message" for entry in entries):
        yield _part(tariff, usage, usage.data, "", notes)
        return
    # An entry need not tell the lifetimes of what it wrote to the cache.
    lifetimes = {"cache_creation": usage.data.get("cache_creation")}
    for entry in entries:
        kind = str(entry.get("type") or "")[:_LONGEST]
        why = "" if kind == "message" else kind.removesuffix("_message").replace("_", " ")
        its = _tariff_of(entry, tariff, notes)
        yield _part(its, Usage.of({**lifetimes, **entry}), usage.data, why, notes)


def _tariff_of(entry: Mapping[str, Any], tariff: Tariff, notes: dict[str, None]) -> Tariff:
    model = entry.get("model")
    if entry.get("type") not in _OTHERS or not isinstance(model, str) or len(model) > _LONGEST:
        return tariff
    found = listed(tariff.listing, model)
    if found is None:
        notes[f"the price of {model} is not known: counted as {tariff.model}"] = None
    return found or tariff


def _part(
    tariff: Tariff, usage: Usage, data: Mapping[str, Any], why: str, notes: dict[str, None]
) -> _Part:
    """Return a sampling by the rates of its length and mode; `data` says which mode that is."""
    prompt = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    tiers, factor, reasons = tariff.tiers, _UNCHANGED, [why] if why else []
    for mode in _modes(data):
        if mode in tariff.modes:
            tiers = tariff.modes[mode]
            reasons.append(f"{mode} rates")
        elif mode in _FACTORS:
            factor *= _FACTORS[mode]
            reasons.append(f"{mode}: {_FACTORS[mode]} times")
        else:
            notes[f"no price of its own is known for {mode}: counted at the standard rates"] = None
    if data.get("inference_geo") == "us" and tariff.listing.provider == "anthropic":
        factor *= _IN_US
        reasons.append(f"inference in the US: {_IN_US} times")
    if above := max([above for above, _ in tiers if prompt > above], default=0):
        reasons.append(f"a prompt above {above:,} tokens")
    return _Part(usage, reached(tiers, prompt), factor, tariff.model, ", ".join(reasons))


def _modes(data: Mapping[str, Any]) -> list[str]:
    given = (data.get("service_tier"), data.get("speed"))
    named = [_MODES[each] for each in given if isinstance(each, str) and each in _MODES]
    return list(dict.fromkeys(named)) if named else named


def _pieces(tariff: Tariff, data: Mapping[str, Any], notes: dict[str, None]) -> Iterator[Line]:
    tools = data.get("server_tool_use")
    if not tools and "request" not in tariff.fees:
        return
    searches = _count(tools, "web_search_requests")
    fees = tariff.fees
    if searches and "grounded_prompt" in fees:
        yield _piece("grounded_prompt", 1, fees["grounded_prompt"])
    elif searches:
        fee = fees.get("web_search")
        if fee is None and tariff.listing.provider in _CLAUDE_AT:
            fee = table.SEARCH
        if fee is None:
            notes[f"the fee for {searches} searches of the web is not known: left out"] = None
        else:
            yield _piece("web_search", searches, fee)
    if files := _count(tools, "file_search_requests"):
        if "file_search" in fees:
            yield _piece("file_search", files, fees["file_search"])
        else:
            notes[f"the fee for {files} searches of files is not known: left out"] = None
    if runs := _count(tools, "code_execution_requests"):
        yield _piece("code_execution", runs, 0)
        notes["code is charged by the hours of its container, which no usage tells: left out"] = (
            None
        )
    if "request" in fees:
        yield _piece("request", 1, fees["request"])


def _piece(kind: str, count: int, fee: float) -> Line:
    rate = exact(fee)
    return Line(kind, count, rate, rate * count)


def _hour(usage: Usage) -> int:
    """Return how many of the tokens that were written live for an hour."""
    lifetimes = usage.data.get("cache_creation")
    hour = _count(lifetimes, "ephemeral_1h_input_tokens") if lifetimes else 0
    return min(usage.cache_creation_input_tokens, hour)


def _thought(data: Mapping[str, Any]) -> int:
    return _count(data.get("output_tokens_details"), "thinking_tokens")


def _count(data: object, name: str) -> int:
    value = data.get(name) if isinstance(data, _OBJECTS) else None
    return value if isinstance(value, int) and 0 <= value <= _MOST else 0
