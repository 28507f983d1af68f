"""The golden files: what each recorded request of Claude Code becomes on each platform.

A golden says what differs from the recording, so it can be read; with the recording it is the
whole body.  After a change that is meant, write them anew:

    python tests/platforms/goldens.py
"""

import json
from pathlib import Path

from llmroute.messages.call import Call
from llmroute.platforms import BEDROCK, FOUNDRY, MANTLE, VERTEX, bridge
from llmroute.wire.envelope import Envelope

HERE = Path(__file__).parent
CAPTURES = sorted((HERE / "captures").glob("*.json"))
# The name under which Bedrock has the model does not change what is sent, but for the older ones.
PLATFORMS = {platform.name: platform for platform in (BEDROCK, VERTEX, FOUNDRY, MANTLE)}
LEFT_OUT = "(left out)"


def recorded(path):
    """Return a recording's requests."""
    return json.loads(path.read_text("utf-8"))


def golden_of(path):
    return HERE / "goldens" / path.name


def bridged(request, platform, model=None):
    """Bridge a recorded request, to its own model if no other is named."""
    body = request["body"]
    asked = body.get("model", "claude-opus-5-5")
    headers = [(b"anthropic-beta", value.encode()) for value in request["betas"]]
    call = Call(Envelope.parse(json.dumps(body).encode()), asked, headers=headers)
    return bridge(call, platform, model or asked)


def differences(before, after, place=""):
    """Return by place what is different; a list of another length is given as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = {}
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{place}.{name}" if place else name
            if name not in after:
                found[inner] = LEFT_OUT
            elif name not in before:
                found[inner] = after[name]
            else:
                found |= differences(before[name], after[name], inner)
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return {k: v for i, pair in pairs for k, v in differences(*pair, f"{place}[{i}]").items()}
    return {} if before == after else {place: after}


def outcome(request, platform):
    """Return what a golden says of one request on one platform."""
    result = bridged(request, platform)
    after = json.loads(bytes(result.body))
    return {
        "betas": list(result.betas),
        "changes": differences(request["body"], after),
        "losses": list(result.losses),
    }


def golden(path):
    """Work out the golden of a recording: by request, by platform."""
    return [
        {name: outcome(request, platform) for name, platform in PLATFORMS.items()}
        for request in recorded(path)
    ]


if __name__ == "__main__":
    for capture in CAPTURES:
        text = json.dumps(golden(capture), indent=1, ensure_ascii=False)
        golden_of(capture).write_text(text + "\n", "utf-8")
