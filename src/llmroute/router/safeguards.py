"""Verdicts on tool calls for Claude Code's auto mode, where the upstream gives none.

A request that carries `safeguards` wants the answer to say which of its tool calls are dangerous.
Claude does so wherever Anthropic runs it; for other models a classifier of the configuration's is
asked, by a call of its own.  Everything but the end of a stream goes on meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
import msgspec

from llmroute.config import Config, Safeguards
from llmroute.errors import (
    InvalidRequestError,
    LLMRouteError,
    RejectedError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.call import Call
from llmroute.messages.classifier import Question, read
from llmroute.messages.safeguards import (
    Action,
    Ending,
    Reason,
    Said,
    Verdict,
    Wanted,
    asked,
    reviewable,
    said,
    unavailable,
    with_results,
)
from llmroute.router.answer import Answer, Receive
from llmroute.router.reviewers import Reviewer, judge_of, reviewer
from llmroute.router.routes import Route
from llmroute.routing.remedies import overflow
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["AGENT", "Reviews"]

_log = logging.getLogger("llmroute")

AGENT: Final = "classifier"
"""What stands as the agent of the calls that are made here, in the log say."""


class Reviews:
    """Has the tool calls of answers judged."""

    __slots__ = ("_config", "_send")

    def __init__(self, config: Config, send: Callable[[Call], Awaitable[Answer]]) -> None:
        """Prepare to ask by `send`, which makes a call of its own."""
        self._config = config
        self._send = send

    async def review(self, call: Call, route: Route, answer: Answer) -> None:
        """See to it that an answer has the verdicts that its call asks for.

        A whole answer has them when this returns, and a stream will have them at its end.
        """
        wanted = asked(call.body)
        if wanted is None or answer.head.format != "messages":
            return
        name = answer.head.deployment
        deployment = self._config.deployments[name]
        who = reviewer(deployment, answer.head.model, answer.head.losses)
        judge = judge_of(self._config, route, name)
        if who == "upstream" or (who == "perhaps" and judge is None):
            return
        one = _Review(self._send, call, wanted, who, judge)
        if not call.stream:
            await one.complete(answer)
        else:
            answer.through = one.receive


class _Review:
    """The review of one answer."""

    __slots__ = ("_call", "_ending", "_judge", "_send", "_wanted", "_who")

    def __init__(
        self,
        send: Callable[[Call], Awaitable[Answer]],
        call: Call,
        wanted: Wanted,
        who: Reviewer,
        judge: Safeguards | None,
    ) -> None:
        self._send = send
        self._call = call
        self._wanted = wanted
        self._who = who
        self._judge = judge
        self._ending: Ending | None = Ending()

    async def complete(self, answer: Answer) -> None:
        """Put the verdicts into a whole answer."""
        told = said(answer.body)
        if told is None:
            return
        # The deployment has done its part, and may have room for one call at a time.
        await answer.aclose()
        results = await self._results(told)
        if results is not None:
            answer.body = with_results(answer.body, results)

    async def receive(self, events: Receive) -> bytes:
        """Return the next events that can be sent on; the end comes with the verdicts.

        The upstream's own end is waited for first, for the same reason.
        """
        while self._ending is not None:
            came = await events()
            if came and (passed := self._ending.feed(came)):
                return passed
            if not came:
                ending, self._ending = self._ending, None
                results = await self._results(ending.said) if ending.complete else None
                return ending.close(results)
        return b""

    async def _results(self, told: Said) -> list[dict[str, Any]] | None:
        """Return what the answer is to say; `None` if it says so itself."""
        if told.reviewed and self._who == "perhaps":
            return None
        if self._judge is None:
            return self._wanted.results(None)
        actions, verdicts = reviewable(told)
        if actions:
            try:
                question = self._question(actions)
            except RecursionError:
                _log.warning("safeguards: the request is nested too deeply to be judged")
                failed = {action.id: unavailable("error") for action in actions}
                return self._wanted.results(verdicts | failed)
            verdicts |= question.settled
            if question.actions:
                verdicts |= await self._ask(self._judge, question)
        return self._wanted.results(verdicts)

    def _question(self, actions: Sequence[Action]) -> Question:
        try:
            messages = self._call.body.get("messages")
        except InvalidRequestError:
            messages = None  # the upstream has read what we cannot
        is_subagent = bool(self._call.agent)
        return Question(self._wanted.context, messages, actions, is_subagent=is_subagent)

    async def _ask(self, judge: Safeguards, question: Question) -> dict[str, Verdict]:
        reason: Reason = "timeout"
        why = f"no answer within {judge.timeout:g} s"
        with anyio.move_on_after(judge.timeout):
            try:
                message = await self._answer(judge.classifier, question)
            except LLMRouteError as error:
                reason, why = _reason(error), str(error)
            else:
                verdicts = read(message, question.actions)
                if all(each["type"] == "evaluated" for each in verdicts.values()):
                    return verdicts
                _log.warning("safeguards: %s left tool calls without a verdict", judge.classifier)
                return verdicts
        _log.warning("safeguards: %s gave no verdict: %s", judge.classifier, why)
        return {action.id: unavailable(reason) for action in question.actions}

    async def _answer(self, alias: str, question: Question) -> dict[str, Any]:
        """Ask, and once more in plain words where the model cannot be made to call a tool."""
        try:
            answer = await self._send(self._asking(question.request(alias), alias))
        except (RejectedError, UntranslatableError) as error:
            if overflow(error) is not None:
                raise
            plain = question.request(alias, plain=True)
            answer = await self._send(self._asking(plain, alias))
        await answer.aclose()
        try:
            message: dict[str, Any] = msgspec.json.decode(answer.body)
        except MALFORMED:
            return {}
        return message

    def _asking(self, request: dict[str, Any], alias: str) -> Call:
        call = self._call
        return Call(
            Envelope.of(request),
            alias,
            client_auth=call.client_auth,
            sender=call.sender,
            session=call.session,
            agent=AGENT,
            kind="auxiliary",
            is_ours=True,
        )


def _reason(error: LLMRouteError) -> Reason:
    found = overflow(error) if isinstance(error, UpstreamError) else None
    if found == "too_long":
        return "input_too_long"
    return "refused" if found == "refused" else "error"
