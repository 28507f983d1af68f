"""The profiles: what is asked, by how many clients, and what is noted while they do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from bench.bodies import conversation, question
from bench.load import Job, Sample
from bench.process import Process
from bench.targets import Target, alias

__all__ = ["PROFILES", "Observation", "Profile", "observe", "write_bodies"]

# A gateway may write down what it did a second later, and that is part of what it costs.
_WRITTEN = 1.1


class Profile(NamedTuple):
    """One kind of traffic.

    Attributes:
        name: What figures refer to.
        answer: What the upstream sends.
        body_bytes: The size of the request's body; 0 for a question of 1 KB.
        clients: How many ask at once.
        seconds: How long a round lasts.
    """

    name: str
    answer: str
    body_bytes: int
    clients: int
    seconds: float = 1.2


PROFILES = (
    Profile("small_1", "whole", 0, 1),
    Profile("small_16", "whole", 0, 16),
    Profile("small_64", "whole", 0, 64),
    Profile("turn_100kb_1", "short", 100_000, 1),
    Profile("turn_500kb_1", "short", 500_000, 1),
    Profile("turn_1mb_1", "short", 1_000_000, 1),
    Profile("turn_200kb_8", "short", 200_000, 8),
    Profile("turn_1mb_4", "short", 1_000_000, 4),
    Profile("burst_1", "burst", 0, 1),
    Profile("burst_16", "burst", 0, 16),
    Profile("paced_500", "paced", 100_000, 500, 4.0),
)


class Observation(NamedTuple):
    """One target under one profile, for one round.

    Attributes:
        sample: What the load saw.
        elapsed: Seconds that the load lasted.
        cpu_seconds: The target's CPU time for it, until what was done is written down; 0 without a
            process.
        memory_bytes: The target's resident memory at the end of the round, or while all paced
            streams are open; 0 without a process.
    """

    sample: Sample
    elapsed: float
    cpu_seconds: float
    memory_bytes: int


def write_bodies(folder: Path) -> None:
    """Write the body of every profile, where `observe` will look for it."""
    for profile in PROFILES:
        model = alias(profile.answer)
        if profile.body_bytes:
            body = conversation(model, profile.body_bytes)
        else:
            body = question(model, stream=profile.answer != "whole")
        (folder / f"{profile.name}.json").write_bytes(body)


def observe(
    profile: Profile, target: Target, process: Process | None, load: Process, folder: Path
) -> Observation:
    """Put a target under a profile."""
    body = folder / f"{profile.name}.json"
    paced = profile.answer == "paced"
    head = target.request_head(profile.answer, body.stat().st_size)
    job = Job(target.port, head, str(body), profile.clients, profile.seconds, paced=paced)
    load.say(json.dumps(job))
    heard = load.hear() if paced else ""
    if heard.startswith("["):  # the streams did not all open
        return Observation(_sample(heard), 1.0, 0.0, 0)
    memory = process.memory_bytes() if process and paced else 0
    started, before = time.perf_counter(), process.cpu_seconds() if process else 0.0
    heard = load.hear()
    elapsed = time.perf_counter() - started
    if process and not paced:
        memory = process.memory_bytes()
    if target.gateway:
        time.sleep(_WRITTEN)
    spent = process.cpu_seconds() - before if process else 0.0
    return Observation(_sample(heard), elapsed, spent, memory)


def _sample(line: str) -> Sample:
    return Sample(*json.loads(line))
