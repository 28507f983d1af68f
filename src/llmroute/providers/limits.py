"""How long a prompt and an answer a deployment takes: one place decides, for all who ask."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from llmroute.messages.catalog import facts
from llmroute.messages.estimate import NEWEST_CLAUDE, Vocabulary, vocabulary_of
from llmroute.providers._base import Deployment
from llmroute.providers.vendors import VENDORS
from llmroute.providers.windows import CAPS, Window, window_of
from llmroute.translate.converse_model import ConverseModel
from llmroute.translate.gemini_model import GeminiModel
from llmroute.translate.openai_models import traits

__all__ = ["is_claude", "limits_of", "tells_at_once", "vocabulary_at"]

# Anthropic's own models, wherever they are: what these platforms serve in the Messages format.
_NATIVE = frozenset({"anthropic", "vertex", "foundry"})
_CLAUDE = re.compile(r"claude|anthropic")


def limits_of(deployment: Deployment, model: str) -> Window:
    """Return the longest prompt and the longest answer of a model at a deployment.

    What the configuration says stands first, then what is known of the model by its name.  Nothing
    is known of an open model on a server of your own: its window is what it was started with.

    Args:
        deployment: Which one.
        model: The upstream's name for the model.
    """
    known = _known(
        _set(deployment, "base_model") or model,
        deployment.provider,
        _set(deployment, "vendor") or "",
    )
    return Window(
        deployment.max_input_tokens or known.prompt,
        _set(deployment, "max_tokens_limit") or known.answer,
    )


def is_claude(deployment: Deployment, model: str) -> bool:
    """Whether this is Claude itself: it says what is too long, in the words that clients know."""
    if deployment.provider in _NATIVE:
        return True
    name = _set(deployment, "base_model") or model
    if _CLAUDE.search(name.lower()):
        return True
    return deployment.provider == "bedrock" and not _is_foreign(name)


def tells_at_once(deployment: Deployment, model: str) -> bool:
    """Whether an answer begins with the prompt's length, counted by whoever serves the model."""
    if deployment.provider == "bedrock":
        is_own = not _is_foreign(_set(deployment, "base_model") or model)
        return is_own and _set(deployment, "surface") != "converse"
    return deployment.provider in _NATIVE


def vocabulary_at(deployment: Deployment, model: str) -> Vocabulary:
    """Return what is known of the tokenizer of a model at a deployment."""
    name = _set(deployment, "base_model") or model
    if is_claude(deployment, model) and not _CLAUDE.search(name.lower()):
        # A name of the user's own; it may be any of them.
        return NEWEST_CLAUDE
    return vocabulary_of(name)


def _set(deployment: Deployment, name: str) -> Any:
    """Return a setting; `None` where a kind has no such one, which `getattr` is slow to say."""
    return vars(deployment).get(name)


# Names may come from callers, so what is kept is bounded.
@lru_cache(maxsize=1024)
def _is_foreign(model: str) -> bool:
    return ConverseModel.of(model).is_foreign


@lru_cache(maxsize=1024)
def _known(model: str, provider: str, vendor: str) -> Window:
    # Some gateways write versions with a dot.
    if (claude := facts(model.replace(".", "-"))) is not None:
        return Window(claude.max_input_tokens, claude.max_tokens)
    name, longest = model, 0
    if provider == "bedrock":
        converse = ConverseModel.of(model)
        name, longest = converse.name.removeprefix("openai."), converse.longest
    openai = traits(name)
    if openai.window:
        return Window(openai.window, openai.longest or None)
    gemini = GeminiModel.of(name)
    if gemini.window:
        return Window(gemini.window, gemini.longest_answer)
    if not _is_hosted(provider, vendor):
        return Window()
    window = window_of(name)
    cap = CAPS.get(vendor)
    if cap is not None and window.prompt is not None:
        window = window._replace(prompt=min(window.prompt, cap))
    return window._replace(answer=longest or window.answer)


def _is_hosted(provider: str, vendor: str) -> bool:
    if provider in ("anthropic_compatible", "openai_compatible"):
        return vendor in VENDORS and not VENDORS[vendor].own_server
    return True
