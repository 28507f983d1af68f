"""One entry of LiteLLM's `model_list` → a deployment and what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.environment import (
    anthropic_base,
    anthropic_credential,
    is_anthropic,
    is_loopback,
    normalised,
)
from llmroute.config.extras import check_installed
from llmroute.config.litellm_cloud import Cloud, Given, Taken
from llmroute.config.litellm_clouds import CLOUDS, SERVED, cloud_of
from llmroute.config.litellm_keys import IGNORED, NOT_NEEDED, prefixed
from llmroute.config.litellm_model import LitellmParams, ModelEntry, ModelInfo, RouterSettings
from llmroute.config.litellm_prices import Prices, Terms, split
from llmroute.config.model import Price
from llmroute.config.origin import Origin
from llmroute.config.provider_names import LITELLM_NAMES, refusal
from llmroute.config.references import placeholder
from llmroute.config.validation import check_headers, meant, quoted, section, validated
from llmroute.config.vendors import carries_key
from llmroute.providers import Deployment
from llmroute.providers.anthropic import DEFAULT_BASE_URL, AnthropicDeployment

__all__ = ["Defaults", "Entry", "accepted", "read_entry"]

_PRICES = (
    *("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"),
    *("cache_creation_input_token_cost", "cache_creation_input_token_cost_above_1hr"),
)
_GUESSES = (
    ("claude-", "anthropic"),
    ("gemini-", "vertex_ai"),
    *((start, "openai") for start in ("chatgpt-", "codex-", "gpt-", "o1", "o3", "o4")),
)
_AUTH_HEADERS = frozenset({"authorization", "x-api-key"})
_OWN_FORMAT = "/v1/messages"


class Defaults(NamedTuple):
    """What the rest of the file says about every deployment.

    Attributes:
        timeout: For deployments without one.
        stream_timeout: Likewise.
        limits: Whether `rpm` and `tpm` are limits and not only weights.
        parallel: The requests under way at once, for deployments without such a limit.
        credentials: The named credentials, each with its place.
        environ: The environment, the file's own variables included.
        forwarding: Aliases whose callers' credentials are forwarded; `None` for all.
        refreshing: Whether Azure's tokens may be those of this machine.
        terms: What is taken off prices, or added to them.
    """

    timeout: float | None
    stream_timeout: float | None
    limits: bool
    parallel: int | None
    credentials: Mapping[str, tuple[Path, dict[str, Any]]]
    environ: Mapping[str, str]
    forwarding: frozenset[str] | None
    refreshing: bool
    terms: Terms


class Entry(NamedTuple):
    """What an entry says.

    Attributes:
        at: Where it stands.
        alias: Its `model_name`.
        id: Its name, if the file gives one.
        deployment: `None` if it has problems.
        origin: Where the deployment stands.
        price: What the file says of prices.
        shares: Its `weight`, `rpm` and `tpm`.
        retries: Its own number of retries, and where that stands.
    """

    at: Path
    alias: str
    id: str | None
    deployment: Deployment | None
    origin: Origin | None
    price: Price | None
    shares: tuple[float | None, float | None, float | None]
    retries: int | None
    retries_at: Path | None
    max_input_tokens: int | None
    max_output_tokens: int | None


def accepted(
    document: Document, name: str, settings: Mapping[str, Any], places: Mapping[str, Path]
) -> dict[str, Any]:
    """Return what of a section is left when that without effect is taken out, with a warning."""
    kept = {}
    for key, value in settings.items():
        if key in NOT_NEEDED.get(name, ()) or (value is None and key in IGNORED[name]):
            continue
        reason = IGNORED[name].get(key)
        if reason is None and key not in _FIELDS.get(name, ()):
            reason = prefixed(name, key)
        if reason is None:
            kept[key] = value
        else:
            document.warn(places[key], f"ignored: {reason}")
    return kept


_FIELDS = {
    "litellm_params": LitellmParams.model_fields.keys(),
    "model_info": ModelInfo.model_fields.keys(),
    "router_settings": RouterSettings.model_fields.keys(),
}


def read_entry(document: Document, item: Any, at: Path, defaults: Defaults) -> Entry | None:
    """Read one entry; `None` if it has no usable name."""
    outer = section(document, item, at)
    if document.is_wrong(at):
        return None
    misplaced = "unknown setting here; it belongs under litellm_params"
    hints = dict.fromkeys(LitellmParams.model_fields, misplaced)
    validated(document, ModelEntry, outer, at, hints=hints)
    alias = outer.get("model_name")
    alias = alias if isinstance(alias, str) and alias else ""
    if alias.count("*") > 1:
        document.wrong((*at, "model_name"), "may have one *")
    prices = Prices(document)
    info = _info(document, outer.get("model_info"), (*at, "model_info"), prices)
    place = (*at, "litellm_params")
    inner = outer.get("litellm_params")
    reading = None
    if isinstance(inner, dict):
        reading = _Reading(document, place, inner, info, defaults, prices)
    else:
        document.wrong(place, "must be a mapping (name: value)")
    if not alias:
        return None
    params = reading.params if reading else None
    retries, retries_at = reading.retries if reading else (None, None)
    deployment, origin = reading.deployment(alias) if reading else (None, None)
    return Entry(
        at=at,
        alias=alias,
        id=info.id,
        deployment=deployment,
        origin=origin,
        price=prices.price(info.base_model, defaults.terms, reading.provider if reading else ""),
        shares=(params.weight, params.rpm, params.tpm) if params else (None, None, None),
        retries=retries,
        retries_at=retries_at,
        max_input_tokens=info.max_input_tokens,
        max_output_tokens=info.max_output_tokens or info.max_tokens,
    )


def _info(document: Document, value: Any, at: Path, prices: Prices) -> ModelInfo:
    settings, priced = split(section(document, value, at))
    for key, price in priced.items():
        prices.add(key, price, (*at, key))
    kept = accepted(document, "model_info", settings, {key: (*at, key) for key in settings})
    for key in kept.keys() - ModelInfo.model_fields.keys():
        # LiteLLM keeps notes of any name here, so an unknown one is no mistake by itself.
        near = meant(key, ModelInfo.model_fields)
        document.warn((*at, key), f"ignored: llmroute has no such setting{near}")
        del kept[key]
    info = validated(document, ModelInfo, kept, at) or ModelInfo()
    if info.id and not (info.id.isascii() and info.id.isprintable()):
        document.wrong((*at, "id"), "goes into a header: it must be plain ASCII")
    for key in _PRICES:
        prices.add(key, getattr(info, key), (*at, key))
    return info


class _Reading:
    """The reading of one `litellm_params`."""

    def __init__(
        self,
        document: Document,
        at: Path,
        own: dict[str, Any],
        info: ModelInfo,
        defaults: Defaults,
        prices: Prices,
    ) -> None:
        self._document = document
        self._at = at
        self._info = info
        self._defaults = defaults
        self._places: dict[str, Path] = {}
        self._given: dict[str, Any] = {}
        self._add_credential(own)
        self._given |= own
        self._places |= {key: (*at, key) for key in own}
        self._provider, self._model, self._no = self._provider_and_model()
        self._cloud = None if self._no else self._cloud_of(self._provider, self._model)
        common, self._own = self._given, {}
        if (cloud := self._cloud) is not None:
            self._own = {key: value for key, value in self._given.items() if cloud.owns(key)}
            common = {key: v for key, v in self._given.items() if key not in self._own}
        common, priced = split(common)
        for key, price in priced.items():
            prices.add(key, price, self._places[key])
        kept = accepted(document, "litellm_params", common, self._places)
        if self._no:
            # Another provider's settings are not known here; a slip in a common one still shows.
            fields = LitellmParams.model_fields
            kept = {k: v for k, v in kept.items() if k in fields or meant(k, fields)}
        for key in [key for key in kept if key.startswith("anthropic_")]:
            document.wrong(self._places[key], "is not part of this version of llmroute")
            del kept[key]
        self.params = validated(
            document,
            LitellmParams,
            kept,
            at,
            origins=self._places,
            known=IGNORED["litellm_params"],
            hints=dict.fromkeys(
                ModelInfo.model_fields, "unknown setting here; it belongs under model_info"
            ),
        )
        for key in _PRICES:
            prices.add(key, getattr(self.params, key, None), self._places.get(key, at))

    @property
    def provider(self) -> str:
        """The provider, as LiteLLM calls it."""
        return self._provider

    @property
    def retries(self) -> tuple[int | None, Path | None]:
        """The entry's own number of retries, and where it stands."""
        for name in ("num_retries", "max_retries"):
            value = getattr(self.params, name, None)
            if value is not None:
                return value, self._places[name]
        return None, None

    def _add_credential(self, own: dict[str, Any]) -> None:
        name = own.get("litellm_credential_name")
        if not isinstance(name, str):
            return
        found = self._defaults.credentials.get(name)
        if found is None:
            path = (*self._at, "litellm_credential_name")
            shown = quoted(self._document, path, name)
            near = meant(name, self._defaults.credentials)
            self._document.wrong(path, f"no credential is named {shown}{near}")
            return
        place, self._given = found[0], dict(found[1])
        self._places = {key: (*place, key) for key in self._given}

    def _provider_and_model(self) -> tuple[str, str, str | None]:
        """Return the provider, the model there, and what is wrong with the provider."""
        full, named = self._given.get("model"), self._given.get("custom_llm_provider")
        if not isinstance(full, str) or not full:
            return "", "", None
        path = self._places["model"]
        if isinstance(named, str):
            path = self._places["custom_llm_provider"]
            provider, model = named, full.removeprefix(f"{named}/")
        elif "/" in full:
            provider, _, model = full.partition("/")
        else:
            provider = next((p for start, p in _GUESSES if full.startswith(start)), "")
            model = full
        cloud = self._cloud_of(provider, model)
        no: str | None
        if not provider:
            no = "names no provider; write it before the model, as in anthropic/claude-sonnet-5"
        elif cloud is not None:
            no = cloud.refusal(model) if model else None
        elif self._speaks_messages():
            return provider, model, None
        else:
            shown = quoted(self._document, path, provider)
            no = refusal(provider, shown, SERVED, LITELLM_NAMES)
        if no:
            self._document.wrong(path, no)
        elif not model:
            self._document.wrong(path, "names a provider and no model")
        return provider, model, no or None

    def _cloud_of(self, provider: str, model: str) -> Cloud | None:
        """Return what reads the settings; `None` where those of the `anthropic` provider do."""
        if provider not in CLOUDS and self._speaks_messages():
            return None
        return cloud_of(provider, model, self._given, self._defaults.environ)

    def _speaks_messages(self) -> bool:
        """Whether the file says that the server at `api_base` reads Anthropic's format."""
        at_base = self._given.get("api_base") or self._given.get("base_url")
        return bool(at_base) and _OWN_FORMAT in (self._info.supported_endpoints or [])

    def deployment(self, alias: str) -> tuple[Deployment | None, Origin | None]:
        """Return the deployment and where it stands, reporting what it lacks."""
        params = self.params
        if params is None or self._no or not self._model:
            return None, None
        document, places = self._document, self._places
        if "*" in self._model and "*" not in alias:
            document.wrong(places["model"], "has a *, and model_name has none to put there")
        headers: dict[str, str] = {}
        for name in ("default_headers", "headers", "extra_headers"):
            more = getattr(params, name)
            check_headers(document, more, places.get(name, self._at))
            headers |= more
        settings: dict[str, Any] = {
            "model": self._model,
            "headers": headers,
            "extra_body": params.extra_body,
            "stream_timeout": params.stream_timeout or self._defaults.stream_timeout,
            "order": params.order,
            "weight": params.weight,
            "max_parallel_requests": params.max_parallel_requests or self._defaults.parallel,
        }
        if timeout := params.timeout or self._defaults.timeout:
            settings["timeout"] = timeout
        if self._defaults.limits:
            settings |= {"rpm": params.rpm, "tpm": params.tpm}
        if self._cloud and "base_model" in self._cloud.deployment.model_fields:
            settings["base_model"] = self._info.base_model
        if self._cloud and "max_tokens_limit" in self._cloud.deployment.model_fields:
            settings["max_tokens_limit"] = self._info.max_output_tokens or self._info.max_tokens
        if self._cloud:
            taken = self._in_cloud(params, headers)
        else:
            taken = self._anthropic(alias, params, headers)
        settings |= taken.settings
        settings = {name: value for name, value in settings.items() if value is not None}
        origins = {**self._headers_place(), **places, **taken.origins}
        model = self._cloud.deployment if self._cloud else AnthropicDeployment
        deployment = validated(document, model, settings, self._at, origins=origins)
        if deployment is not None:
            check_installed(document, deployment, self._at)
        ours = {name: at for name, at in origins.items() if name in model.model_fields}
        return deployment, document.origin(self._at, ours)

    def _headers_place(self) -> dict[str, Path]:
        given = [name for name in ("extra_headers", "default_headers") if name in self._places]
        return {"headers": self._places[given[0]]} if given else {}

    def _in_cloud(self, params: LitellmParams, headers: Mapping[str, str]) -> Taken:
        cloud, document = self._cloud, self._document
        assert cloud is not None  # noqa: S101 - the caller has asked
        own = validated(document, cloud.params, self._own, self._at, origins=self._places)
        if params.use_in_pass_through:
            document.warn(self._places["use_in_pass_through"], "ignored: only Anthropic's API is")
        base, base_at = self._given_base(params)
        return cloud.take(
            Given(
                document=document,
                at=self._at,
                places=self._places,
                model=self._model,
                own=own or cloud.params(),
                base=base,
                base_at=base_at,
                api_key=params.api_key,
                environ=self._defaults.environ,
                refreshing=self._defaults.refreshing,
                carries_key=carries_key(headers),
            )
        )

    def _anthropic(self, alias: str, params: LitellmParams, headers: Mapping[str, str]) -> Taken:
        base, base_at = self._base(params)
        forward = self._forward(alias, base, base_at)
        settings: dict[str, Any] = {
            "base_url": base,
            "forward_client_auth": forward,
            "use_in_pass_through": params.use_in_pass_through,
        }
        credential, credential_at = self._credential(params, base, forward=forward, headers=headers)
        return Taken(
            settings | credential,
            {"base_url": base_at, **dict.fromkeys(credential, credential_at)},
        )

    def _given_base(self, params: LitellmParams) -> tuple[str | None, Path]:
        """Return the address the entry names, and where it stands."""
        if params.api_base and params.base_url and params.api_base != params.base_url:
            self._document.wrong(self._places["base_url"], "is another address than api_base")
        for name in ("api_base", "base_url"):
            if name in self._given:
                return getattr(params, name), self._places[name]
        return None, (*self._at, "api_base")

    def _base(self, params: LitellmParams) -> tuple[str | None, Path]:
        """Return the upstream's address and where it stands."""
        given, given_at = self._given_base(params)
        if given_at in self._places.values():
            return (normalised(given) if given else None), given_at
        base = anthropic_base(self._defaults.environ)
        if base.own_proxy:
            self._document.warn(
                (*self._at, "api_base"),
                f"{base.variable} is this proxy's own address; api.anthropic.com is used",
            )
        return base.url, (base.variable,) if base.url else (*self._at, "api_base")

    def _forward(self, alias: str, base: str | None, base_at: Path) -> bool:
        groups = self._defaults.forwarding
        if groups is not None and alias not in groups:
            return False
        # A caller's login is for Anthropic. LiteLLM once sent it to whichever host was configured.
        if base is None or is_anthropic(base) or is_loopback(base):
            return True
        self._document.warn(base_at, "callers' own credentials are not forwarded to this address")
        return False

    def _credential(
        self, params: LitellmParams, base: str | None, *, forward: bool, headers: Mapping[str, str]
    ) -> tuple[dict[str, SecretStr | None], Path]:
        """Return the credential that the file or the environment holds, and where it stands."""
        document = self._document
        place = self._places.get("api_key", (*self._at, "api_key"))
        third_party = self._provider != "anthropic"
        if "api_key" in self._given:
            key = params.api_key
            if key and key.get_secret_value().startswith("oidc/"):
                document.wrong(place, "oidc/ tokens are not part of this version of llmroute")
            return {"auth_token" if third_party else "api_key": key}, place
        if third_party:
            return {}, place
        found = anthropic_credential(self._defaults.environ)
        carried = any(name.lower() in _AUTH_HEADERS for name in headers)
        if carried or (forward and found is None):
            return {}, place
        if found is None:
            if not document.credentials:
                return {"api_key": SecretStr(placeholder("ANTHROPIC_API_KEY"))}, place
            document.wrong(place, "no api_key, and ANTHROPIC_API_KEY is not set")
            return {}, place
        in_file = "api_base" in self._given or "base_url" in self._given
        if in_file and not is_anthropic(base or DEFAULT_BASE_URL):
            document.warn(place, f"none is given, so {found.variable} is sent to this api_base")
        return {found.setting: found.value}, (found.variable,)
