"""Messages event streams that lack their beginning, as llama.cpp's server writes some."""

import json
import random

import pytest

from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.anthropic_compatible import AnthropicCompatibleDeployment
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import frames

REQUEST = (
    b'{"model":"local","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}'
)
START = b'event: message_start\ndata: {"type":"message_start","message":{"id":"chatcmpl-1"}}\n\n'
# Recorded: an answer whose first token is a quarter of an emoji.
LATE = """\
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\U0001f600"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},\
"usage":{"output_tokens":7}}

event: message_stop
data: {"type":"message_stop"}

""".encode()
PING = b":\n\n"
ERROR = b'event: error\ndata: {"code":500,"message":"broken","type":"server_error"}\n\n'


def decoder(vendor="llama_cpp"):
    deployment = AnthropicCompatibleDeployment(base_url="http://localhost:8080", vendor=vendor)
    call = Call(Envelope.parse(REQUEST), "local", stream=True, input_tokens=21)
    make = PROVIDERS["anthropic_compatible"].decoder
    assert make is not None
    return make(call, deployment)


def pieces_of(data, cut):
    if cut == "whole":
        return [data]
    if cut == "bytewise":
        return [data[at : at + 1] for at in range(len(data))]
    at = sorted(random.Random(cut).sample(range(len(data)), 8))
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


def decoded(data, cut="whole"):
    decoding = decoder()
    return b"".join(map(decoding.feed, pieces_of(data, cut))) + decoding.close()


@pytest.mark.parametrize("cut", ["whole", "bytewise", 1, 2, 3])
def test_a_missing_beginning_is_written(cut):
    written = decoded(PING + LATE, cut)

    (start,) = [each for each in frames(written) if each.event == b"message_start"]
    message = json.loads(start.data)["message"]
    assert {"role": "assistant", "content": [], "model": "local"}.items() <= message.items()
    assert 21 == message["usage"]["input_tokens"]
    assert written.endswith((start.raw + LATE, start.raw + PING + LATE))


@pytest.mark.parametrize("cut", ["whole", "bytewise", 1, 2, 3])
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(START + LATE, id="begun"),
        pytest.param(PING + START + LATE, id="ping"),
        pytest.param(ERROR, id="error"),
        pytest.param(PING + ERROR, id="ping-and-error"),
        pytest.param(START + LATE[:50], id="broken-off"),
        pytest.param(LATE[:50], id="broken-off-at-once"),
        pytest.param(b'{"error":{"message":"not a stream"}}', id="no-stream"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_any_other_stream_is_as_it_was(stream, cut):
    cut = cut if len(stream) > 8 else "whole"

    assert stream == decoded(stream, cut)


@pytest.mark.parametrize("vendor", ["", "vllm", "deepseek"])
def test_other_servers_streams_are_not_looked_into(vendor):
    assert decoder(vendor) is None
