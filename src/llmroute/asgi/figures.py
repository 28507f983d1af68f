"""What the proxy's instruments show at this moment; all of it is known in memory."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute.ledger import Ledger
from llmroute.observe import Instrumented, Reading
from llmroute.router import Router

__all__ = ["readings"]

_AWAY = "(away)"
_ALONE = "memory"


def readings(router: Router, ledger: Ledger | None, under_way: int) -> Iterator[Reading]:
    """Read the instruments; may be called from any thread.

    Args:
        router: Knows the deployments.
        ledger: Knows budgets and the database.
        under_way: How many calls are.
    """
    yield Reading("llmroute_requests_in_flight", under_way)
    for name, is_up, busy, cooldowns in router.glance():
        yield Reading("llmroute_deployment_in_flight", busy, (name,))
        yield Reading("llmroute_deployment_up", is_up, (name,))
        yield Reading("llmroute_deployment_cooldowns", cooldowns, (name,))
    store = router.store
    if store != _ALONE:
        yield Reading("llmroute_store_up", not store.endswith(_AWAY))
    # The ledger is an observer too, as a rule.
    for part in dict.fromkeys((*router.observers, router.bodies, ledger)):
        if isinstance(part, Instrumented):
            yield from part.readings()
