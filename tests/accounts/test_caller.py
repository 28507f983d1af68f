"""Who may call, and what of the caller's credentials is the caller's own."""

import pytest
from pydantic import SecretStr

from llmroute.accounts.caller import Caller, Keys
from llmroute.accounts.keyring import Keyring
from llmroute.accounts.model import Key
from llmroute.accounts.secrets import digest_of
from llmroute.errors import ForbiddenError, StoreError, UnauthorizedError, UnavailableError
from llmroute.messages.call import Sender

pytestmark = pytest.mark.anyio

KEY = "sk-master-canary"
OURS = KEY.encode()
LOGIN = (b"authorization", b"Bearer sk-ant-oat01-login")
THEIR_KEY = (b"x-api-key", b"sk-ant-api03-theirs")


def keys():
    return Keys(SecretStr(KEY))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"authorization", b"Bearer " + OURS), id="bearer"),
        pytest.param((b"authorization", b"bearer " + OURS), id="bearer-in-lower-case"),
        pytest.param((b"authorization", b"BEARER   " + OURS + b" "), id="bearer-with-spaces"),
        pytest.param((b"authorization", OURS), id="no-scheme"),
        pytest.param((b"x-api-key", OURS), id="api-key"),
        pytest.param((b"x-api-key", b"Bearer " + OURS), id="api-key-as-bearer"),
        pytest.param((b"api-key", OURS), id="azures"),
        pytest.param((b"x-litellm-api-key", OURS), id="litellm"),
        pytest.param((b"x-litellm-api-key", b"Bearer " + OURS), id="litellm-as-bearer"),
    ],
)
async def test_a_key_of_ours_lets_in_by_any_of_four_headers(header):
    assert Caller(Sender("master"), [], is_admin=True) == await keys().authenticate(
        [(b"accept", b"*/*"), header]
    )


@pytest.mark.parametrize(
    ("headers", "client_auth"),
    [
        pytest.param([LOGIN, (b"x-api-key", OURS)], [LOGIN], id="login-and-our-key"),
        pytest.param(
            [(b"authorization", b"Bearer " + OURS), THEIR_KEY], [THEIR_KEY], id="ours-and-theirs"
        ),
        pytest.param(
            [LOGIN, THEIR_KEY, (b"x-litellm-api-key", OURS)], [LOGIN, THEIR_KEY], id="three"
        ),
        pytest.param(
            [(b"authorization", b"Bearer " + OURS), (b"x-api-key", OURS)], [], id="ours-twice"
        ),
        pytest.param(
            [(b"x-api-key", OURS), (b"x-litellm-api-key", b"sk-other")], [], id="litellms-is-ours"
        ),
        pytest.param([(b"x-api-key", OURS), (b"api-key", b"sk-other")], [], id="azures-is-ours"),
        pytest.param([(b"x-api-key", OURS), (b"authorization", b"")], [], id="an-empty-one"),
        pytest.param(
            [(b"authorization", b"AWS4-HMAC-SHA256 Credential=A"), (b"x-api-key", OURS)],
            [],
            id="a-signature-for-amazon",
        ),
        pytest.param(
            [(b"authorization", b"Basic dTpw"), (b"x-api-key", OURS)],
            [(b"authorization", b"Basic dTpw")],
            id="another-scheme",
        ),
        pytest.param(
            [LOGIN, (b"authorization", b"Bearer " + OURS)], [LOGIN], id="the-same-header-twice"
        ),
        pytest.param(
            [(b"authorization", b"Bearer sk-llmr-deleted"), (b"x-api-key", OURS)],
            [],
            id="one-of-ours-that-is-no-more",
        ),
        pytest.param(
            [(b"authorization", b"Bearer\tsk-llmr-odd"), (b"x-api-key", OURS)],
            [],
            id="one-of-ours-oddly-written",
        ),
    ],
)
async def test_what_is_not_ours_is_the_callers_own(headers, client_auth):
    caller = await keys().authenticate(headers)

    assert Caller(Sender("master"), client_auth, is_admin=True) == caller
    assert "canary" not in repr(caller)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        pytest.param([], "No key was sent", id="none"),
        pytest.param([(b"accept", b"*/*")], "No key was sent", id="other-headers"),
        pytest.param([(b"authorization", b"")], "No key was sent", id="empty"),
        pytest.param([(b"cookie", OURS)], "No key was sent", id="in-another-header"),
        pytest.param([LOGIN], "not one of", id="a-login"),
        pytest.param([(b"x-api-key", OURS[:-1])], "not one of", id="a-beginning"),
        pytest.param([(b"x-api-key", OURS + b"x")], "not one of", id="an-extension"),
        pytest.param([(b"x-api-key", OURS.upper())], "not one of", id="in-upper-case"),
        pytest.param([(b"authorization", b"Bearer ")], "not one of", id="bearer-of-nothing"),
        pytest.param([(b"authorization", b"Basic " + OURS)], "not one of", id="another-scheme"),
        pytest.param([(b"x-api-key", b"\xff\x00")], "not one of", id="any-bytes"),
    ],
)
async def test_nobody_else_is_let_in(headers, words):
    with pytest.raises(UnauthorizedError, match=words) as refused:
        await keys().authenticate(headers)

    # Claude Code takes these words for its own login's.
    assert "invalid x-api-key" not in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "client_auth"),
    [
        pytest.param([], [], id="none"),
        pytest.param([LOGIN, THEIR_KEY], [LOGIN, THEIR_KEY], id="the-callers-own"),
        pytest.param([(b"x-litellm-api-key", b"sk-1"), LOGIN], [LOGIN], id="litellms-is-ours"),
    ],
)
async def test_without_a_key_everyone_is_let_in(headers, client_auth):
    assert Caller(Sender("local"), client_auth, is_admin=True) == await Keys(None).authenticate(
        headers
    )


