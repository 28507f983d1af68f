"""The names that LiteLLM has for providers, and what is said of one that is not here."""

from __future__ import annotations

from collections.abc import Collection

from llmroute.config.validation import meant

__all__ = ["LITELLM_NAMES", "refusal"]

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
        return f"provider {shown} is not part of this version of llmroute"
    return f"no provider is named {shown}{meant(name, {*known, *served})}"
