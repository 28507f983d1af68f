"""The runs: which configuration meets which weather, and what is written down of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench.simulate import page
from bench.simulate.client import MODEL, Client
from bench.simulate.figures import Run, figures, first_during, table
from bench.simulate.loop import run
from bench.simulate.sessions import session
from bench.simulate.upstream import Bill, World
from bench.simulate.weather import CALM, STORMY, Weather
from llmroute import Router, config
from llmroute.pricing import tariff

__all__ = ["VARIANTS", "Comparison", "Day", "Variant", "compare", "main", "simulate"]

_RESULTS = Path(__file__).parents[1] / "results/simulation.json"
_NAMES = ("east", "west")
# 2026-11-23, midnight; what is kept until a time is kept until one like today's.
_EPOCH = 1_795_392_000.0


class Variant(NamedTuple):
    """A configuration of the two deployments, or of one of them."""

    strategy: str
    deployments: tuple[str, ...] = _NAMES
    routing: Mapping[str, Any] = {}

    def config(self) -> config.Config:
        """Load it as a user's would be."""
        return config.load_dict(
            {
                "deployments": {
                    name: {
                        "provider": "anthropic",
                        "base_url": f"https://{name}.invalid",
                        "api_key": "sk-simulated",
                        "timeout": 120,
                        "stream_timeout": 60,
                        "silence_timeout": 60,
                    }
                    for name in self.deployments
                },
                "aliases": {
                    "claude-*": {"deployments": list(self.deployments), "strategy": self.strategy}
                },
                "routing": dict(self.routing),
            },
            {},
        )


VARIANTS: Mapping[str, Variant] = {
    "alone": Variant("listed", ("east",)),
    "listed": Variant("listed"),
    "listed, no affinity": Variant("listed", routing={"affinity": False}),
    "listed, no cooldown": Variant("listed", routing={"cooldown": 0}),
    "listed, neither": Variant("listed", routing={"affinity": False, "cooldown": 0}),
    "weighted": Variant("weighted"),
    "weighted, no affinity": Variant("weighted", routing={"affinity": False}),
    "weighted, no cooldown": Variant("weighted", routing={"cooldown": 0}),
    "lowest_latency": Variant("lowest_latency"),
}


class Day(NamedTuple):
    """How much there is to do.

    Attributes:
        seed: Of everything that is drawn.
        sessions: How many people start work.
        hours: For how long; the failures keep their part of it.
    """

    seed: int = 1
    sessions: int = 2_000
    hours: float = 8.0

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.hours * 3600

    @property
    def limit(self) -> float:
        """Uncached prompt tokens a minute that a deployment takes: four times what a day needs.

        When a deployment dies, all its conversations reach for the other, which is more than that.
        """
        return 250_000.0 * self.sessions / (self.hours * 60)


def simulate(variant: Variant, day: Day, weather: Weather) -> Run:
    """Run a day's sessions through a router of their own."""
    return run(lambda: _simulate(variant, day, weather))


async def _simulate(variant: Variant, day: Day, weather: Weather) -> Run:
    clock = asyncio.get_running_loop().time
    settings = variant.config()
    # Looked up before the first request; every deployment serves the same model at its list price.
    price = tariff("anthropic", MODEL)
    assert price is not None
    world = World(
        variant.deployments,
        seed=day.seed,
        weather=weather,
        day=day.seconds,
        limit=day.limit,
        bill=Bill(price),
        clock=clock,
    )
    router = Router(
        settings,
        transport=world,
        clock=clock,
        wall_clock=lambda: _EPOCH + clock(),
        sleep=asyncio.sleep,
        draw=random.Random(day.seed).random,  # noqa: S311 -- repeatable, not secret
    )
    client = Client(router, world, clock)
    async with router:
        await client.lead(session(day.seed, n, day.seconds) for n in range(day.sessions))
    bill = world.bill
    return Run(
        client.turns,
        bill.cost,
        (bill.fresh + bill.read + bill.written, bill.read),
        world.attempts,
        world.attempts_while_dead,
    )


class Comparison(NamedTuple):
    """Every variant, side by side.

    Attributes:
        figures: By variant, and of a day without failures.
        first_during: By variant, for each failure: requests begun in it that were answered at the
            client's first attempt, per cent.
    """

    figures: dict[str, dict[str, float]]
    first_during: dict[str, dict[str, float]]


def compare(day: Day, processes: int = 1) -> Comparison:
    """Run every variant in a day full of failures.

    The figures are measured against a day without failures.  There, the listed order sends
    everything to the first deployment.
    """
    jobs = [(VARIANTS["listed"], day, CALM)]
    jobs += [(variant, day, STORMY) for variant in VARIANTS.values()]
    with ProcessPoolExecutor(processes) as pool:
        calm, *stormy = pool.map(simulate, *zip(*jobs, strict=True))
    found = {"nothing fails": figures(calm, calm)}
    during = {}
    for name, each in zip(VARIANTS, stormy, strict=True):
        found[name] = figures(each, calm)
        during[name] = first_during(each, STORMY, day.seconds)
    return Comparison(found, during)


def main() -> int:
    """Run and print; write the figures of the standard day down."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=main.__doc__)
    for name, value in Day()._asdict().items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    day = Day(args.seed, args.sessions, args.hours)
    started = time.perf_counter()
    found = compare(day, args.processes)
    print(table(found.figures))
    print(table(found.first_during))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    if day == Day():
        results = {"day": day._asdict(), **found._asdict()}
        _RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        page.write(results)
    return 0