@pytest.mark.parametrize("value", [b"", b" ", b"Bearer", b"Bearer ", b"bearer  "])
async def test_an_empty_key_lets_nobody_in(value):
    with pytest.raises(UnauthorizedError):
        await Keys(SecretStr("")).authenticate([(b"authorization", value)])


async def test_a_key_may_hold_any_text():
    assert (
        "master"
        == (
            await Keys(SecretStr("schlüssel")).authenticate([(b"x-api-key", "schlüssel".encode())])
        ).sender.key
    )


async def test_no_key_is_shown():
    known = keys()

    assert "canary" not in repr(known)
    assert "canary" not in repr([getattr(known, name) for name in known.__slots__])


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        pytest.param([(b"host", b"127.0.0.1:4000")], True, id="loopback"),
        pytest.param([(b"host", b"0.0.0.0:4000")], True, id="any-address"),
        pytest.param([(b"host", b"localhost")], True, id="localhost"),
        pytest.param([(b"host", b"[::1]:4000")], True, id="ipv6"),
        pytest.param([], True, id="in-another-app"),
        pytest.param(
            [(b"host", b"127.0.0.1:4000"), (b"origin", b"http://localhost:3000")],
            True,
            id="page-of-this-machine",
        ),
        pytest.param([(b"host", b"rebound.example:4000")], False, id="rebound-name"),
        pytest.param([(b"host", b"127.0.0.1.example")], False, id="looks-like-loopback"),
        pytest.param([(b"host", b"10.0.0.1:4000")], False, id="another-address"),
        pytest.param([(b"host", b"[::1")], False, id="broken"),
        pytest.param(
            [(b"host", b"127.0.0.1:4000"), (b"origin", b"https://a.example")],
            False,
            id="foreign-page",
        ),
        pytest.param(
            [(b"host", b"127.0.0.1:4000"), (b"origin", b"null")], False, id="page-of-nowhere"
        ),
        pytest.param(
            [(b"host", b"127.0.0.1:4000"), (b"sec-fetch-site", b"cross-site")],
            False,
            id="picture-in-a-foreign-page",
        ),
        pytest.param(
            [(b"host", b"127.0.0.1:4000"), (b"sec-fetch-site", b"none")],
            True,
            id="what-somebody-types",
        ),
    ],
)
async def test_without_a_key_only_this_machine_is_let_in(headers, let_in):
    keys = Keys(None)

    if let_in:
        assert "local" == (await keys.authenticate(headers)).sender.key
    else:
        with pytest.raises(ForbiddenError, match="LLMROUTE_MASTER_KEY"):
            await keys.authenticate(headers)


class Away:
    """A directory whose database is away; counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    async def find_key(self, digest):
        self.asked += 1
        raise StoreError("away")


def away(*, master=KEY):
    directory = Away()
    keyring = Keyring({digest_of("sk-known"): Key("k", "known")}, directory, lambda: 100.0)
    return Keys(None if master is None else SecretStr(master), keyring), directory


@pytest.mark.parametrize(
    ("key", "name"),
    [pytest.param(OURS, "master", id="master"), pytest.param(b"sk-known", "known", id="a-persons")],
)
@pytest.mark.parametrize("login_first", [True, False])
async def test_a_login_beside_a_known_key_needs_no_database(key, name, login_first):
    headers = [LOGIN, (b"x-api-key", key)]
    keys, _ = away()

    caller = await keys.authenticate(headers if login_first else headers[::-1])
    assert (name, [LOGIN]) == (caller.sender.key, caller.client_auth)


async def test_what_only_the_database_knows_is_not_refused_while_it_is_away():
    keys, directory = away()

    for _ in range(3):
        with pytest.raises(UnavailableError):
            await keys.authenticate([(b"x-api-key", b"sk-unheard-of")])
    # Each would wait for as long as the database lets it.
    assert 1 == directory.asked


async def test_more_keys_than_anybody_has_are_not_looked_for():
    keys, directory = away()

    with pytest.raises(UnauthorizedError, match="More than 8 keys"):
        await keys.authenticate([(b"x-api-key", b"sk-%d" % number) for number in range(9)])
    assert 0 == directory.asked


@pytest.mark.parametrize(
    ("header", "ours"),
    [
        pytest.param((b"x-any", b"Bearer sk-llmr-deleted"), True, id="made-here-once"),
        pytest.param((b"x-any", OURS), True, id="the-master-key"),
        pytest.param((b"x-any", b"sk-known"), True, id="a-key"),
        pytest.param((b"x-any", b"sk-ant-api03-theirs"), False, id="anybodys"),
    ],
)
async def test_no_key_of_ours_is_taken_for_anything_else(header, ours):
    assert ours == away()[0].is_ours(header)
