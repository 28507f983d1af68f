"""Pauses over HTTP: keys and sessions that are to make no calls for a while."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import StrictFloat, StrictInt

from llmroute.accounts.pauses import Pause
from llmroute.asgi import render
from llmroute.asgi.admin.reading import read
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import shown_time
from llmroute.asgi.render import Rendered
from llmroute.config.durations import duration
from llmroute.config.settings import Settings
from llmroute.errors import InvalidRequestError

__all__ = ["ROUTES", "NewPause"]

_ALL: Final = r"/llmroute/pauses"
_LONGEST: Final = 10 * 365 * 86_400  # seconds


class NewPause(Settings):
    """What is to be paused."""

    subject: str
    """A key, by its name or id, or a session."""
    duration: str | StrictInt | StrictFloat | None = None
    """For how long: seconds, or `1h`; left out, until it is resumed."""
    reason: str = ""
    """What whoever is refused is told."""


async def _pause(asking: Asking) -> Rendered:
    wanted = read(NewPause, asking.body)
    pause = await asking.ledger.pauses.pause(
        wanted.subject, asking.actor, wanted.reason, _length(wanted.duration)
    )
    return render.plain(200, _shown(pause))


async def _resume(asking: Asking) -> Rendered:
    subject = asking.names["subject"]
    was_paused = await asking.ledger.pauses.resume(subject, asking.actor)
    return render.plain(200, {"type": "pause_ended", "subject": subject, "was_paused": was_paused})


async def _list(asking: Asking) -> Rendered:
    return render.plain(
        200, {"pauses": [_shown(each) for each in await asking.ledger.pauses.all()]}
    )


def _length(wanted: str | float | None) -> timedelta | None:
    if wanted is None:
        return None
    if isinstance(wanted, str):
        try:
            return duration(wanted)
        except ValueError as error:
            raise InvalidRequestError(f"duration: {error}") from None
    if not 0 < wanted <= _LONGEST:
        raise InvalidRequestError(f"duration: must be over 0 and up to {_LONGEST} seconds")
    return timedelta(seconds=wanted)


def _shown(pause: Pause) -> dict[str, Any]:
    until = None if pause.until is None else datetime.fromtimestamp(pause.until, UTC)
    return {
        "type": "pause",
        "subject": pause.subject,
        "since": shown_time(datetime.fromtimestamp(pause.since, UTC)),
        "until": shown_time(until),
        "reason": pause.reason,
        "paused_by": pause.actor,
    }


ROUTES: Final = (
    Route("GET", re.compile(_ALL), _list),
    Route("POST", re.compile(_ALL), _pause),
    Route("DELETE", re.compile(rf"{_ALL}/(?P<subject>[^/]+)"), _resume),
)
