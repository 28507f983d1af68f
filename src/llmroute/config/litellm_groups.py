"""Entries of one `model_name` → an alias, with its further names and what it falls back to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from llmroute.config.document import Document, Path
from llmroute.config.litellm_deployment import Entry
from llmroute.config.litellm_model import (
    STRATEGIES,
    GeneralSettings,
    LitellmSettings,
    RouterSettings,
)
from llmroute.config.model import Price
from llmroute.config.origin import Origin
from llmroute.config.validation import meant, names, quoted
from llmroute.providers import Deployment
from llmroute.routing.aliases import Aliases

__all__ = ["Groups", "Sections"]


class Sections(NamedTuple):
    """The sections that say something of all entries.

    Attributes:
        own: `litellm_settings`.
        router: `router_settings`.
        general: `general_settings`.
    """

    own: LitellmSettings
    router: RouterSettings
    general: GeneralSettings


class Groups:
    """The aliases as they come to be: one for each `model_name`, then the further names.

    Attributes:
        blocks: The settings of each alias.
        deployments: By the names they were given.
        prices: Overrides of the list price, by deployment.
        origins: Where each deployment stands.
    """

    def __init__(self, document: Document, entries: list[Entry], sections: Sections) -> None:
        self.blocks: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, Deployment] = {}
        self.prices: dict[str, Price] = {}
        self.origins: dict[str, Origin] = {}
        self._document = document
        self._taken: set[str] = set()
        self._copied: dict[str, str] = {}
        for entry in entries:
            if entry.id in self._taken:
                document.wrong((*entry.at, "model_info", "id"), "another entry has that id")
            elif entry.id:
                self._taken.add(entry.id)
        by_name: dict[str, list[Entry]] = {}
        for entry in entries:
            by_name.setdefault(entry.alias, []).append(entry)
        for alias, members in by_name.items():
            self._add_group(alias, members, STRATEGIES[sections.router.routing_strategy])
        if sections.router.routing_strategy.startswith("usage-based"):
            text = "taken as least-busy: calls under way are counted, not the tokens of this minute"
            document.warn(("router_settings", "routing_strategy"), text)

    def _add_group(self, alias: str, members: list[Entry], strategy: str) -> None:
        weights = _weights(members)
        chosen = []
        for number, (entry, weight) in enumerate(zip(members, weights, strict=True), 1):
            name = entry.id or self._name(alias if len(members) == 1 else f"{alias}/{number}")
            chosen.append(name)
            if entry.deployment is not None:
                self.deployments[name] = entry.deployment.model_copy(update={"weight": weight})
                if entry.price is not None:
                    self.prices[name] = entry.price
                if entry.origin is not None:
                    self.origins[name] = entry.origin
        self.blocks[alias] = {
            "deployments": chosen,
            "strategy": strategy if len(members) > 1 else "listed",
            "max_input_tokens": _least(entry.max_input_tokens for entry in members),
            "max_output_tokens": _least(entry.max_output_tokens for entry in members),
        }

    def _name(self, wish: str) -> str:
        """Return `wish` as a header can have it, changed if another deployment has it."""
        plain = "".join(c if c.isascii() and c.isprintable() else "_" for c in wish).strip()
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}~{number}"
        self._taken.add(name)
        return name

    def add_names(self, further: Mapping[str, Any]) -> None:
        """Add `model_group_alias`: other names for an alias."""
        groups = dict(self.blocks)
        for name, value in further.items():
            at: Path = ("router_settings", "model_group_alias", name)
            hidden = False
            target, path = value, at
            if isinstance(value, dict):
                target, path = value.get("model"), (*at, "model")
                hidden = value.get("hidden", False)
                for key in value.keys() - {"model", "hidden"}:
                    near = meant(key, ["model", "hidden"])
                    self._document.wrong((*at, key), f"unknown setting{near}")
            if not isinstance(hidden, bool):
                self._document.wrong((*at, "hidden"), "must be true or false")
            elif not isinstance(target, str):
                self._document.wrong(path, "must be a name, or a mapping with model and hidden")
            elif (found := self._find(path, target, groups)) is not None:
                if name in groups:
                    self._document.warn(at, "stands above the model_name of that name")
                self.blocks[name] = {**self._block(found, groups), "hidden": hidden}
                self._copied[name] = found

    def add_fallbacks(self, sections: Sections) -> None:
        """Add where to go on, and where too long prompts and refused ones go."""
        default = []
        if (chosen := self._chosen(sections, "default_fallbacks")) is not None:
            at, listed = chosen
            default = [
                found
                for path, name in names(self._document, listed, at)
                if (found := self._find(path, name, self.blocks)) is not None
            ]
        self._add_others(sections, "fallbacks", "fallbacks", default)
        self._add_others(sections, "context_window_fallbacks", "when_too_long", [])
        self._add_others(sections, "content_policy_fallbacks", "when_refused", [])

    def add_classifier(self, sections: Sections) -> None:
        """Add who judges tool calls, which is one for all."""
        name = sections.general.safeguards_classifier_model
        at: Path = ("general_settings", "safeguards_classifier_model")
        if name is None or (found := self._find(at, name, self.blocks)) is None:
            return
        for block in self.blocks.values():
            block["safeguards"] = {"classifier": found}

    def _add_others(
        self, sections: Sections, theirs: str, ours: str, default: Sequence[str]
    ) -> None:
        """Set one of an alias's lists of other aliases."""
        most = self._chosen(sections, "max_fallbacks")
        where = self._fallbacks(sections, theirs)
        general = [*(name for _, name in where.pop("*", [])), *default]
        for alias, block in self.blocks.items():
            if alias in where:
                others = [name for path, name in where[alias] if self._is_other(alias, path, name)]
            elif (same := self._copied_from(alias, where)) is not None:
                others = [name for _, name in where[same] if name != alias]
            else:
                others = [name for name in dict.fromkeys(general) if name != alias]
            block[ours] = others[: None if most is None else most[1]]

    def _copied_from(self, alias: str, where: Mapping[str, object]) -> str | None:
        """Return what `alias` is another name of, or the pattern that made it, if that is there."""
        same = self._copied.get(alias)
        if same is not None and same not in where:
            same = self._copied.get(same)
        return same if same in where else None

    def _is_other(self, alias: str, path: Path, name: str) -> bool:
        if name == alias:
            self._document.warn(path, "ignored: it is the alias itself")
        return name != alias

    def _chosen(self, sections: Sections, name: str) -> tuple[Path, Any] | None:
        """Return the one of two places for a setting that holds it; the router's stands above."""
        router, own = getattr(sections.router, name), getattr(sections.own, name)
        if router is not None and own is not None and router != own:
            self._document.warn(
                ("litellm_settings", name), f"ignored: router_settings.{name} stands above it"
            )
        if router is not None:
            return ("router_settings", name), router
        return None if own is None else (("litellm_settings", name), own)

    def _fallbacks(self, sections: Sections, name: str) -> dict[str, list[tuple[Path, str]]]:
        """Return what each alias goes on with, from a list of mappings."""
        chosen = self._chosen(sections, name)
        where: dict[str, list[tuple[Path, str]]] = {}
        if chosen is None:
            return where
        at, listed = chosen
        for index, item in enumerate(listed):
            if not isinstance(item, dict):
                self._document.wrong((*at, index), "must be a mapping (alias: list of aliases)")
                continue
            for alias, value in item.items():
                here = (*at, index, alias)
                targets = [
                    (path, found)
                    for path, target in names(self._document, self._bare(value, here), here)
                    if (found := self._find(path, target, self.blocks)) is not None
                ]
                found = "*" if alias == "*" else self._find(here, alias, self.blocks)
                if found is not None:
                    if found != "*" and found not in self.blocks:
                        self.blocks[found] = self._block(found, self.blocks)
                    where.setdefault(found, []).extend(targets)
        return where

    def _bare(self, value: Any, at: Path) -> Any:
        """Reduce `{"model": name, …}` in a list of fallbacks to the name."""
        if not isinstance(value, list):
            return value
        bare = list(value)
        for index, item in enumerate(value):
            if isinstance(item, dict) and isinstance(item.get("model"), str):
                bare[index] = item["model"]
                for key in item.keys() - {"model"}:
                    self._document.warn((*at, index, key), "ignored: a fallback has the same body")
        return bare

    def _find(self, path: Path, name: str, groups: Mapping[str, Any]) -> str | None:
        """Return the alias that `name` means, with or without a provider before it."""
        known = Aliases(groups)
        added = (group for group in groups if group.partition("/")[2] == name)
        for candidate in (name, name.partition("/")[2], *added):
            if candidate in groups or ("*" not in candidate and known.find(candidate)):
                return candidate
        if groups or not self._document.is_wrong(("model_list",)):
            shown = quoted(self._document, path, name)
            near = meant(name, groups)
            self._document.wrong(path, f"no model_name matches {shown}{near}")
        return None

    def _block(self, alias: str, groups: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return an alias's settings; those of a pattern with its `*` filled in."""
        match = Aliases(groups).find(alias)
        if alias in groups or match is None:
            return dict(groups[alias])
        self._copied[alias] = match.alias
        block = dict(groups[match.alias])
        chosen = []
        for name in block["deployments"]:
            deployment = self.deployments.get(name)
            if deployment is None or "*" not in (deployment.model or ""):
                chosen.append(name)
                continue
            filled = self._name(alias)
            model = match.model(deployment.model, alias)
            self.deployments[filled] = deployment.model_copy(update={"model": model})
            self.origins[filled] = self.origins[name]
            if name in self.prices:
                self.prices[filled] = self.prices[name]
            chosen.append(filled)
        return {**block, "deployments": chosen}


def _weights(members: list[Entry]) -> list[float | None]:
    """Return the members' shares: by `weight`, else by `rpm`, else by `tpm`, else none.

    As in LiteLLM, a member without the setting that decides gets no share.
    """
    for shares in zip(*(entry.shares for entry in members), strict=True):
        if any(share is not None for share in shares):
            return [share or 0.0 for share in shares]
    return [None] * len(members)


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
