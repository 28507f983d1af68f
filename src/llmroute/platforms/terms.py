"""What one deployment takes: its platform, its model and its settings, worked out once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from llmroute.platforms.betas import BETAS, TOOLS_UNLOCKED_BY, UNLOCKED_BY, UNLOCKS
from llmroute.platforms.generations import Generation, generation_of
from llmroute.platforms.platform import Overrides, Platform
from llmroute.platforms.refusals import ALL_BETAS, SYSTEM_MESSAGES

__all__ = ["SYSTEM_MESSAGE_BETAS", "Losses", "Terms", "terms_of"]

SYSTEM_MESSAGE_BETAS = frozenset(
    {
        "mid-conversation-tool-changes-2026-07-01",
        "inline-tools-2026-09-15",
        "per-turn-control-2026-07-01",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-system-clear-at-2026-08-21",
    }
)
"""They speak of `role: system` messages, and mean nothing where these are folded."""

_TOOL_SEARCH_BETAS = frozenset({"advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19"})
_EAGER = "fine-grained-tool-streaming-2025-05-14"

# Why something is left out that the tables would have sent.
_UNWANTED = "left out by the configuration"
_REFUSED = "was refused"


class Losses:
    """What was changed, each place and reason once, in the order of first mention."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def note(self, place: str, reason: str) -> None:
        """Write down that something at `place` was changed."""
        self._lines[f"{place}: {reason}"] = None

    def lines(self) -> tuple[str, ...]:
        """Return what was written down."""
        return tuple(self._lines)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a deployment takes.

    Attributes:
        platform: Where the model is hosted, with what the configuration changes about it.
        generation: What the model takes.
        refused: Places in a request that are left out, and why.
        withheld: Betas that are left out, and why.
        accepted: Betas that the configuration has sent as they are.
    """

    platform: Platform
    generation: Generation
    refused: Mapping[str, str]
    withheld: Mapping[str, str]
    accepted: frozenset[str]

    @property
    def title(self) -> str:
        """Who refuses what is refused, for the losses."""
        name = self.generation.name if self.platform.open else ""
        return name or self.platform.title

    @property
    def takes_every_block(self) -> bool:
        """Whether nothing inside `system`, `tools` and `messages` is refused."""
        platform = self.platform
        refuses = self.refused or platform.refused_blocks
        return platform.open and self.generation.system_messages and not refuses

    def sent(self, beta: str) -> tuple[str, ...]:
        """Return under which names `beta` is sent; none, if it is left out."""
        if beta in self.accepted:
            return (beta,)
        if beta in self.withheld:
            return ()
        return tuple(name for name in _names(beta, self.platform) if name not in self.withheld)

    def betas(self, asked: Iterable[str], cut: frozenset[str], losses: Losses) -> tuple[str, ...]:
        """Return what of `asked` is sent, without what only unlocks members that were `cut`."""
        sent: dict[str, None] = {}
        for beta in asked:
            names = self.sent(beta)
            useful = [name for name in names if self.platform.open or not _only_for(name, cut)]
            sent.update(dict.fromkeys(useful))
            if names and not useful:
                losses.note(f"anthropic-beta {beta}", "what it unlocks was left out")
            elif not names:
                why = self.withheld.get(beta) or f"{self.platform.title} does not take it"
                losses.note(f"anthropic-beta {beta}", why)
            elif names != (beta,):
                losses.note(f"anthropic-beta {beta}", f"sent as {', '.join(names)}")
        return tuple(sent)

    def refuses_tool(self, kind: str) -> bool:
        """Say whether tools of the type `kind` are left out."""
        return kind.startswith(self.platform.refused_tools) or (
            kind.startswith("tool_search_tool_") and "tools[].defer_loading" in self.refused
        )


def _names(beta: str, platform: Platform) -> tuple[str, ...]:
    """Return under which names `platform` takes `beta`."""
    row = BETAS.get(beta) if platform.name else None
    if platform.open or row is None:
        return (beta,) if platform.any_beta else ()
    names: tuple[str, ...] = getattr(row, platform.name)
    return names


def _only_for(beta: str, cut: frozenset[str]) -> bool:
    """Say whether all that `beta` unlocks was cut."""
    unlocked = UNLOCKS.get(beta, frozenset())
    return bool(cut and unlocked) and all(
        place in cut or place.partition(".")[0] in cut for place in unlocked
    )


@lru_cache(maxsize=1024)
def terms_of(
    platform: Platform, model: str, overrides: Overrides, without: frozenset[str]
) -> Terms:
    """Work out what a deployment takes.

    `without` names what it has turned out to refuse: betas, members, `output_config.format`.
    """
    generation = generation_of((overrides.base_model, model))
    if platform.generation is not None and not generation.name:
        generation = platform.generation
    if SYSTEM_MESSAGES in without:
        generation = generation._replace(system_messages=False)
    if ALL_BETAS in without:
        platform = replace(platform, any_beta=False)
        without |= BETAS.keys() | overrides.accept_betas
    withheld = _withheld(platform, generation, overrides.drop_betas, without)
    accepted = overrides.accept_betas - overrides.drop_betas - without
    terms = Terms(platform, generation, {}, withheld, accepted)
    available = accepted | {name for beta in BETAS for name in terms.sent(beta)}
    refused = {
        place: f"{platform.title} does not take the beta it needs"
        for place, betas in UNLOCKED_BY.items()
        if not betas & available and place not in platform.taken_places
    }
    refused |= _refused(platform, generation)
    for name in overrides.accept_members:
        refused.pop(name, None)
    for name in overrides.drop_members | without:
        refused[name] = _REFUSED if name in without else _UNWANTED
    members = platform.members | overrides.accept_members | UNLOCKED_BY.keys()
    dropped = overrides.drop_betas | without
    refused_tools = {
        *(kind for kind in platform.refused_tools if not _gates(kind) & accepted),
        *(kind for kind, betas in TOOLS_UNLOCKED_BY.items() if betas <= dropped),
    }
    # What is left out takes its beta along.
    idle = {
        beta: "what it unlocks is left out"
        for beta in (() if platform.open else BETAS)
        if beta not in accepted and terms.sent(beta) and _only_for(beta, frozenset(refused))
    }
    return replace(
        terms,
        platform=replace(platform, members=members, refused_tools=tuple(sorted(refused_tools))),
        refused=refused,
        withheld=idle | withheld,
    )


def _gates(kind: str) -> frozenset[str]:
    return TOOLS_UNLOCKED_BY.get(kind, frozenset())


def _withheld(
    platform: Platform, generation: Generation, dropped: frozenset[str], without: frozenset[str]
) -> dict[str, str]:
    withheld = {} if platform.open else _useless(generation)
    for betas, reason in ((dropped, _UNWANTED), (without, _REFUSED)):
        for beta in betas:
            for other in (beta, *_names(beta, platform)):
                withheld[other] = reason
    return withheld


def _useless(generation: Generation) -> dict[str, str]:
    withheld: dict[str, str] = {}
    name = generation.name or "a model of unknown name"
    if not generation.system_messages:
        withheld |= dict.fromkeys(SYSTEM_MESSAGE_BETAS, f"system messages are folded for {name}")
    if not generation.tool_search:
        withheld |= dict.fromkeys(_TOOL_SEARCH_BETAS, f"{name} does not take deferred tools")
    if not generation.efforts:
        withheld["effort-2025-11-24"] = f"{name} does not take an effort"
    return withheld


def _refused(platform: Platform, generation: Generation) -> dict[str, str]:
    """Return what does not depend on a beta."""
    name = generation.name
    refused = dict.fromkeys(platform.refused_places, f"{platform.title} does not take it")
    if not generation.efforts:
        refused["output_config.effort"] = f"{name} does not take it"
    if platform.open and not generation.tool_search:
        refused["tools[].defer_loading"] = f"{name} does not take deferred tools"
    if platform.legacy:
        refused["tools[].eager_input_streaming"] = f"sent as the beta {_EAGER}"
    if platform.legacy and generation.versioned:
        place = f"for {name} on {platform.title}"
        refused["cache_control"] = f"not taken {place}"
        refused["messages[].content[].caller"] = f"not taken {place}"
    if platform.legacy and not generation.formats:
        refused["cache_control.ttl"] = f"not taken for {name} on {platform.title}"
    if not platform.formats or (platform.legacy and not generation.formats):
        refused["output_config.format"] = f"{platform.title} does not take it for this model"
        refused["tools[].strict"] = refused["output_config.format"]
    return refused
