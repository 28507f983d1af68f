"""The real Claude Code through llmroute: the upstream and the user notice nothing.

Each session is held twice, straight with the upstream and through a running proxy.  What the
upstream received must be the same bytes, and what the client printed the same events.
"""

from __future__ import annotations

import pytest

from llmroute.testing import FakeUpstream, error, message, text, thinking, tool_use

from .gateway import (
    ALIAS,
    CLAUDE_ALIAS,
    LLMROUTE,
    MASTER_KEY,
    MODEL,
    UPSTREAM_KEY,
    Gateway,
)
from .journey import BEARER, DONE, Sent, Session, differences, routed, straight
from .script import breakable, delegating, reviewed

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

HI = (("-p", "Say hi."),)
TWO_TURNS = (("-p", "Say hi."), ("-p", "And again."))
THREE_TURNS = (*TWO_TURNS, ("-p", "And once more."))
AUTO_MODE = (("-p", "Work it out.", "--permission-mode", "auto"),)

TOO_LONG = error(400, message="prompt is too long: 210000 tokens > 200000 maximum")
SUMMARY = text("<analysis>Short.</analysis>\n<summary>We greeted each other twice.</summary>")
THOUGHT = thinking("A greeting is asked for.", then="Hi.")


SAME = [
    pytest.param(Session(HI), 1, "All done.", id="a-prompt"),
    pytest.param(
        Session(HI, credential={"ANTHROPIC_API_KEY": MASTER_KEY}), 1, "All done.", id="an-api-key"
    ),
    pytest.param(
        Session(HI, credential={**BEARER, "ANTHROPIC_API_KEY": MASTER_KEY}),
        1,
        "All done.",
        id="both-credentials",
    ),
    pytest.param(
        Session(
            [("-p", "Run it.", "--allowedTools", "Bash")],
            [
                message(
                    [
                        thinking("A command."),
                        "I run it.",
                        tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="toolu_1"),
                    ]
                )
            ],
        ),
        2,
        "All done.",
        id="a-tool-use",
    ),
    pytest.param(
        Session(
            [("-p", "Run both.", "--allowedTools", "Bash")],
            [
                message(
                    [
                        tool_use("Bash", {"command": "echo one"}, id="toolu_1"),
                        tool_use("Bash", {"command": "exit 3"}, id="toolu_2"),
                    ]
                )
            ],
        ),
        2,
        "All done.",
        id="two-tools-of-which-one-fails",
    ),
    pytest.param(
        Session(HI, [tool_use("ToolSearch", {"query": "select:WebFetch"}, id="toolu_1")]),
        2,
        "All done.",
        id="a-tool-that-is-searched-for",
    ),
    pytest.param(Session(TWO_TURNS, [THOUGHT]), 2, "All done.", id="thinking"),
    pytest.param(Session(HI, delegating(background=False)), 3, "All done.", id="a-subagent"),
    pytest.param(
        Session(HI, delegating(background=True)), 4, "All done.", id="a-subagent-in-the-background"
    ),
    pytest.param(Session([(*HI[0], "--model", "haiku")]), 1, "All done.", id="another-model"),
    pytest.param(
        Session(HI, env={"CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1", "ENABLE_PROMPT_CACHING_1H": "1"}),
        1,
        "All done.",
        id="options-that-add-betas",
    ),
    pytest.param(
        Session(
            HI, env={"CLAUDE_CODE_EXTRA_BODY": '{"of_tomorrow": {"a": [1.0, 2e3, "\\u00e9"]}}'}
        ),
        1,
        "All done.",
        id="a-member-nobody-knows",
    ),
    pytest.param(
        Session(AUTO_MODE, [reviewed({"outcome": "not_flagged"})]),
        2,
        "All done.",
        id="auto-mode-allows",
    ),
    pytest.param(
        Session(AUTO_MODE, [reviewed({"outcome": "flagged", "explanation": "Too bold."})]),
        2,
        "All done.",
        id="auto-mode-denies",
    ),
    pytest.param(Session([("-p", "/context")]), 25, "Context Usage", id="token-counts"),
    pytest.param(Session(HI, [error(529)]), 2, "All done.", id="overloaded-once"),
    pytest.param(Session(HI, [error(529)] * 9), 3, "Repeated 529", id="overloaded-for-good"),
    pytest.param(
        Session(HI, [error(500)] * 9, env={"CLAUDE_CODE_MAX_RETRIES": "1"}),
        2,
        "API Error: 500",
        id="a-fault-for-good",
    ),
    pytest.param(
        Session(HI, [error(429, message="Come back tomorrow.", retry_after=86400)]),
        1,
        "Come back tomorrow.",
        id="limited-for-a-day",
    ),
    pytest.param(
        Session(HI, [error(403, message="Not with this account.")]), 1, "403", id="forbidden"
    ),
    pytest.param(
        Session(HI, [error(404, message="model: claude-opus-5-5")] * 2),
        2,
        "There's an issue with the selected model",
        id="no-such-model-upstream",
    ),
    pytest.param(
        Session(HI, [error(400, message="context_management: Extra inputs are not permitted")]),
        2,
        "All done.",
        id="a-refused-member-is-left-out",
    ),
    pytest.param(
        Session(HI, [error(400, message="tools.3.defer_loading: no")] * 9),
        6,
        "tools.3.defer_loading: no",
        id="refused-in-unknown-words",
    ),
    pytest.param(
        Session(HI, [TOO_LONG]), 1, "Prompt is too long", id="too-long-and-nothing-to-compact"
    ),
    pytest.param(
        Session(THREE_TURNS, [text("One."), text("Two."), TOO_LONG, SUMMARY]),
        5,
        "All done.",
        id="too-long-then-compacted",
    ),
    pytest.param(
        Session(HI, [text("Hello there.").fail(after_events=1)]),
        2,
        "All done.",
        id="an-error-event-before-any-text",
    ),
    pytest.param(
        Session(HI, [text("Hello there.").paced(0.02).fail(after_events=5)]),
        2,
        "All done.",
        id="an-error-event-in-the-text",
    ),
]


