"""A vendor's name in either dialect: the provider, the address, the key, and what is wrong."""

import pytest

from llmroute.config import load_dict, load_env
from llmroute.errors import ConfigError


def native(**settings):
    data = {"deployments": {"d": settings}, "aliases": {"a": "d"}}
    config = load_dict(data, {"KEY": "sk-canary"})
    return next(iter(config.deployments.values()))


def litellm(model, environ=None, info=None, **params):
    entry = {"model_name": "a", "litellm_params": {"model": model, **params}}
    config = load_dict({"model_list": [entry | ({"model_info": info} if info else {})]}, environ)
    return config, next(iter(config.deployments.values()))


def secrets(deployment):
    return [
        each and each.get_secret_value() for each in (deployment.api_key, deployment.auth_token)
    ]


DEEPSEEK = "https://api.deepseek.com/anthropic"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"provider": "deepseek"}, ("anthropic_compatible", DEEPSEEK), id="native"),
        pytest.param(
            {"provider": "deepseek", "api": "chat"},
            ("openai_compatible", "https://api.deepseek.com/v1"),
            id="chat-if-asked",
        ),
        pytest.param(
            {"provider": "deepseek", "base_url": "http://127.0.0.1:9"},
            ("anthropic_compatible", "http://127.0.0.1:9"),
            id="elsewhere",
        ),
        pytest.param(
            {"provider": "moonshot", "base_url": "https://api.moonshot.cn/v1"},
            ("anthropic_compatible", "https://api.moonshot.cn/anthropic"),
            id="in-china-by-its-other-address",
        ),
        pytest.param(
            {"provider": "groq"},
            ("openai_compatible", "https://api.groq.com/openai/v1"),
            id="translated",
        ),
        pytest.param(
            {"provider": "vllm", "base_url": "http://gpu:9000/v1"},
            ("anthropic_compatible", "http://gpu:9000"),
            id="own-server",
        ),
    ],
)
def test_a_vendors_name_stands_for_a_provider_and_an_address(settings, expected):
    deployment = native(**settings, model="m", api_key="${KEY}")

    assert expected == (deployment.provider, deployment.base_url)


def test_a_key_is_sent_as_every_vendor_takes_it():
    assert [None, "sk-canary"] == secrets(native(provider="deepseek", api_key="${KEY}"))
    assert ["sk-canary", None] == secrets(native(provider="groq", api_key="${KEY}"))
    assert [None, "sk-canary"] == secrets(native(provider="deepseek", api_keys=["${KEY}"]))


def test_what_the_vendor_differs_in_is_set_and_can_be_set_otherwise():
    assert "mistral" == native(provider="mistral", api_key="k").tool_ids
    assert "any" == native(provider="mistral", api_key="k", tool_ids="any").tool_ids


def test_a_server_of_ones_own_needs_no_key():
    assert [None, None] == secrets(native(provider="ollama", model="qwen"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"provider": "deepseek"},
            "api_key: required, and not given; ${DEEPSEEK_API_KEY}, say",
            id="no-key",
        ),
        pytest.param(
            {"provider": "deepsek"},
            "provider: no provider is named 'deepsek' (did you mean 'deepseek'?)",
            id="misspelt",
        ),
        pytest.param(
            {"provider": "groq", "api": "messages", "api_key": "k"},
            "api: Groq does not read the Messages format",
            id="no-messages",
        ),
        pytest.param(
            {"provider": "groq", "api": "grpc", "api_key": "k"},
            "api: must be 'messages' or 'chat'",
            id="no-format",
        ),
        pytest.param(
            {"provider": "cloudflare", "api_key": "k"},
            "base_url: required, and not given: it is of your account's own",
            id="no-address",
        ),
        pytest.param(
            {"provider": "deepseek", "api_key": "a b"},
            "api_key: holds a character that a key cannot have",
            id="odd-key",
        ),
        pytest.param(
            {"provider": "deepseek", "api_key": "k", "auth_token": "t"},
            "auth_token: stands beside api_key; one of them is too many",
            id="two-keys",
        ),
        pytest.param(
            {"provider": "deepseek", "api_key": "k", "imags": False},
            "imags: unknown setting (did you mean 'images'?)",
            id="unknown-setting",
        ),
    ],
)
def test_what_is_wrong_stands_at_its_place(settings, expected):
    with pytest.raises(ConfigError) as caught:
        native(**settings)

    assert f"<dict>: deployments.d.{expected}" == str(caught.value)


