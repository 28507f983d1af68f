"""What a router is made with besides its configuration, for signatures that hand it on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict

from llmroute.observe import Observer
from llmroute.observe.bodies import Bodies
from llmroute.router.admission import Admission
from llmroute.stores import Counters
from llmroute.transport import Transport

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """The parameters of `llmroute.Router` by keyword; it says what each of them is for."""

    transport: Transport | None
    counters: Counters | None
    observers: Sequence[Observer]
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    draw: Callable[[], float]
    admission: Admission | None
    bodies: Bodies | None
