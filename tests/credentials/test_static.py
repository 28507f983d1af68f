"""A key or a token becomes one header, and is seen nowhere else."""

import pytest
from pydantic import SecretStr

from llmroute.credentials import StaticCredential, credential_for
from llmroute.providers import UpstreamRequest
from llmroute.providers.anthropic import AnthropicDeployment

pytestmark = pytest.mark.anyio

OAUTH = "sk-ant-oat01-canary"
OAUTH_BETA = (b"anthropic-beta", b"oauth-2025-04-20")


def request(*headers):
    return UpstreamRequest("POST", "https://a.example/v1/messages", list(headers), ())


def secret(value):
    return None if value is None else SecretStr(value)


@pytest.mark.parametrize(
    ("api_key", "auth_token", "expected"),
    [
        pytest.param("sk-1", None, [(b"x-api-key", b"sk-1")], id="key"),
        pytest.param(None, "tok", [(b"authorization", b"Bearer tok")], id="token"),
        pytest.param(
            "sk-1",
            "tok",
            [(b"x-api-key", b"sk-1"), (b"authorization", b"Bearer tok")],
            id="both",
        ),
        pytest.param(
            OAUTH, None, [(b"authorization", b"Bearer " + OAUTH.encode()), OAUTH_BETA], id="oauth"
        ),
        pytest.param(
            None,
            OAUTH,
            [(b"authorization", b"Bearer " + OAUTH.encode()), OAUTH_BETA],
            id="oauth-as-token",
        ),
        pytest.param(None, None, [], id="none"),
        pytest.param("", "", [], id="empty"),
    ],
)
async def test_a_credential_is_sent_the_way_its_kind_is(api_key, auth_token, expected):
    credential = StaticCredential(secret(api_key), secret(auth_token))

    assert expected == list(await credential.headers(request()))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([(b"anthropic-beta", b"a")], True, id="another-beta"),
        pytest.param([(b"x-beta", b"oauth-2025-04-20")], True, id="another-header"),
        pytest.param([OAUTH_BETA], False, id="there"),
        pytest.param([(b"anthropic-beta", b"a, oauth-2025-04-20,b")], False, id="in-a-list"),
        pytest.param([(b"anthropic-beta", b"a"), OAUTH_BETA], False, id="on-a-second-line"),
    ],
)
async def test_the_beta_that_a_subscriptions_token_needs_is_asked_for_once(headers, expected):
    credential = StaticCredential(SecretStr(OAUTH))

    found = await credential.headers(request(*headers))

    assert expected == (OAUTH_BETA in found)


async def test_asking_twice_gives_the_same():
    credential = StaticCredential(SecretStr(OAUTH))

    first, second = await credential.headers(request()), await credential.headers(request())

    assert list(first) == list(second)
    assert 1 == len(list(await credential.headers(request(OAUTH_BETA))))


async def test_a_refused_key_is_the_only_one():
    assert not await StaticCredential(SecretStr("sk-1")).renew()


async def test_a_deployment_describes_its_credential():
    credential = credential_for(AnthropicDeployment(api_key="sk-1"))

    assert [(b"x-api-key", b"sk-1")] == list(await credential.headers(request()))


async def test_no_secret_is_shown():
    credential = StaticCredential(SecretStr("sk-canary"), SecretStr("canary"))

    assert "canary" not in repr(credential)
    assert "canary" not in str(credential)
