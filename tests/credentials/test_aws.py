"""Requests signed with AWS keys, wherever these come from, as a strict Bedrock sees them."""

import sys
import threading

import anyio
import pytest

from llmroute.credentials import credential_for
from llmroute.credentials.aws import AwsCredential
from llmroute.credentials.static import StaticCredential
from llmroute.errors import FaultError, MisconfiguredError, UnreachableError
from llmroute.providers import UpstreamRequest
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.testing import AwsKey, Clock, FakeBedrock, FakeSts, FakeUpstream, as_json, raw
from llmroute.transport import Timeouts
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

MODEL = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-opus-5-5"
BODY = (b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,', memoryview(b'"messages":[]}'))
KEYS = {"access_key_id": "AKIAFAKE", "secret_access_key": "fake-secret"}


@pytest.fixture
def bedrock():
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def sts(bedrock):
    with FakeSts(bedrock) as fake:
        yield fake


@pytest.fixture(autouse=True)
def aws_files(monkeypatch, tmp_path):
    """Return the folder in which AWS's files are looked for; there are none yet."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def deployment_of(bedrock, **settings):
    return BedrockDeployment(**{"region": bedrock.region, "base_url": bedrock.url, **settings})


async def send(bedrock, credential, *, headers=(), method="POST"):
    """Send a signed request; return the status."""
    url = f"{bedrock.url}/model/{MODEL}/invoke"
    given = [(b"content-type", b"application/json"), *headers]
    request = UpstreamRequest(method, url, given, BODY)
    request = await credential.completed(request)
    signed = [*request.headers, *await credential.headers(request)]
    transport = DirectTransport()
    try:
        reply = await transport.send(request.method, request.url, signed, request.body, Timeouts())
        while await reply.receive():
            pass
        return reply.status
    finally:
        await transport.aclose()


async def status_of(bedrock, **settings):
    return await send(bedrock, credential_for(deployment_of(bedrock, **settings)))


async def test_keys_of_the_configuration_sign_what_is_sent(bedrock):
    credential = credential_for(deployment_of(bedrock, **KEYS))
    more = [(b"x-amzn-bedrock-service-tier", b"flex"), (b"x-own", b"a  b \xe9")]

    assert 200 == await send(bedrock, credential, headers=more)
    assert ["AKIAFAKE"] == bedrock.signers


async def test_temporary_keys_bring_their_token_along(bedrock):
    bedrock.keys["ASIA1"] = AwsKey("s", "token-1")
    keys = {"access_key_id": "ASIA1", "secret_access_key": "s"}

    assert 200 == await status_of(bedrock, **keys, session_token="token-1")
    assert 403 == await status_of(bedrock, **keys)


async def test_an_api_key_is_sent_as_bearer():
    with FakeBedrock(api_key="ABSK1") as bedrock:
        deployment = deployment_of(bedrock, api_key="ABSK1")

        assert isinstance(credential_for(deployment), StaticCredential)
        assert 200 == await status_of(bedrock, api_key="ABSK1")
        assert 403 == await status_of(bedrock, api_key="ABSK2")
        sent = bedrock.requests[0]
        assert ("Bearer ABSK1", None) == (sent.header("authorization"), sent.header("x-amz-date"))


async def test_the_environment_is_looked_at_when_nothing_is_given(bedrock, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFAKE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake-secret")

    assert 200 == await status_of(bedrock)


async def test_a_profile_stands_above_the_environment_and_above_keys(
    bedrock, monkeypatch, aws_files
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    (aws_files / "credentials").write_text(
        "[work]\naws_access_key_id = AKIAFAKE\naws_secret_access_key = fake-secret\n"
    )
    other = {"access_key_id": "AKIAOTHER", "secret_access_key": "other"}

    assert 200 == await status_of(bedrock, profile="work")
    assert 200 == await status_of(bedrock, profile="work", **other)


async def test_the_region_of_the_aws_files_completes_the_address(bedrock, aws_files):
    (aws_files / "config").write_text("[profile work]\nregion = eu-west-3\n")
    credential = AwsCredential(BedrockDeployment(profile="work", model="m", **KEYS))
    (aws_files / "credentials").write_text(
        "[work]\naws_access_key_id = AKIAFAKE\naws_secret_access_key = fake-secret\n"
    )
    request = UpstreamRequest("POST", "https://aws.invalid/model/m/invoke", [], ())

    completed = await credential.completed(request)

    assert "https://bedrock-runtime.eu-west-3.amazonaws.com/model/m/invoke" == completed.url
    assert b"/eu-west-3/bedrock/" in dict(await credential.headers(completed))[b"authorization"]


@pytest.mark.parametrize(
    ("environ", "file", "expected"),
    [
        pytest.param({}, "", "us-west-2", id="nothing"),
        pytest.param({}, "[default]\nregion = eu-west-3\n", "eu-west-3", id="file"),
        pytest.param(
            {"AWS_DEFAULT_REGION": "eu-west-1"},
            "[default]\nregion = eu-west-3\n",
            "eu-west-1",
            id="variable",
        ),
    ],
)
@pytest.mark.parametrize(
    "settings", [pytest.param(KEYS, id="keys"), pytest.param({"api_key": "ABSK1"}, id="api-key")]
)
async def test_a_default_region_stands_below_the_aws_files(
    monkeypatch, aws_files, environ, file, expected, settings
):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (aws_files / "config").write_text(file)
    credential = credential_for(BedrockDeployment(default_region="us-west-2", **settings))
    request = UpstreamRequest("POST", "https://aws.invalid/model/m/invoke", [], ())

    completed = await credential.completed(request)

    assert f"https://bedrock-runtime.{expected}.amazonaws.com/model/m/invoke" == completed.url
    authorization = dict(await credential.headers(completed))[b"authorization"].decode()
    assert authorization == "Bearer ABSK1" or f"/{expected}/bedrock/" in authorization


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"default_region": "us-west-2"}, "us-west-2", id="default"),
        pytest.param({}, None, id="none"),
    ],
)
async def test_a_key_needs_none_of_aws_s_packages(monkeypatch, settings, expected):
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    credential = credential_for(BedrockDeployment(auth_token="ABSK1", **settings))
    request = UpstreamRequest("POST", "https://aws.invalid/model/m/invoke", [], ())

    if expected is None:
        with pytest.raises(MisconfiguredError, match="no region is named"):
            await credential.completed(request)
    else:
        assert f".{expected}.amazonaws.com/" in (await credential.completed(request)).url


async def test_signatures_for_an_isolated_region_are_for_that_region():
    with FakeBedrock(region="us-isob-east-1") as bedrock:
        assert 200 == await status_of(bedrock, **KEYS)


async def test_a_container_s_keys_are_found(bedrock, monkeypatch):
    keys = {
        "AccessKeyId": "ASIACONTAINER",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    bedrock.keys["ASIACONTAINER"] = AwsKey("s", "t")
    with FakeUpstream() as container:
        container.on("GET", "/keys", as_json(keys))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/keys")

        assert 200 == await status_of(bedrock)


async def test_a_role_is_assumed_as_its_policy_asks(bedrock, sts):
    sts.external_id = "partner-1"
    role = {
        **KEYS,
        "role_arn": "arn:aws:iam::123456789012:role/gateway",
        "role_session_name": "proxy-1",
        "session_tags": {"team": "a"},
        "sts_endpoint": sts.url,
    }

    assert 200 == await status_of(bedrock, **role, external_id="partner-1")
    assert ["ASIAFAKE1"] == bedrock.signers
    assumed = sts.assumed[0]
    assert ("proxy-1", "partner-1", "team", "a") == (
        assumed["RoleSessionName"],
        assumed["ExternalId"],
        assumed["Tags.member.1.Key"],
        assumed["Tags.member.1.Value"],
    )
    with pytest.raises(MisconfiguredError, match="is not authorized to perform") as caught:
        await status_of(bedrock, **role, external_id="partner-2")
    assert 401 == caught.value.status
    assert "123456789012" not in str(caught.value)


@pytest.mark.parametrize("in_file", [True, False], ids=["file", "literal"])
async def test_a_web_identity_stands_in_for_keys(bedrock, sts, aws_files, in_file):
    (aws_files / "token").write_text(f"{sts.web_identity}\n")
    token = str(aws_files / "token") if in_file else sts.web_identity
    role = {"role_arn": "arn:aws:iam::123456789012:role/pod", "sts_endpoint": sts.url}

    assert 200 == await status_of(bedrock, **role, web_identity_token=token)
    assert "AssumeRoleWithWebIdentity" == sts.assumed[0]["Action"]
    with pytest.raises(MisconfiguredError, match="could not be validated"):
        await status_of(bedrock, **role, web_identity_token="another")


async def test_an_oidc_name_is_read_anew_for_each_set_of_keys(bedrock, sts, monkeypatch):
    clock = Clock()
    sts.lifetime = 120.0
    role = {"role_arn": "arn:aws:iam::123456789012:role/ci", "sts_endpoint": sts.url}
    deployment = deployment_of(bedrock, **role, web_identity_token="oidc/env/MY_TOKEN")
    credential = AwsCredential(deployment, clock)
    with pytest.raises(MisconfiguredError, match="MY_TOKEN is not set") as caught:
        await send(bedrock, credential)
    assert 401 == caught.value.status

    monkeypatch.setenv("MY_TOKEN", sts.web_identity)
    assert 200 == await send(bedrock, credential)
    sts.web_identity = "rotated"
    monkeypatch.setenv("MY_TOKEN", "rotated")
    clock.advance(60)
    assert 200 == await send(bedrock, credential)
    assert [sts.assumed[0]["WebIdentityToken"], "rotated"] == [
        assumed["WebIdentityToken"] for assumed in sts.assumed
    ]


async def test_a_job_at_github_signs_with_its_identity(bedrock, sts, monkeypatch):
    with FakeUpstream() as github:
        github.on("GET", "/token", as_json({"value": sts.web_identity}))
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{github.url}/token")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job")
        role = {"role_arn": "arn:aws:iam::123456789012:role/ci", "sts_endpoint": sts.url}

        assert 200 == await status_of(
            bedrock, **role, web_identity_token="oidc/github/sts.amazonaws.com"
        )


ROLE = {**KEYS, "role_arn": "arn:aws:iam::123456789012:role/gateway"}


async def test_many_requests_fetch_keys_once(bedrock, sts):
    credential = credential_for(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url))
    statuses = []

    async def one():
        statuses.append(await send(bedrock, credential))

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(one)

    assert [200] * 12 == statuses
    assert 1 == len(sts.assumed)


async def test_keys_are_fetched_anew_before_they_expire(bedrock, sts):
    credential = credential_for(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url))
    sts.lifetime = 120.0

    assert 200 == await send(bedrock, credential)
    sts.lifetime = 3600.0
    assert 200 == await send(bedrock, credential)
    assert 200 == await send(bedrock, credential)
    assert ["ASIAFAKE1", "ASIAFAKE2", "ASIAFAKE2"] == bedrock.signers


async def test_keys_that_were_refused_are_renewed_once_for_all_who_ask(bedrock, sts):
    clock = Clock()
    credential = AwsCredential(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url), clock)
    assert 200 == await send(bedrock, credential)
    clock.advance(60)
    bedrock.keys["ASIAFAKE1"] = bedrock.keys["ASIAFAKE1"]._replace(expires=1.0)
    statuses = []

    async def one():
        assert 403 == await send(bedrock, credential)
        async with everyone_refused:
            everyone_refused.notify_all()
            statuses.append(403)
            while len(statuses) < 5:
                await everyone_refused.wait()
        assert await credential.renew()
        statuses.append(await send(bedrock, credential))

    everyone_refused = anyio.Condition()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)

    assert [403] * 5 + [200] * 5 == statuses
    assert 2 == len(sts.assumed)


async def test_new_keys_that_are_refused_as_well_are_not_fetched_again_at_once(bedrock, sts):
    clock = Clock()
    credential = AwsCredential(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url), clock)
    assert 200 == await send(bedrock, credential)
    bedrock.keys.pop("ASIAFAKE1")
    assert 403 == await send(bedrock, credential)

    assert not await credential.renew()
    assert 1 == len(sts.assumed)


async def test_given_keys_and_unchanged_ones_cannot_be_renewed(bedrock, aws_files):
    clock = Clock()
    given = AwsCredential(deployment_of(bedrock, **KEYS), clock)
    file = aws_files / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIAOLD\naws_secret_access_key = s\n")
    found = AwsCredential(deployment_of(bedrock), clock)
    assert (200, 403) == (await send(bedrock, given), await send(bedrock, found))
    clock.advance(60)

    assert not await given.renew()
    assert not await found.renew()
    file.write_text(
        "[default]\naws_access_key_id = AKIAFAKE\naws_secret_access_key = fake-secret\n"
    )
    clock.advance(60)
    assert await found.renew()
    assert 200 == await send(bedrock, found)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, "none were found", id="nothing"),
        pytest.param({"profile": "work"}, r"profile \(work\) could not be found", id="profile"),
        pytest.param({"region": None, "base_url": None}, "no region is named", id="region"),
    ],
)
async def test_what_is_missing_is_said(bedrock, settings, expected):
    with pytest.raises(MisconfiguredError, match=expected):
        await status_of(bedrock, **settings)


async def test_a_token_service_that_is_out_of_order_is_no_misconfiguration(bedrock):
    gone = {**ROLE, "sts_endpoint": "http://127.0.0.1:9"}
    with pytest.raises(UnreachableError, match="Could not connect"):
        await status_of(bedrock, **gone)
    with FakeUpstream() as broken:
        refusal = b"<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>"
        broken.on("POST", "/", raw(503, [("content-type", "text/xml")], refusal))
        with pytest.raises(FaultError, match="ServiceUnavailable") as caught:
            await status_of(bedrock, **ROLE, sts_endpoint=broken.url)
    assert 502 == caught.value.status


async def test_keys_that_live_shortly_are_not_fetched_for_each_request(bedrock, sts):
    clock = Clock()
    credential = AwsCredential(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url), clock)
    sts.lifetime = 800.0

    assert [200] * 5 == [await send(bedrock, credential) for _ in range(5)]
    assert 2 == len(sts.assumed)
    clock.advance(31)
    assert 200 == await send(bedrock, credential)
    assert 3 == len(sts.assumed)


class HeldSts(FakeSts):
    """Answers when it is let."""

    def __init__(self, bedrock):
        super().__init__(bedrock)
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def _chosen(self, received, problem):
        self.begun.set()
        assert self.go_on.wait(10)
        return super()._chosen(received, problem)


async def test_requests_go_on_with_keys_that_are_being_replaced(bedrock):
    with HeldSts(bedrock) as sts:
        credential = credential_for(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url))
        sts.lifetime = 800.0
        assert 200 == await send(bedrock, credential)
        sts.begun.clear()
        sts.go_on.clear()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(send, bedrock, credential)
                assert await anyio.to_thread.run_sync(sts.begun.wait, 10)
                statuses = [await send(bedrock, credential) for _ in range(3)]
                signers = list(bedrock.signers)
                sts.go_on.set()

        assert ([200] * 3, ["ASIAFAKE1"] * 4) == (statuses, signers)
        assert "ASIAFAKE2" == bedrock.signers[-1]


async def test_what_a_role_may_not_do_does_not_fetch_its_keys_each_time(bedrock, sts):
    clock = Clock()
    credential = AwsCredential(deployment_of(bedrock, **ROLE, sts_endpoint=sts.url), clock)
    renewed = []
    for _ in range(4):
        assert 200 == await send(bedrock, credential)
        clock.advance(1)
        renewed.append(await credential.renew())

    assert [True, False, False, False] == renewed
    assert 2 == len(sts.assumed)


async def test_no_secret_is_shown(bedrock):
    deployment = deployment_of(bedrock, **KEYS, session_token="t-canary", api_key="k-canary")

    assert not {"AKIAFAKE", "fake-secret", "t-canary", "k-canary"} & set(
        repr(deployment).split("'")
    )