@pytest.mark.parametrize(("session", "requests", "says"), SAME)
def test_neither_the_upstream_nor_the_user_sees_the_proxy(machine, session, requests, says):
    expected = straight(machine, session)
    actual = routed(machine, session)

    assert requests == len(expected.received)
    assert says in expected.result
    assert [] == differences(expected.sent(), actual.sent())
    for before, after in zip(expected.runs, actual.runs, strict=True):
        assert [] == differences(before.printed(), after.printed())


def test_the_address_for_anthropic_only_does_the_same(machine):
    session = Session(TWO_TURNS, [THOUGHT, error(529)])
    expected = straight(machine, session)
    actual = routed(machine, session, "/anthropic")

    assert 3 == len(expected.received)
    assert [] == differences(expected.sent(), actual.sent())
    for before, after in zip(expected.runs, actual.runs, strict=True):
        assert [] == differences(before.printed(), after.printed())


def test_the_upstream_gets_the_deployments_key_and_no_other(machine):
    for credential in (BEARER, {"ANTHROPIC_API_KEY": MASTER_KEY}):
        journey = routed(machine, Session(HI, credential=credential))

        assert [UPSTREAM_KEY] == [it.header("x-api-key") for it in journey.received]
        assert [None] == [it.header("authorization") for it in journey.received]


def test_an_alias_becomes_its_model_and_nothing_else_changes(machine):
    turns = [(*turn, "--model", ALIAS) for turn in TWO_TURNS]
    session = Session(turns, [THOUGHT])
    expected = straight(machine, session)
    actual = routed(machine, session)

    # The second turn brings the thinking back only if the answer bore the alias as its model.
    assert '"type":"thinking"' in expected.sent()[1].body
    renamed = [
        sent._replace(body=sent.body.replace(f'"model":"{ALIAS}"', f'"model":"{MODEL}"', 1))
        for sent in expected.sent()
    ]
    assert [] == differences(renamed, actual.sent())
    for before, after in zip(expected.runs, actual.runs, strict=True):
        assert [] == differences(before.printed(), after.printed())


def test_models_are_discovered(machine):
    env = {"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1"}
    journey = routed(machine, Session([(*HI[0], "--model", CLAUDE_ALIAS)], env=env))
    found = (machine.home / ".claude/cache/gateway-models.json").read_text()

    assert "All done." == journey.result
    assert [MODEL] == [it.json["model"] for it in journey.received if it.body]
    assert CLAUDE_ALIAS in found
    # The client leaves out what does not call itself Claude, and `claude-*` is no model's name.
    assert f'"{ALIAS}"' not in found
    assert "*" not in found


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param({"ANTHROPIC_AUTH_TOKEN": "sk-wrong"}, id="bearer"),
        pytest.param({"ANTHROPIC_API_KEY": "sk-wrong"}, id="api-key"),
    ],
)
def test_a_wrong_key_is_refused_at_once(machine, credential):
    journey = routed(machine, Session(HI, credential=credential))
    (run,) = journey.runs

    assert 1 == run.status
    assert 401 == run.events[-1]["api_error_status"]
    # Without `x-should-retry: false` it would try ten more times, for three minutes.
    assert [] == run.retries
    assert () == journey.received


