"""Event streams as the API sends them, and the messages they spell out, written down by hand.

`odd` has what the others have not: comments, unknown events, blocks and deltas, events without an
`event:` line, data on two lines. `late_usage` is a gateway's, which counts at the end;
`broken_off` and `never_begun` end in an error.
"""

import json
import random
from pathlib import Path

STREAMS = {path.stem: path.read_bytes() for path in Path(__file__).parent.glob("streams/*.sse")}
NAMES = sorted(STREAMS)
MODEL = "claude-sonnet-5-5"


def message(name):
    return json.loads(Path(__file__).with_name("streams").joinpath(f"{name}.json").read_text())


def whole(data):
    return [data]


def bytewise(data):
    return [data[at : at + 1] for at in range(len(data))]


def anywhere(data):
    dice = random.Random(len(data))
    places = sorted(dice.sample(range(len(data)), min(len(data), 25)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


CUTS = [whole, bytewise, anywhere]
