"""From a model name to the deployments that may answer for it, and the list of such names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from llmroute.config import Config
from llmroute.errors import UnknownAliasError
from llmroute.messages.catalog import CLAUDE, ModelInfo, facts
from llmroute.routing.aliases import Aliases, Match
from llmroute.routing.select import Candidate, order

__all__ = ["Route", "Routes"]

# Characters of an unknown model's name that an error repeats.
_LONGEST_SHOWN = 200


class Route(NamedTuple):
    """What a model name stands for.

    Attributes:
        alias: The alias that matched, as the configuration spells it; empty if none did.
        models: The deployments to try, in order, each with the model to ask it for.
    """

    alias: str
    models: dict[str, str]


class Routes:
    """The routes of a configuration, and which deployments are being left alone for a while."""

    __slots__ = ("_aliases", "_clock", "_config", "_cooling", "_draw")

    def __init__(
        self, config: Config, clock: Callable[[], float], draw: Callable[[], float]
    ) -> None:
        self._config = config
        self._aliases = Aliases(config.aliases)
        self._clock = clock
        self._draw = draw
        self._cooling: dict[str, float] = {}

    def resolve(self, asked: str, otherwise: str | None = None) -> Route:
        """Return the route of a model name; one without an alias leads to `otherwise`.

        Raises:
            UnknownAliasError: No alias matches, and `otherwise` names no deployment.
        """
        match = self._aliases.find(asked)
        if match is None:
            if otherwise is not None:
                return Route("", {otherwise: asked})
            raise self._unknown(asked)
        models = dict(self._ordered(match, asked))
        for alias in self._config.aliases[match.alias].fallbacks:
            if (other := self._aliases.find(alias)) is not None:
                for name, model in self._ordered(other, alias):
                    models.setdefault(name, model)
        return Route(match.alias, models)

    def serves(self, asked: str) -> bool:
        """Tell whether an alias matches the name of a model."""
        return self._aliases.find(asked) is not None

    def cool(self, deployment: str, seconds: float) -> None:
        """Leave a deployment alone for so long, where there is another."""
        self._cooling[deployment] = self._clock() + seconds

    def _ordered(self, match: Match, asked: str) -> Iterator[tuple[str, str]]:
        alias = self._config.aliases[match.alias]
        names: Sequence[str] = alias.deployments
        if len(names) > 1:
            names = order(
                [self._candidate(name) for name in names],
                self._cooling_now(),
                weighted=alias.strategy != "listed",
                draws=[self._draw() for _ in names],
            )
        for name in names:
            yield name, match.model(self._config.deployments[name].model, asked)

    def _candidate(self, name: str) -> Candidate:
        settings = self._config.deployments[name]
        share = settings.weight
        if share is None:
            share = float(settings.rpm or settings.tpm or 1)
        return Candidate(name, settings.order, share)

    def _cooling_now(self) -> set[str]:
        if not self._cooling:
            return set()
        now = self._clock()
        self._cooling = {name: until for name, until in self._cooling.items() if until > now}
        return set(self._cooling)

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
                listed.setdefault(each, self._info(each, name))
        return list(listed.values())

    def model(self, name: str) -> ModelInfo:
        """Return what is known of one alias.

        Raises:
            UnknownAliasError: No alias matches.
        """
        match = self._aliases.find(name)
        if match is None:
            raise self._unknown(name)
        return self._info(name, match.alias)

    def _is_of(self, name: str, pattern: str) -> bool:
        match = self._aliases.find(name)
        # A bare `*` matches both spellings of a name; one of them is enough.
        return match is not None and match.alias == pattern and not (pattern == "*" and "/" in name)

    def _info(self, name: str, alias_name: str) -> ModelInfo:
        alias = self._config.aliases[alias_name]
        match = self._aliases.find(name)
        known = facts(name)
        if match is not None and alias.deployments:
            template = self._config.deployments[alias.deployments[0]].model
            known = facts(match.model(template, name)) or known
        return ModelInfo(
            name,
            alias.display_name or (known.display_name if known else name),
            alias.description,
            alias.max_input_tokens or (known.max_input_tokens if known else None),
            alias.max_output_tokens or (known.max_tokens if known else None),
            known.lifecycle if known else None,
        )
