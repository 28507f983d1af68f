"""The names that LiteLLM has for providers, and what is said of one that is not here."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from llmroute.config.validation import meant

__all__ = ["LITELLM_NAMES", "refusal", "unknown"]

LITELLM_NAMES = frozenset(
    """
    ai21 aihubmix anthropic azure azure_ai baseten bedrock bedrock_converse bedrock_mantle bigmodel
    cerebras chatgpt chutes cloudflare codestral cohere cohere_chat custom_openai dashscope
    databricks deepinfra deepseek docker_model_runner edenai featherless_ai fireworks_ai friendliai
    gemini github github_copilot groq helicone hosted_vllm huggingface hyperbolic lambda_ai
    litellm_proxy llamafile lm_studio meta minimax mistral modelscope moonshot nano-gpt nebius
    novita nscale nvidia_nim oci ollama ollama_chat openai openai_like opencode_go openrouter
    ovhcloud perplexity poe qwen_ai_platform qwencloud replicate sagemaker sagemaker_chat sambanova
    scaleway snowflake synthetic tencent text-completion-openai together_ai vercel_ai_gateway
    vertex_ai vertex_ai_beta vllm volcengine wandb watsonx xai xiaomi_mimo xinference zai
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)

# What else people call a provider: each name is one in at least one of the dialects.
_COMMONLY = {
    "alibaba": "dashscope",
    "amazon": "bedrock",
    "aws": "bedrock",
    "azure": "azure_openai",
    "azure_openai": "azure",
    "chatgpt": "openai",
    "claude": "anthropic",
    "glm": "zai",
    "google": "gemini",
    "gpt": "openai",
    "grok": "xai",
    "qwen": "dashscope",
    "vertex": "vertex_ai",
    "vertex_ai": "vertex",
}

_OWN_API = (
    "it has an API of its own; what speaks Chat Completions in front of it is reached by"
    " `openai_compatible`, in LiteLLM's files `custom_openai/`"
)
# Why those are not here that LiteLLM has.
_REASONS = {
    "chatgpt": "its sign-in is for OpenAI's own programs; `openai` takes an API key",
    "github_copilot": "its terms let GitHub's own editors in, and no gateway",
    **dict.fromkeys(
        ("oci", "replicate", "sagemaker", "sagemaker_chat", "snowflake", "watsonx"), _OWN_API
    ),
    "text-completion-openai": "it completes texts, and holds no conversation",
}


def unknown(name: str, shown: str, known: Iterable[str]) -> str:
    """Say that no provider is called `name`, and which one may be meant.

    Args:
        name: The provider asked for.
        shown: The same as it may stand in a message.
        known: Every name that means a provider in this dialect.
    """
    names = frozenset(known)
    other = _COMMONLY.get(name.lower())
    hint = f" (did you mean '{other}'?)" if other in names else meant(name, names)
    return f"no provider is named {shown}{hint or '; `llmroute providers` lists them'}"


def refusal(name: str, shown: str, served: Collection[str], known: frozenset[str]) -> str | None:
    """Say why there is no provider `name`; `None` if there is one.

    Args:
        name: The provider asked for.
        shown: The same as it may stand in a message.
        served: Every name under which a provider is served in this dialect.
        known: Every name that means a provider in this dialect.
    """
    if name in served:
        return None
    if name in known:
        why = f": {_REASONS[name]}" if name in _REASONS else ""
        return f"provider {shown} is not part of this version of llmroute{why}"
    return unknown(name, shown, {*known, *served})