def test_llmroute_starts_the_client(machine):
    machine.wipe()
    # Nothing of this leads to the proxy but what the launcher changes.
    env = {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "ANTHROPIC_API_KEY": "sk-of-the-user",
        "LLMROUTE_MASTER_KEY": MASTER_KEY,
    }
    with (
        FakeUpstream(api_key=UPSTREAM_KEY) as upstream,
        Gateway(upstream.url, machine.folder) as gateway,
    ):
        upstream.default = DONE
        launcher = [LLMROUTE, "claude", "--url", gateway.url, "--"]
        run = machine.run(gateway.url, env, *HI[0], launcher=launcher)

        assert "All done." == run.result
        assert ["/v1/messages"] == [it.path for it in upstream.requests if it.body]


def test_a_refused_key_of_the_deployment_is_not_tried_ten_times(machine):
    journey = routed(machine, Session(HI, [error(401, message="invalid x-api-key")]))

    assert 1 == journey.runs[0].status
    assert [] == journey.runs[0].retries
    assert 1 == len(journey.received)


def test_a_name_that_is_no_alias_is_told_as_such(machine):
    journey = routed(machine, Session([(*HI[0], "--model", "nobody-knows-it")]))

    assert 1 == journey.runs[0].status
    assert "nobody-knows-it" in journey.result
    assert () == journey.received


def test_the_client_waits_as_long_as_the_upstream_asked(machine):
    session = Session(HI, [error(429, retry_after=3)])
    expected = straight(machine, session)
    actual = routed(machine, session)

    assert 2 == len(expected.received)
    assert [] == differences(expected.sent(), actual.sent())
    for journey in (expected, actual):
        waits = [it["retry_delay_ms"] for it in journey.runs[0].events if "retry_delay_ms" in it]
        # What it asked for, and a little at random.
        assert 1 == len(waits)
        assert 3000 <= waits[0] < 5000


def unstreamed(sent: Sent) -> Sent:
    """The same request as the client's fallback, without streaming, sends it."""
    body = sent.body.replace('"max_tokens":128000', '"max_tokens":64000', 1)
    return sent._replace(body=body.replace('"stream":true}', '"stream":false}'))


@pytest.mark.parametrize(
    ("place", "requests", "says", "falls_back"),
    [
        pytest.param(0, 2, "All done.", False, id="before-the-first-event"),
        pytest.param(2, 2, "All done.", True, id="before-any-text"),
        pytest.param(5, 2, "All done.", True, id="in-the-text"),
        pytest.param(7, 2, "All done.", False, id="after-the-text"),
        pytest.param(9, 1, "Hello there.", False, id="before-message-stop"),
    ],
)
def test_the_client_gets_over_a_broken_stream(machine, place, requests, says, falls_back):
    whole = breakable()
    expected = straight(machine, Session(HI, [whole.cut(after_events=place)]))
    first, *further = expected.sent()
    if falls_back:
        # Upon a lost connection the client repeats the request.  The proxy makes an error event of
        # it, upon which the client asks once more without streaming.
        further = [unstreamed(sent) for sent in further]

    assert requests == len(expected.received)
    assert says == expected.result
    for broken in (
        whole.cut(after_events=place),
        whole.cut(after_events=place, reset=True),
        whole.end(after_events=place),
    ):
        actual = routed(machine, Session(HI, [broken]))

        assert says == actual.result
        assert [] == differences([first, *further], actual.sent())


def test_an_upstream_that_hangs_up_is_tried_again(machine):
    expected = straight(machine, Session(HI, [DONE.drop()]))
    actual = routed(machine, Session(HI, [DONE.drop()]))

    assert 2 == len(expected.received)
    assert "All done." == expected.result
    assert "All done." == actual.result
    assert [] == differences(expected.sent(), actual.sent())
    assert 1 == len(actual.runs[0].retries)
