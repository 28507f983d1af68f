"""Costs and budgets in a program: who may spend how much, and what was spent.

python examples/budgets.py

It asks an upstream of its own making, so it takes no account; without `base_url` it is Anthropic's.
"""

import asyncio
import secrets

from llmroute import BudgetError, Router
from llmroute.testing import FakeUpstream

MODEL = "claude-haiku-4-5-20251001"
DEPLOYMENT = {"provider": "anthropic", "api_key": "sk-ant-example"}
CONFIG = {
    "aliases": {"claude-*": "anthropic"},
    # Each part of the program has a key. Nobody else is to use it, so it may be drawn anew.
    "keys": {
        "search": {"key": secrets.token_urlsafe(), "tags": ["interactive"]},
        "nightly": {
            "key": secrets.token_urlsafe(),
            "budgets": [{"amount": 0.00004, "period": "day", "message": "Go on tomorrow."}],
        },
    },
    "budgets": [{"amount": 100, "period": "month"}],
    # What was spent is known again after a restart, and to the other programs that name it.
    "database": "sqlite:///usage.db",
}


async def main(base_url: str) -> None:
    config = {"deployments": {"anthropic": {**DEPLOYMENT, "base_url": base_url}}, **CONFIG}
    question = [{"role": "user", "content": "Name three rivers."}]
    async with Router.from_dict(config) as router:
        for part in ("search", "nightly", "nightly"):
            try:
                message = await router.complete(
                    model=MODEL, max_tokens=256, messages=question, key=part
                )
            except BudgetError as error:
                print(f"{part}: {error}")
                continue
            print(f"{part}: {message.text}")
            if message.bill is None:
                print("  nobody knows what that costs")
                continue
            for line in message.bill.lines:
                print(f"  {line.count} {line.kind} at ${line.rate} a million tokens")
            print(f"  ${message.bill.total / 1_000_000:.6f}, by {message.bill.source}")


with FakeUpstream() as upstream:
    asyncio.run(main(upstream.url))
