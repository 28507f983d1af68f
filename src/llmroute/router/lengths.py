"""How long a call's prompt is where it is to be sent, and whether it is surely too long there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from llmroute.errors import InvalidRequestError, RejectedError, UpstreamError
from llmroute.messages.calibration import Calibration
from llmroute.messages.call import Call
from llmroute.messages.estimate import Measure, at_least, measure
from llmroute.messages.events import error_body, error_event
from llmroute.messages.usage import Usage
from llmroute.providers import Deployment
from llmroute.providers.limits import is_claude, limits_of, tells_at_once, vocabulary_at
from llmroute.routing.plan import Leg
from llmroute.wire.envelope import MALFORMED

__all__ = ["Lengths", "Prompt"]

_WORDS: Final = "prompt is too long"
_FIGURES = re.compile(r"prompt is too long: \d+ tokens > \d+ maximum")
# The shortest word, and what sets it apart from the next.
_BYTES_PER_WORD: Final = 2
# With these an upstream is told to cut a prompt that does not fit.
_CUTTING: Final = ("truncation", "transforms", "plugins")
# Of what edits a conversation: it is about thinking, which is not counted.
_HARMLESS: Final = "clear_thinking"
_JSON: Final = (b"content-type", b"application/json")


class Lengths:
    """What is known of the length of prompts: by measure, and by what answers have said."""

    __slots__ = ("_calibration", "_deployments")

    def __init__(self, deployments: Mapping[str, Deployment]) -> None:
        self._deployments = deployments
        self._calibration = Calibration()

    def prompt(self, call: Call) -> Prompt:
        """Return the prompt of a call, which nobody has looked at yet."""
        return Prompt(call, self._deployments, self._calibration)


class Prompt:
    """One call's prompt; it is measured once, when somebody asks."""

    __slots__ = ("_calibration", "_call", "_deployments", "_least", "_measured")

    def __init__(
        self, call: Call, deployments: Mapping[str, Deployment], calibration: Calibration
    ) -> None:
        self._call = call
        self._deployments = deployments
        self._calibration = calibration
        self._measured: Measure | None = None
        self._least: int | None = None

    def tokens(self, leg: Leg) -> int:
        """Return how many tokens it comes to there, rather too many than too few.

        Raises:
            InvalidRequestError: A member of the body cannot be decoded.
        """
        factor = self._calibration.factor(leg[:2])
        return math.ceil(self._estimated(leg) * factor)

    def shown(self, leg: Leg) -> int:
        """Return the same for the beginning of an answer; 0 where the upstream tells it itself."""
        deployment = self._deployments[leg.deployment]
        if self._call.endpoint != "messages" or tells_at_once(deployment, leg.model):
            return 0
        try:
            return self.tokens(leg)
        except InvalidRequestError:
            # That is for the translation to say.
            return 0

    def lesson(self, leg: Leg, shown: int) -> Callable[[Usage], None]:
        """Return what learns from the usage of an answer that began with `shown`.

        It lives as long as the answer, and does not hold the request.  Where no estimate was shown
        there is nothing to learn.
        """
        if not shown:
            return _pass_over
        observe, place, estimated = self._calibration.observe, leg[:2], self._estimated(leg)

        def learn(usage: Usage) -> None:
            counted = usage.input_tokens + usage.cache_read_input_tokens
            counted += usage.cache_creation_input_tokens
            if counted != shown:  # else it is our own estimate
                observe(place, estimated, counted)

        return learn

    def overflow(self, leg: Leg) -> RejectedError | None:
        """Return the refusal of a prompt that is surely too long for a model; `None` if it is not.

        A Claude says so itself, and so does whoever was told to cut what does not fit.
        """
        deployment = self._deployments[leg.deployment]
        if self._call.endpoint != "messages" or is_claude(deployment, leg.model):
            return None
        most = limits_of(deployment, leg.model).prompt
        size = sum(map(len, self._call.body.pieces()))
        if most is None or size // _BYTES_PER_WORD <= most:
            return None
        try:
            if self._is_cut(deployment):
                return None
            estimated = self.tokens(leg)
            # Words alone may be more than the estimate, in text that nobody writes.
            if estimated <= most or self._at_least() <= most:
                return None
        except InvalidRequestError:
            return None
        error = RejectedError(
            said := f"{_WORDS}: {estimated} tokens > {most} maximum (estimated; it was not sent)",
            status=400,
            headers=[_JSON],
            body=error_body("invalid_request_error", said),
            type="invalid_request_error",
        )
        error.deployment = leg.deployment
        return error

    def count_in(self, error: UpstreamError, leg: Leg) -> None:
        """Put figures to an upstream's refusal of a prompt that is too long, where it has none.

        Claude Code reads off them how much it has to leave out.
        """
        deployment = self._deployments[leg.deployment]
        said = str(error)
        if error.format != "messages" or _WORDS not in said or _FIGURES.search(said):
            return
        most = limits_of(deployment, leg.model).prompt
        if most is None or is_claude(deployment, leg.model):
            return
        try:
            figures = f"{_WORDS}: {max(self.tokens(leg), most + 1)} tokens > {most} maximum"
            body = msgspec.json.decode(error.body)
            body["error"]["message"] = _counted(body["error"]["message"], figures)
        except (InvalidRequestError, *MALFORMED, KeyError, TypeError):
            return
        error.args = (_counted(said, figures), *error.args[1:])
        error.body = msgspec.json.encode(body)
        if error.event:
            error.event = error_event(error.body)

    def _estimated(self, leg: Leg) -> int:
        if self._measured is None:
            self._measured = measure(self._call.body)
        vocabulary = vocabulary_at(self._deployments[leg.deployment], leg.model)
        return self._measured.tokens(vocabulary)

    def _at_least(self) -> int:
        if self._least is None:
            self._least = at_least(self._call.body)
        return self._least

    def _is_cut(self, deployment: Deployment) -> bool:
        spoken: Mapping[str, Any] = {} if self._call.spoken is None else self._call.spoken.body
        cuts = any(name in spoken or name in deployment.extra_body for name in _CUTTING)
        return cuts or self._is_edited()

    def _is_edited(self) -> bool:
        """Tell whether an upstream that knows how is to leave out what has grown old."""
        edits = self._call.body.get("context_management")
        given = edits.get("edits") if isinstance(edits, dict) else None
        listed = given if isinstance(given, list) else []
        kinds = [str(each.get("type")) for each in listed if isinstance(each, dict)]
        return not all(kind.startswith(_HARMLESS) for kind in kinds)


def _counted(said: str, figures: str) -> str:
    before, _, after = said.partition(_WORDS)
    after = after.removeprefix(":").strip()
    return f"{before}{figures} ({after})" if after else before + figures


def _pass_over(_: Usage) -> None:
    """Learn nothing."""
