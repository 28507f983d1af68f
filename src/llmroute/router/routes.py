"""From a model name to the deployments that may answer for it, and the list of such names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from llmroute.config import Alias, Config
from llmroute.errors import UnknownAliasError
from llmroute.messages.catalog import CLAUDE, ModelFacts, ModelInfo, facts
from llmroute.providers.limits import is_claude, limits_of
from llmroute.providers.windows import Window
from llmroute.routing.aliases import Aliases, Match
from llmroute.routing.plan import Leg
from llmroute.routing.remedies import Overflow
from llmroute.routing.select import Strategy

__all__ = ["Group", "Option", "Route", "Routes"]

# Characters of an unknown model's name that an error repeats.
_LONGEST_SHOWN = 200
# Routes that are kept ready; clients choose the names that a pattern matches.
_MOST_KEPT = 1000
# No platform has a longer name for a model (Bedrock's ARNs); what is kept under one stays small.
_LONGEST_NAME = 2048


class Option(NamedTuple):
    """A leg, and what the configuration says of its turn.

    Attributes:
        leg: The deployment and the model to ask it for.
        order: Lower ones are tried first.
        place: The deployment's place in the alias's list; keys of one deployment share it.
        weight: Its share of the calls among its equals.
    """

    leg: Leg
    order: int
    place: int
    weight: float


class Group(NamedTuple):
    """The deployments of one alias."""

    alias: str
    strategy: Strategy
    options: tuple[Option, ...]


class Route(NamedTuple):
    """What a model name stands for.

    Attributes:
        alias: The alias that matched, as the configuration spells it; empty if none did.
        groups: Its own deployments, then those of each alias it falls back to.
        reserves: Where to go on if the model cannot, or will not, answer such a request.
        settings: The alias's own; `None` if none matched.
        simple: There is one deployment, and nothing to be weighed or counted.
    """

    alias: str
    groups: tuple[Group, ...]
    reserves: Mapping[Overflow, tuple[Group, ...]]
    settings: Alias | None
    simple: bool

    def options(self) -> Iterator[Option]:
        """Return every option there is, reserves included."""
        for groups in (self.groups, *self.reserves.values()):
            for group in groups:
                yield from group.options


class Routes:
    """The routes of a configuration."""

    __slots__ = ("_aliases", "_config", "_kept")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._aliases = Aliases(config.aliases)
        self._kept: dict[str, Route] = {}

    def resolve(self, asked: str, otherwise: str | None = None) -> Route:
        """Return the route of a model name; one without an alias leads to `otherwise`.

        Raises:
            UnknownAliasError: No alias matches, and `otherwise` names no deployment, or no model
                has a name of that length.
        """
        if (route := self._kept.get(asked)) is not None:
            return route
        match = self._aliases.find(asked) if len(asked) <= _LONGEST_NAME else None
        if match is None:
            if otherwise is None or len(asked) > _LONGEST_NAME:
                raise self._unknown(asked)
            option = Option(Leg(otherwise, asked), 0, 0, 1.0)
            simple = not self._limited(option)
            return Route("", (Group("", "listed", (option,)),), {}, None, simple)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        route = self._kept[asked] = self._route(match, asked)
        return route

    def _route(self, match: Match, asked: str) -> Route:
        alias = self._config.aliases[match.alias]
        groups = self._groups(match, asked)
        reserves: dict[Overflow, tuple[Group, ...]] = {}
        if roomiest := (*self._roomiest(groups), *self._named(alias.when_too_long)):
            reserves["too_long"] = roomiest
        if alias.when_refused:
            reserves["refused"] = self._named(alias.when_refused)
        options = [option for group in groups for option in group.options]
        simple = len(options) == 1 and not reserves and not self._limited(options[0])
        return Route(match.alias, groups, reserves, alias, simple)

    def _limited(self, option: Option) -> bool:
        settings = self._config.deployments[option.leg.deployment]
        return any((settings.rpm, settings.tpm, settings.max_parallel_requests))

    def _groups(self, match: Match, asked: str) -> tuple[Group, ...]:
        """Follow the fallbacks, and those of the fallbacks; each alias has one turn, so none loops.

        A deployment that stands in several of them, for one model, has its turn with the first.
        """
        groups: list[Group] = []
        waiting: list[tuple[Match, str]] = [(match, asked)]
        seen: set[str] = set()
        taken: set[tuple[str, str]] = set()
        while waiting:
            found, name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            groups.append(self._group(found, name, taken))
            further = self._config.aliases[found.alias].fallbacks
            waiting += [(m, each) for each in further if (m := self._aliases.find(each))]
        return tuple(group for group in groups if group.options)

    def _roomiest(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Return the deployments with the longest window, if they are known to differ in that."""
        windows = {
            option.leg: most
            for group in groups
            for option in group.options
            if (most := self._limits(option).prompt) is not None
        }
        longest = max(windows.values(), default=0)
        if longest == min(windows.values(), default=0):
            return
        for group in groups:
            options = tuple(each for each in group.options if windows.get(each.leg) == longest)
            if options:
                yield group._replace(options=options)

    def _limits(self, option: Option) -> Window:
        return limits_of(self._config.deployments[option.leg.deployment], option.leg.model)

    def _named(self, names: Iterable[str]) -> tuple[Group, ...]:
        taken: set[tuple[str, str]] = set()
        found = ((self._aliases.find(name), name) for name in names)
        return tuple(self._group(match, name, taken) for match, name in found if match is not None)

    def _group(self, match: Match, asked: str, taken: set[tuple[str, str]]) -> Group:
        alias = self._config.aliases[match.alias]
        options = []
        places: dict[str, int] = {}
        for name in alias.deployments:
            settings = self._config.deployments[name]
            place = places.setdefault(self._config.groups.get(name, name), len(places))
            leg = Leg(name, match.model(settings.model, asked), match.alias)
            if leg[:2] in taken:
                continue
            taken.add(leg[:2])
            weight = settings.weight
            if weight is None:
                weight = float(settings.rpm or settings.tpm or 1)
            options.append(Option(leg, settings.order, place, weight))
        return Group(match.alias, alias.strategy, tuple(options))

    def serves(self, asked: str) -> bool:
        """Tell whether an alias matches the name of a model."""
        return self._aliases.find(asked) is not None

    def _unknown(self, asked: str) -> UnknownAliasError:
        shown = asked if len(asked) <= _LONGEST_SHOWN else asked[:_LONGEST_SHOWN] + "…"
        near = ", ".join(repr(name) for name in self._aliases.nearest(shown))
        return UnknownAliasError(
            f"model not found: {shown}. No alias of {self._config.source} matches it"
            + (f"; nearest: {near}." if near else "."),
            asked,
        )

    def models(self) -> list[ModelInfo]:
        """Return the aliases one can ask for; a pattern stands for the known names it matches."""
        known = [prefix + name for prefix in ("", "anthropic/") for name in CLAUDE]
        listed: dict[str, ModelInfo] = {}
        for name, alias in self._config.aliases.items():
            if alias.hidden:
                continue
            names = [name] if "*" not in name else [n for n in known if self._is_of(n, name)]
            for each in names:
                if each not in listed and (match := self._aliases.find(each)) is not None:
                    listed[each] = self._info(each, match)
        return list(listed.values())

    def model(self, name: str) -> ModelInfo:
        """Return what is known of one alias.

        Raises:
            UnknownAliasError: No alias matches.
        """
        match = self._aliases.find(name)
        if match is None:
            raise self._unknown(name)
        return self._info(name, match)

    def _is_of(self, name: str, pattern: str) -> bool:
        match = self._aliases.find(name)
        # A bare `*` matches both spellings of a name; one of them is enough.
        return match is not None and match.alias == pattern and not (pattern == "*" and "/" in name)

    def _info(self, name: str, match: Match) -> ModelInfo:
        alias = self._config.aliases[match.alias]
        options = self._group(match, name, set()).options
        known = facts(name)
        if options:
            known = facts(options[0].leg.model) or known
        window = self._window(options, known, alias.strategy)
        return ModelInfo(
            name,
            alias.display_name or (known.display_name if known else name),
            alias.description,
            alias.max_input_tokens or window.prompt,
            alias.max_output_tokens or window.answer,
            known.lifecycle if known else None,
        )

    def _window(
        self, options: Sequence[Option], known: ModelFacts | None, strategy: Strategy
    ) -> Window:
        """Return what fits in at every deployment that a call may reach first.

        Those it only reaches when others fail do not count: what is too long for them goes back.
        """
        first = min((option.order for option in options), default=0)
        firsts = [option for option in options if option.order == first]
        if strategy == "listed":
            firsts = [option for option in firsts if option.place == firsts[0].place]
        limits = [self._limits(option) for option in firsts]
        prompts = [each.prompt for each in limits if each.prompt is not None]
        answers = [each.answer for each in limits if each.answer is not None]
        if not prompts and known is not None and all(map(self._is_claude, firsts)):
            return Window(known.max_input_tokens, min(answers, default=known.max_tokens))
        return Window(min(prompts, default=None), min(answers, default=None))

    def _is_claude(self, option: Option) -> bool:
        return is_claude(self._config.deployments[option.leg.deployment], option.leg.model)
