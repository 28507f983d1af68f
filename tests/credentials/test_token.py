"""A token that ends is fetched when it is needed, once for all, and again before it ends."""

import threading

import anyio
import pytest

from llmroute.credentials.token import Token, TokenCredential
from llmroute.errors import MisconfiguredError, UnreachableError
from llmroute.providers import UpstreamRequest
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio

REQUEST = UpstreamRequest("POST", "https://a.example", [], ())
LIFETIME = 3600.0


class Service:
    """Gives tokens, each another; may be held, and may fail."""

    def __init__(self, clock):
        self.clock = clock
        self.given = 0
        self.failure = None
        self.lifetime = LIFETIME
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def fetch(self):
        self.begun.set()
        assert self.go_on.wait(10)
        self.given += 1
        if self.failure is not None:
            raise self.failure
        return Token(f"token-{self.given}", self.clock() + self.lifetime)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(clock):
    return Service(clock)


@pytest.fixture
def credential(service, clock):
    return TokenCredential(service.fetch, clock)


def bearer(number):
    return [(b"authorization", b"Bearer token-%d" % number)]


async def in_thread(event):
    assert await anyio.to_thread.run_sync(event.wait, 10)


async def test_nothing_is_fetched_before_it_is_needed(credential, service):
    assert REQUEST is await credential.completed(REQUEST)
    assert 0 == service.given
    assert bearer(1) == await credential.headers(REQUEST)


async def test_a_token_is_used_until_shortly_before_its_end(credential, clock):
    await credential.headers(REQUEST)
    clock.advance(LIFETIME - 301)

    assert bearer(1) == await credential.headers(REQUEST)
    clock.advance(2)
    assert bearer(2) == await credential.headers(REQUEST)


async def test_many_calls_wait_for_one_token(credential, service):
    service.go_on.clear()
    found = []

    async def ask():
        found.append(await credential.headers(REQUEST))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await in_thread(service.begun)
        service.go_on.set()

    assert [bearer(1)] * 20 == found
    assert 1 == service.given


async def test_while_one_call_fetches_early_the_others_use_the_old_token(
    credential, service, clock
):
    await credential.headers(REQUEST)
    clock.advance(LIFETIME - 100)
    service.go_on.clear()
    service.begun.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(credential.headers, REQUEST)
        await in_thread(service.begun)

        with anyio.fail_after(5):
            assert bearer(1) == await credential.headers(REQUEST)
        service.go_on.set()

    assert bearer(2) == await credential.headers(REQUEST)


async def test_a_token_that_could_not_be_replaced_early_is_used_to_its_end(
    credential, service, clock
):
    await credential.headers(REQUEST)
    clock.advance(LIFETIME - 100)
    service.failure = UnreachableError("no answer")

    assert bearer(1) == await credential.headers(REQUEST)
    assert bearer(1) == await credential.headers(REQUEST)
    assert 2 == service.given
    clock.advance(101)
    with pytest.raises(UnreachableError, match="no answer"):
        await credential.headers(REQUEST)


async def test_a_service_that_gives_short_tokens_is_not_asked_for_every_call(
    credential, service, clock
):
    service.lifetime = 60.0
    await credential.headers(REQUEST)
    clock.advance(29)

    assert bearer(1) == await credential.headers(REQUEST)
    clock.advance(20)
    assert bearer(2) == await credential.headers(REQUEST)


async def test_everyone_who_waited_learns_why_there_is_no_token(credential, service):
    service.failure = MisconfiguredError("wrong secret", status=401)
    service.go_on.clear()
    errors = []

    async def ask():
        try:
            await credential.headers(REQUEST)
        except MisconfiguredError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
        await in_thread(service.begun)
        service.go_on.set()

    assert [("wrong secret", 401)] * 5 == [(str(error), error.status) for error in errors]
    assert 5 == len(set(map(id, errors)))
    assert 1 == service.given


async def test_after_a_failure_the_next_call_asks_again(credential, service):
    service.failure = UnreachableError("no answer")
    with pytest.raises(UnreachableError):
        await credential.headers(REQUEST)
    service.failure = None

    assert bearer(2) == await credential.headers(REQUEST)


async def test_a_call_that_is_given_up_leaves_its_token_to_the_others(credential, service):
    service.go_on.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(credential.headers, REQUEST)
        await in_thread(service.begun)
        tasks.cancel_scope.cancel()
        service.go_on.set()

    assert bearer(1) == await credential.headers(REQUEST)
    assert 1 == service.given


async def test_a_token_that_was_refused_is_replaced_once_for_all(credential, service):
    asked, answers = anyio.Semaphore(0), anyio.Event()
    found = []

    async def call():
        await credential.headers(REQUEST)
        asked.release()
        await answers.wait()
        found.append(await credential.renew())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
        for _ in range(20):
            await asked.acquire()
        answers.set()

    assert [True] * 20 == found
    assert bearer(2) == await credential.headers(REQUEST)
    assert 2 == service.given


async def test_a_token_that_another_call_has_replaced_is_not_fetched_again(credential, service):
    await credential.headers(REQUEST)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(credential.renew)

    assert await credential.renew()
    assert 2 == service.given


async def test_where_every_token_is_refused_fetching_them_comes_to_a_rest(
    credential, service, clock
):
    await credential.headers(REQUEST)
    assert await credential.renew()
    await credential.headers(REQUEST)

    assert not await credential.renew()
    assert 2 == service.given
    clock.advance(11)
    assert await credential.renew()
    assert 3 == service.given


async def test_renewing_that_fails_says_so(credential, service):
    service.failure = MisconfiguredError("wrong secret")

    assert not await credential.renew()


@pytest.mark.parametrize(
    "value", [pytest.param("", id="empty"), pytest.param("a\r\nb: c", id="header-in-it")]
)
async def test_what_is_no_token_is_not_sent(clock, value):
    credential = TokenCredential(lambda: Token(value), clock)

    with pytest.raises(MisconfiguredError, match="without a token"):
        await credential.headers(REQUEST)


async def test_a_token_without_an_end_is_kept(service, clock):
    service.lifetime = float("inf")
    credential = TokenCredential(service.fetch, clock)
    await credential.headers(REQUEST)
    clock.advance(10 * LIFETIME)

    assert bearer(1) == await credential.headers(REQUEST)
