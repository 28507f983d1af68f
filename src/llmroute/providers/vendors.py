"""The vendors there are: where each is, what it speaks, and in what it differs.  One row each.

A vendor that reads the Messages format at some address is spoken to there; the others get Chat
Completions.  The rows are data: a new one is a line in the table.

Where a row is from: `docs` is the vendor's documentation or models.dev's data, `table` another
gateway's table (LiteLLM 1.109.1), which is not the vendor's word.  All of November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from llmroute.platforms import Platform, compatible, gateway

__all__ = ["CHECKED", "VENDORS", "Address", "Vendor", "vendor_of"]

CHECKED = "2026-11-23"
"""When the rows were last compared with their sources."""

_Source = Literal["docs", "table"]


class Address(NamedTuple):
    """One place where a vendor is.

    Attributes:
        chat: Up to but without `/chat/completions`; empty where that is not served.
        messages: Up to but without `/v1/messages`; empty where that is not served.
    """

    chat: str
    messages: str = ""


class Vendor(NamedTuple):
    """What is known of a vendor.

    Attributes:
        name: As in `provider:`, and before the model in LiteLLM's files.
        title: As people write it.
        addresses: The first is used where a configuration names none; all are known by their host.
        keys: Variables that hold its key, the usual one first.
        platform: What its Messages endpoint takes; `None` where it has none.
        chat: Settings of `openai_compatible` in which its Chat Completions differ.
        counts: Has `/v1/messages/count_tokens`.
        key_needed: Refuses requests without a key.
        own_server: Runs wherever a user starts it; its address there serves every format it has.
        starts_late: Leaves `message_start` out of some of its Messages streams.
        shared_key: Its variable is there for other reasons as well, so that finding it means
            nothing.
        prices: Its name in the price list genai-prices; the same if empty.
        source: Where the row is from.
    """

    name: str
    title: str
    addresses: tuple[Address, ...]
    keys: tuple[str, ...]
    platform: Platform | None = None
    chat: Mapping[str, Any] = MappingProxyType({})
    counts: bool = False
    key_needed: bool = True
    own_server: bool = False
    starts_late: bool = False
    shared_key: bool = False
    prices: str = ""
    source: _Source = "docs"

    @property
    def seller(self) -> str:
        """Whose price list holds."""
        return self.prices or self.name

    @property
    def base(self) -> Address:
        """The address that is used where none is named; an empty one if there is no such."""
        return self.addresses[0] if self.addresses else Address("")

    def at(self, url: str) -> Address | None:
        """Return the address on whose host `url` is; `None` if the vendor is not known there."""
        host = _host(url)
        return next(
            (each for each in self.addresses if host in (_host(each.chat), _host(each.messages))),
            None,
        )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _quirks(**settings: Any) -> Mapping[str, Any]:
    return MappingProxyType(settings)


# Measured by `make test-real`, like all of its row.
_LLAMA_CPP = replace(
    compatible("llama.cpp"), tool_choices=frozenset({"auto", "any"}), results_apart=True
)
_NO_QUIRKS = _quirks()
_NO_ORDER = ["auto", "none"]
_ALL_EFFORTS = {"none": ""}
_BY_EFFORT = ["reasoning_effort"]
_THINKING = ["thinking"]
_TEMPLATE = ["chat_template_kwargs"]


def _chat(
    name: str, title: str, base: str, keys: str, source: _Source = "docs", **settings: Any
) -> Vendor:
    """Make the row of a vendor that has Chat Completions alone."""
    return Vendor(name, title, (Address(base),), tuple(keys.split()), None, settings, source=source)


def _hosted() -> tuple[Vendor, ...]:
    """Return those that read the Messages format, and run models of their own or open ones."""
    deepseek = _quirks(
        images=False,
        reasoning_replay="reasoning_content",
        effort_in=_BY_EFFORT,
        efforts={"low": "high", "medium": "high", "xhigh": "max", "none": ""},
    )
    kimi = _quirks(
        tool_choices=_NO_ORDER,
        prefill="partial",
        reasoning_replay="reasoning_content",
        effort_in=_THINKING,
        parallel_tool_calls=False,
        prompt_cache_key=True,
    )
    glm = _quirks(
        tool_choices=["auto"],
        effort_in=_THINKING,
        reasoning_replay="reasoning_content",
        parallel_tool_calls=False,
        extra_body={"tool_stream": True},
    )
    china = "https://open.bigmodel.cn"
    return (
        Vendor(
            "deepseek",
            "DeepSeek",
            (Address("https://api.deepseek.com/v1", "https://api.deepseek.com/anthropic"),),
            ("DEEPSEEK_API_KEY",),
            compatible("DeepSeek", effort=True, images=False),
            deepseek,
        ),
        Vendor(
            "moonshot",
            "Moonshot (Kimi)",
            (
                Address("https://api.moonshot.ai/v1", "https://api.moonshot.ai/anthropic"),
                Address("https://api.moonshot.cn/v1", "https://api.moonshot.cn/anthropic"),
            ),
            ("MOONSHOT_API_KEY",),
            compatible("Moonshot"),
            kimi,
            prices="moonshotai",
        ),
        Vendor(
            "kimi",
            "Kimi Code",
            (Address("https://api.kimi.com/coding/v1", "https://api.kimi.com/coding"),),
            ("KIMI_API_KEY",),
            compatible("Kimi Code"),
            kimi,
            prices="moonshotai",
        ),
        Vendor(
            "zai",
            "Z.ai (GLM)",
            (Address("https://api.z.ai/api/paas/v4", "https://api.z.ai/api/anthropic"),),
            ("ZAI_API_KEY",),
            compatible("Z.ai"),
            glm,
        ),
        Vendor(
            "bigmodel",
            "BigModel (GLM in China)",
            (Address(f"{china}/api/paas/v4", f"{china}/api/anthropic"),),
            ("BIGMODEL_API_KEY", "ZHIPU_API_KEY"),
            compatible("BigModel"),
            glm,
        ),
        Vendor(
            "minimax",
            "MiniMax",
            (
                Address("https://api.minimax.io/v1", "https://api.minimax.io/anthropic"),
                Address("https://api.minimaxi.com/v1", "https://api.minimaxi.com/anthropic"),
            ),
            ("MINIMAX_API_KEY",),
            compatible("MiniMax", images=False),
            _quirks(images=False, stop=False),
        ),
        Vendor(
            "dashscope",
            "DashScope (Qwen)",
            (
                *(
                    Address(f"https://{host}/compatible-mode/v1", f"https://{host}/apps/anthropic")
                    for host in ("dashscope-intl.aliyuncs.com", "dashscope.aliyuncs.com")
                ),
            ),
            ("DASHSCOPE_API_KEY",),
            compatible("DashScope"),
            _quirks(effort_in=["enable_thinking"], cache_marks="cache_control"),
        ),
        Vendor(
            "fireworks_ai",
            "Fireworks",
            (
                Address(
                    "https://api.fireworks.ai/inference/v1", "https://api.fireworks.ai/inference"
                ),
            ),
            ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY"),
            compatible("Fireworks"),
            _quirks(effort_in=_BY_EFFORT, reasoning_replay="reasoning_content", top_k=True),
            prices="fireworks",
        ),
        Vendor(
            "novita",
            "Novita",
            (Address("https://api.novita.ai/openai", "https://api.novita.ai/anthropic"),),
            ("NOVITA_API_KEY",),
            compatible("Novita"),
            _quirks(top_k=True),
            prices="novita",
        ),
        Vendor(
            "tencent",
            "Tencent TokenHub",
            (
                Address(
                    "https://tokenhub-intl.tencentcloudmaas.com/v1",
                    "https://tokenhub-intl.tencentcloudmaas.com",
                ),
            ),
            ("TENCENT_API_KEY",),
            compatible("Tencent"),
            source="table",
        ),
        Vendor(
            "opencode_go",
            "OpenCode Go",
            (
                Address(
                    "https://opencode.ai/inference/go/openai/v1",
                    "https://opencode.ai/inference/go/anthropic",
                ),
            ),
            ("OPENCODE_API_KEY",),
            compatible("OpenCode Go"),
            source="table",
        ),
        Vendor(
            "meta",
            "Meta",
            (Address("https://api.meta.ai/v1", "https://api.meta.ai"),),
            ("META_API_KEY",),
            compatible("Meta"),
            source="table",
        ),
    )


def _gateways() -> tuple[Vendor, ...]:
    """Return those that hand Messages on to Claude as well, and take all that it takes."""
    return (
        Vendor(
            "openrouter",
            "OpenRouter",
            (
                Address("https://openrouter.ai/api/v1", "https://openrouter.ai/api"),
                Address("https://eu.openrouter.ai/api/v1", "https://eu.openrouter.ai/api"),
            ),
            ("OPENROUTER_API_KEY", "OR_API_KEY"),
            gateway("OpenRouter"),
            _quirks(
                effort_in=["reasoning"],
                efforts=_ALL_EFFORTS,
                reasoning_replay="reasoning_details",
                cache_marks="cache_control",
                documents=True,
                top_k=True,
            ),
        ),
        Vendor(
            "vercel_ai_gateway",
            "Vercel AI Gateway",
            (Address("https://ai-gateway.vercel.sh/v1", "https://ai-gateway.vercel.sh"),),
            ("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
            gateway("Vercel AI Gateway"),
            _quirks(effort_in=["reasoning"]),
        ),
        Vendor(
            "databricks",
            "Databricks",
            (),
            ("DATABRICKS_TOKEN", "DATABRICKS_API_KEY"),
            None,
            _quirks(effort_in=_BY_EFFORT, cache_marks="cache_control"),
            shared_key=True,
        ),
        Vendor(
            "litellm_proxy",
            "a LiteLLM proxy",
            (),
            ("LITELLM_PROXY_API_KEY",),
            gateway("the LiteLLM proxy"),
            own_server=True,
            counts=True,
            key_needed=False,
            source="table",
        ),
    )


def _own_servers() -> tuple[Vendor, ...]:
    """Return the servers that people start themselves."""
    ollama = compatible("Ollama")
    vllm = _quirks(
        effort_in=_TEMPLATE, prefill="continue_final_message", top_k=True, tool_images=False
    )
    here = "http://localhost"
    return (
        Vendor(
            "ollama",
            "Ollama",
            (
                Address(f"{here}:11434/v1", f"{here}:11434"),
                Address("https://ollama.com/v1", "https://ollama.com"),
            ),
            ("OLLAMA_API_KEY",),
            ollama,
            _quirks(effort_in=_BY_EFFORT, tool_choices=["auto"], image_urls=False),
            key_needed=False,
            own_server=True,
        ),
        Vendor(
            "vllm",
            "vLLM",
            (Address(f"{here}:8000/v1", f"{here}:8000"),),
            ("VLLM_API_KEY", "HOSTED_VLLM_API_KEY"),
            compatible("vLLM"),
            vllm,
            counts=True,
            key_needed=False,
            own_server=True,
        ),
        Vendor(
            "llama_cpp",
            "llama.cpp",
            (Address(f"{here}:8080/v1", f"{here}:8080"),),
            ("LLAMA_API_KEY", "LLAMAFILE_API_KEY"),
            _LLAMA_CPP,
            _quirks(
                effort_in=_TEMPLATE,
                tool_choices=["auto", "none", "required"],
                image_urls=False,
                top_k=True,
            ),
            counts=True,
            key_needed=False,
            own_server=True,
            starts_late=True,
        ),
        Vendor(
            "lm_studio",
            "LM Studio",
            (Address("http://127.0.0.1:1234/v1", "http://127.0.0.1:1234"),),
            ("LMSTUDIO_API_KEY", "LM_STUDIO_API_KEY"),
            compatible("LM Studio"),
            _quirks(tool_choices=["auto", "none", "required"], image_urls=False),
            key_needed=False,
            own_server=True,
        ),
        Vendor(
            "docker_model_runner",
            "Docker Model Runner",
            (Address(f"{here}:22088/engines/llama.cpp/v1"),),
            ("DOCKER_MODEL_RUNNER_API_KEY",),
            None,
            _quirks(image_urls=False),
            key_needed=False,
            source="table",
        ),
        Vendor(
            "xinference",
            "Xinference",
            (Address("http://127.0.0.1:9997/v1"),),
            ("XINFERENCE_API_KEY",),
            key_needed=False,
            own_server=True,
            source="table",
        ),
    )


def _chats() -> tuple[Vendor, ...]:
    """Return those that have Chat Completions alone."""
    return (
        _chat(
            "groq",
            "Groq",
            "https://api.groq.com/openai/v1",
            "GROQ_API_KEY",
            effort_in=_BY_EFFORT,
            max_tokens_name="max_completion_tokens",
        ),
        _chat(
            "mistral",
            "Mistral",
            "https://api.mistral.ai/v1",
            "MISTRAL_API_KEY",
            tool_ids="mistral",
            user_after_tool=False,
            prefill="prefix",
            stream_options=False,
        ),
        _chat(
            "codestral",
            "Codestral",
            "https://codestral.mistral.ai/v1",
            "CODESTRAL_API_KEY",
            tool_ids="mistral",
            user_after_tool=False,
            prefill="prefix",
            stream_options=False,
        ),
        _chat("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", stop=False),
        _chat(
            "together_ai",
            "Together",
            "https://api.together.ai/v1",
            "TOGETHER_API_KEY TOGETHERAI_API_KEY TOGETHER_AI_TOKEN",
            top_k=True,
        ),
        _chat(
            "cerebras",
            "Cerebras",
            "https://api.cerebras.ai/v1",
            "CEREBRAS_API_KEY",
            max_tokens_name="max_completion_tokens",
        ),
        _chat(
            "nvidia_nim",
            "NVIDIA NIM",
            "https://integrate.api.nvidia.com/v1",
            "NVIDIA_API_KEY NVIDIA_NIM_API_KEY",
            effort_in=_TEMPLATE,
            parallel_tool_calls=False,
        ),
        _chat(
            "sambanova",
            "SambaNova",
            "https://api.sambanova.ai/v1",
            "SAMBANOVA_API_KEY",
            parallel_tool_calls=False,
        ),
        _chat(
            "perplexity",
            "Perplexity",
            "https://api.perplexity.ai",
            "PERPLEXITY_API_KEY",
            tool_choices=[],
            drop_members=["tools"],
            user_after_tool=False,
        ),
        _chat(
            "cohere",
            "Cohere",
            "https://api.cohere.ai/compatibility/v1",
            "COHERE_API_KEY CO_API_KEY",
            parallel_tool_calls=False,
            tool_choices=["none", "required"],
        ),
        _chat("huggingface", "Hugging Face", "https://router.huggingface.co/v1", "HF_TOKEN"),
        _chat("github", "GitHub Models", "https://models.github.ai/inference", "GITHUB_TOKEN"),
        _chat("deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
        _chat("baseten", "Baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY"),
        *(
            _chat(name, title, base, key, "table")
            for name, title, base, key in (
                ("ai21", "AI21", "https://api.ai21.com/studio/v1", "AI21_API_KEY"),
                (
                    *("aihubmix", "AiHubMix", "https://aihubmix.com/v1"),
                    "AIHUBMIX_API_KEY",
                ),
                ("chutes", "Chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY"),
                (
                    *("featherless_ai", "Featherless", "https://api.featherless.ai/v1"),
                    "FEATHERLESS_AI_API_KEY",
                ),
                (
                    *("friendliai", "Friendli", "https://api.friendli.ai/serverless/v1"),
                    "FRIENDLI_TOKEN",
                ),
                (
                    *("hyperbolic", "Hyperbolic", "https://api.hyperbolic.xyz/v1"),
                    "HYPERBOLIC_API_KEY",
                ),
                ("lambda_ai", "Lambda", "https://api.lambda.ai/v1", "LAMBDA_API_KEY"),
                (
                    *("modelscope", "ModelScope", "https://api-inference.modelscope.cn/v1"),
                    "MODELSCOPE_API_KEY",
                ),
                ("nano-gpt", "NanoGPT", "https://nano-gpt.com/api/v1", "NANOGPT_API_KEY"),
                ("nebius", "Nebius", "https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY"),
                ("nscale", "Nscale", "https://inference.api.nscale.com/v1", "NSCALE_API_KEY"),
                ("poe", "Poe", "https://api.poe.com/v1", "POE_API_KEY"),
                ("scaleway", "Scaleway", "https://api.scaleway.ai/v1", "SCW_SECRET_KEY"),
                (
                    *("synthetic", "Synthetic", "https://api.synthetic.new/openai/v1"),
                    "SYNTHETIC_API_KEY",
                ),
                (
                    *("volcengine", "Volcengine", "https://ark.cn-beijing.volces.com/api/v3"),
                    "VOLCENGINE_API_KEY",
                ),
                ("wandb", "Weights & Biases", "https://api.inference.wandb.ai/v1", "WANDB_API_KEY"),
                (
                    *("xiaomi_mimo", "Xiaomi MiMo", "https://api.xiaomimimo.com/v1"),
                    "XIAOMI_MIMO_API_KEY",
                ),
            )
        ),
        # These are at an address of each account's own.
        Vendor("cloudflare", "Cloudflare Workers AI", (), ("CLOUDFLARE_API_KEY",)),
        Vendor("helicone", "Helicone", (), ("HELICONE_API_KEY",), source="table"),
        Vendor("ovhcloud", "OVHcloud", (), ("OVHCLOUD_API_KEY",), source="table"),
    )


# Their variables are on machines that mean to use no model: in every run of a workflow, say.
_SHARED = frozenset({"github", "huggingface", "scaleway", "wandb", "cloudflare", "databricks"})
_PRICES = {"bigmodel": "zhipuai", "together_ai": "together", "xai": "x-ai"}

# Other names of the same, in LiteLLM's files.
_ALSO = {
    "hosted_vllm": "vllm",
    "llamafile": "llama_cpp",
    "ollama_chat": "ollama",
    "qwencloud": "dashscope",
    "qwen_ai_platform": "dashscope",
    "cohere_chat": "cohere",
}

VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        each.name: each._replace(
            shared_key=each.name in _SHARED, prices=_PRICES.get(each.name, each.prices)
        )
        for each in sorted((*_hosted(), *_gateways(), *_own_servers(), *_chats()))
    }
)
"""Every vendor, by name."""


@lru_cache(maxsize=256)
def vendor_of(name: str) -> Vendor | None:
    """Return the vendor of that name, or of that prefix in LiteLLM's files; `None` if none is."""
    return VENDORS.get(_ALSO.get(name, name))
