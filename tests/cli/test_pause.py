"""`llmroute pause` and `llmroute resume`, beside a proxy that runs, and without one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import MASTER_KEY, Program, Served, eventually

from llmroute.testing import FakeUpstream

SESSION = str(uuid.UUID(int=7))
KEY = "sk-ci-canary-0123456789"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        fake.default = "Hello."
        yield fake


class Place:
    """A folder with a configuration, and the commands that are run there."""

    def __init__(self, folder: Path, upstream: FakeUpstream) -> None:
        self.folder = folder
        self._url = upstream.url
        self.file = folder / "llmroute.yaml"
        self.configure()

    def configure(self, **more: Any) -> None:
        config = {
            "deployments": {
                "one": {"provider": "anthropic", "base_url": self._url, "api_key": "k"}
            },
            "aliases": {"any": ["one"]},
            "keys": {"ci": {"key": KEY}},
            "server": {"master_key": MASTER_KEY, "port": 0},
            **more,
        }
        self.file.write_text(json.dumps(config))  # JSON is YAML

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """Return the status and what was printed."""
        program = Program([*arguments, "--config", str(self.file)], environ, self.folder)
        try:
            return program.wait(), program.output
        finally:
            program.close()


@pytest.fixture
def place(tmp_path: Path, upstream: FakeUpstream) -> Place:
    return Place(tmp_path, upstream)


@pytest.fixture
def proxy(place: Place) -> Iterator[Served]:
    served = Served(["serve", "--config", str(place.file)], {}, place.folder)
    yield served
    served.close()
    assert "Traceback" not in served.output


def ask(proxy: Served, session: str = "", key: str = KEY) -> tuple[int, dict[str, Any], str]:
    """Return the status, the error if there is one, and whether to try again."""
    connection = proxy.connect()
    body = {"model": "any", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}
    headers = {"x-api-key": key, "x-claude-code-session-id": session}
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told.get("error", {}), answer.getheader("x-should-retry") or ""


def test_a_running_proxy_hears_of_what_is_paused_and_resumed(place: Place, proxy: Served) -> None:
    assert 200 == ask(proxy)[0]
    assert (0, "paused ci until it is resumed") == place.run(
        "pause", "ci", "--reason", "It ran wild."
    )
    eventually(lambda: ask(proxy)[0] == 429)
    status, error, retry = ask(proxy)
    assert (429, "billing_error", "false") == (status, error["type"], retry)
    assert error["message"].startswith("The key 'ci' is paused: It ran wild. Ask whoever")
    assert 200 == ask(proxy, key=MASTER_KEY)[0]

    status, listed = place.run("pause")
    assert 0 == status
    assert listed.splitlines()[-1].split()[0] == "ci"
    assert listed.splitlines()[-1].endswith("It ran wild.")
    assert (0, "resumed ci") == place.run("resume", "ci")
    eventually(lambda: ask(proxy)[0] == 200)
    assert (0, "[]") == place.run("pause", "--json")


def test_a_session_is_paused_for_a_while(place: Place, proxy: Served) -> None:
    status, printed = place.run("pause", SESSION, "--for", "1h")
    assert 0 == status
    assert printed.startswith(f"paused {SESSION} until 20")
    eventually(lambda: ask(proxy, SESSION)[0] == 429)
    assert 200 == ask(proxy, str(uuid.UUID(int=8)))[0]


def test_what_is_no_key_and_no_session_is_wondered_at(place: Place) -> None:
    status, printed = place.run("pause", "cii")
    assert 0 == status
    assert "there is no key 'cii'; it is taken for the id of a session" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["ci", "--for", "soon"], "--for must be a number with s, m, h", id="time"),
        pytest.param([""], "subject: must not be empty", id="nothing"),
        pytest.param(["ci", "--url", "ftp://x"], "--url must start with http://", id="url"),
        pytest.param(
            ["ci", "--url", "http://127.0.0.1:9"], "No proxy answers at http://127.0", id="nobody"
        ),
    ],
)
def test_what_cannot_be_done_is_said(place: Place, arguments: list[str], said: str) -> None:
    status, printed = place.run("pause", *arguments)
    assert 0 != status
    assert said in printed
    assert "Traceback" not in printed


def test_a_proxy_without_a_database_is_asked_itself(place: Place, upstream: FakeUpstream) -> None:
    place.configure(database="none", guards={"session_budget": 1})
    proxy = Served(["serve", "--config", str(place.file)], {}, place.folder)
    try:
        url = ("--url", f"http://127.0.0.1:{proxy.port}")
        environ = {"LLMROUTE_MASTER_KEY": MASTER_KEY}
        status, printed = place.run("pause", "ci", "--for", "1h", *url, **environ)
        assert 0 == status, printed
        assert printed.startswith("paused ci until 20")
        # At once, and not only when it next looks.
        assert 429 == ask(proxy)[0]
        status, printed = place.run("pause", "--json", *url, **environ)
        assert [("ci", "master")] == [
            (each["subject"], each["paused_by"]) for each in json.loads(printed)
        ]
        assert (0, "resumed ci") == place.run("resume", "ci", *url, **environ)
        assert 200 == ask(proxy)[0]
        assert (
            0,
            "ci was not paused; a guard that has stopped it begins to count anew",
        ) == place.run("resume", "ci", *url, **environ)
        status, printed = place.run("pause", "ci", *url, LLMROUTE_MASTER_KEY=KEY)
        assert 1 == status
        assert "This takes the master key" in printed
        assert KEY not in printed
    finally:
        proxy.close()
    assert "Traceback" not in proxy.output
