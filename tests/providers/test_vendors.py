"""The table of vendors: every row can be used, and an address leads to its vendor."""

import pytest

from llmroute.providers.anthropic_compatible import AnthropicCompatibleDeployment
from llmroute.providers.openai_compatible import OpenAICompatibleDeployment
from llmroute.providers.vendors import VENDORS, vendor_of

rows = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS.keys())
ADDRESSES = [
    pytest.param(vendor, address, id=f"{vendor.name} {address.chat}")
    for vendor in VENDORS.values()
    for address in vendor.addresses
]


@rows
def test_what_a_row_says_of_chat_completions_is_what_can_be_set(vendor):
    base = vendor.base.chat or "https://account.example/v1"

    deployment = OpenAICompatibleDeployment(base_url=base, **vendor.chat)

    assert set(vendor.chat) == deployment.model_fields_set - {"base_url"}


@rows
def test_a_row_names_a_key_and_a_title(vendor):
    assert vendor.keys
    assert vendor.title


@pytest.mark.parametrize(("vendor", "address"), ADDRESSES)
def test_an_address_is_whole_and_is_found_by_its_host(vendor, address):
    assert OpenAICompatibleDeployment(base_url=address.chat).base_url == address.chat
    assert not address.messages.endswith(("/", "/v1", "/messages"))
    assert address == vendor.at(address.chat + "/chat/completions")
    if address.messages:
        native = AnthropicCompatibleDeployment(base_url=address.messages, vendor=vendor.name)
        assert vendor.platform.title == native.platform.title


def test_an_address_elsewhere_is_not_the_vendors():
    assert VENDORS["deepseek"].at("https://deepseek.example/v1") is None
    assert VENDORS["deepseek"].at("http://[") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("deepseek", "deepseek", id="own"),
        pytest.param("hosted_vllm", "vllm", id="litellms"),
        pytest.param("ollama_chat", "ollama", id="litellms-second"),
    ],
)
def test_a_name_leads_to_its_row(name, expected):
    assert VENDORS[expected] is vendor_of(name)


def test_a_name_of_nobody_leads_nowhere():
    assert vendor_of("deepsek") is None


def test_those_that_translate_nothing_are_the_ones_with_messages():
    native = {name for name, vendor in VENDORS.items() if vendor.base.messages}

    assert {"deepseek", "moonshot", "zai", "minimax", "openrouter", "ollama", "vllm"} <= native
    assert not {"groq", "mistral", "cerebras"} & native