@pytest.mark.parametrize(
    ("model", "params", "expected"),
    [
        pytest.param(
            "deepseek/deepseek-v4-pro", {}, ("anthropic_compatible", DEEPSEEK), id="native"
        ),
        pytest.param(
            "deepseek/deepseek-v4-pro",
            {"api_base": "https://api.deepseek.com/beta"},
            ("anthropic_compatible", DEEPSEEK),
            id="its-own-other-address",
        ),
        pytest.param(
            "deepseek/deepseek-v4-pro",
            {"use_chat_completions_api": True},
            ("openai_compatible", "https://api.deepseek.com/v1"),
            id="chat-if-asked",
        ),
        pytest.param(
            "deepseek/deepseek-v4-pro",
            {"api_base": "https://proxy.example/deepseek/v1"},
            ("openai_compatible", "https://proxy.example/deepseek/v1"),
            id="elsewhere",
        ),
        pytest.param(
            "moonshot/kimi",
            {"api_base": "https://proxy.example/anthropic/v1"},
            ("anthropic_compatible", "https://proxy.example/anthropic"),
            id="elsewhere-in-the-format",
        ),
        pytest.param(
            "zai/glm-5",
            {"api_base": "https://api.z.ai/api/coding/paas/v4", "drop_params": True},
            ("anthropic_compatible", "https://api.z.ai/api/anthropic"),
            id="plan",
        ),
        pytest.param(
            "hosted_vllm/qwen",
            {"api_base": "http://gpu:8000/v1"},
            ("anthropic_compatible", "http://gpu:8000"),
            id="vllm",
        ),
        pytest.param(
            "ollama_chat/llama",
            {},
            ("anthropic_compatible", "http://localhost:11434"),
            id="ollama",
        ),
        pytest.param(
            "openrouter/anthropic/claude-opus-5.5",
            {},
            ("anthropic_compatible", "https://openrouter.ai/api"),
            id="openrouter",
        ),
        pytest.param(
            "groq/llama", {}, ("openai_compatible", "https://api.groq.com/openai/v1"), id="groq"
        ),
        pytest.param("openai/gpt-6", {"organization": "org"}, ("openai", None), id="openai"),
        pytest.param("gpt-6", {}, ("openai", None), id="bare-name"),
        pytest.param(
            "openai/gpt-6",
            {"api_base": "https://eu.api.openai.com/v1"},
            ("openai", "https://eu.api.openai.com/v1"),
            id="openai-in-europe",
        ),
        pytest.param(
            "openai/local",
            {"api_base": "http://localhost:1234/v1"},
            ("openai_compatible", "http://localhost:1234/v1"),
            id="openai-elsewhere",
        ),
        pytest.param(
            "custom_openai/x",
            {"api_base": "http://localhost:1234/v1"},
            ("openai_compatible", "http://localhost:1234/v1"),
            id="custom-openai",
        ),
        pytest.param(
            "azure/my-gpt",
            {"api_base": "https://acme.openai.azure.com", "api_version": "2025-02-01-preview"},
            ("azure_openai", "https://acme.openai.azure.com"),
            id="azure",
        ),
        pytest.param("gemini/gemini-3-pro", {}, ("gemini", None), id="gemini"),
        pytest.param(
            "databricks/dbrx",
            {"api_base": "https://host.example/serving-endpoints"},
            ("openai_compatible", "https://host.example/serving-endpoints"),
            id="databricks",
        ),
    ],
)
def test_a_prefix_of_litellms_leads_to_a_provider(model, params, expected):
    _, deployment = litellm(model, {}, api_key="sk-canary", **params)

    assert expected == (deployment.provider, deployment.base_url)
    assert "sk-canary" in secrets(deployment)
    assert model.split("/", 1)[-1] == deployment.model


def test_azure_by_responses_has_litellms_prefix():
    base = "https://acme.openai.azure.com"
    _, deployment = litellm("azure/responses/my-gpt", {}, api_key="k", api_base=base)

    assert ("responses", "my-gpt") == (deployment.api, deployment.model)


def test_gemini_on_vertex_has_a_project_and_a_location():
    _, deployment = litellm(
        "vertex_ai/gemini-3-pro", {}, vertex_project="p", vertex_location="europe-west1"
    )

    assert ("gemini", "vertex", "p", "europe-west1") == (
        deployment.provider,
        deployment.surface,
        deployment.project,
        deployment.location,
    )


def test_a_key_and_an_address_are_taken_from_the_environment():
    environ = {"DEEPSEEK_API_KEY": "e", "DEEPSEEK_API_BASE": "https://mirror.example/v1"}

    config, deployment = litellm("deepseek/x", environ)

    assert ("openai_compatible", "https://mirror.example/v1") == (
        deployment.provider,
        deployment.base_url,
    )
    assert ["e", None] == secrets(deployment)
    assert () == config.warnings


def test_a_key_from_the_environment_that_goes_to_an_address_of_the_file_is_told_of():
    config, _ = litellm("groq/x", {"GROQ_API_KEY": "e"}, api_base="https://mirror.example/v1")

    assert [
        "<dict>: model_list[0].litellm_params.api_key: none is given, so GROQ_API_KEY is sent to "
        "this api_base"
    ] == [str(warning) for warning in config.warnings]


def test_openais_own_key_goes_to_no_other_server():
    environ = {"OPENAI_API_KEY": "sk-canary"}

    _, deployment = litellm("openai/x", environ, api_base="http://localhost:1234/v1")

    assert [None, None] == secrets(deployment)


def test_an_azure_key_of_foundrys_is_not_azure_openais():
    environ = {"AZURE_AI_API_KEY": "foundry", "AZURE_API_KEY": "openai"}

    _, deployment = litellm("azure/x", environ, api_base="https://acme.openai.azure.com")

    assert ["openai", None] == secrets(deployment)


@pytest.mark.parametrize(
    ("model", "params", "expected"),
    [
        pytest.param("groq/x", {}, "api_key: no api_key, and GROQ_API_KEY is not set", id="no-key"),
        pytest.param(
            "databricks/x",
            {"api_key": "k"},
            "api_base: no api_base, and DATABRICKS_API_BASE is not set",
            id="no-address",
        ),
        pytest.param("custom_openai/x", {}, "api_base: required, and not given", id="no-server"),
        pytest.param(
            "github_copilot/x",
            {"api_key": "k"},
            "model: provider 'github_copilot' is not part of this version of llmroute: its terms",
            id="not-served",
        ),
        pytest.param(
            "watsonx/x",
            {"api_key": "k"},
            "model: provider 'watsonx' is not part of this version of llmroute: it has an API",
            id="an-api-of-its-own",
        ),
        pytest.param(
            "grok/x",
            {"api_key": "k"},
            "model: no provider is named 'grok' (did you mean 'xai'?)",
            id="no-prefix",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_stands_at_its_place(model, params, expected):
    with pytest.raises(ConfigError) as caught:
        litellm(model, {}, **params)

    assert str(caught.value).startswith(f"<dict>: model_list[0].litellm_params.{expected}")


def test_keys_in_the_environment_make_an_alias_each_after_anthropics():
    config = load_env(
        {
            "DEEPSEEK_API_KEY": "d",
            "ANTHROPIC_API_KEY": "a",
            "OPENAI_API_KEY": "o",
            "GOOGLE_API_KEY": "g",
            "GITHUB_TOKEN": "of every workflow",
        }
    )

    assert [
        "ANTHROPIC_API_KEY: claude-* goes to https://api.anthropic.com",
        "OPENAI_API_KEY: openai/* goes to https://api.openai.com/v1",
        "GOOGLE_API_KEY: gemini/* goes to https://generativelanguage.googleapis.com",
        f"DEEPSEEK_API_KEY: deepseek/* goes to {DEEPSEEK}",
    ] == list(config.found)
    assert ["claude-*", "openai/*", "gemini/*", "deepseek/*"] == list(config.aliases)
    assert [None, "d"] == secrets(config.deployments["deepseek"])
    assert "*" == config.deployments["deepseek"].model


def test_one_vendors_key_is_enough():
    config = load_env({"GROQ_API_KEY": "g"})

    assert {"groq/*"} == set(config.aliases)
    assert ["g", None] == secrets(config.deployments["groq"])


def test_openais_key_for_another_address_goes_there_alone():
    config = load_env({"OPENAI_API_KEY": "o", "OPENAI_BASE_URL": "https://llm.example/v1"})

    deployment = config.deployments["openai"]
    assert ("openai_compatible", "https://llm.example/v1") == (
        deployment.provider,
        deployment.base_url,
    )
