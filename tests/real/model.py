"""A model that a test makes itself: a real one to the server, and it says what it is told to.

A token's embedding is a unit vector, and attention and feed-forward add nothing to it.  So which
token comes next depends on the last one alone, and is written straight into the output matrix.
What it says is told by `script:NAME` in the last message, for which the chat template ends the
prompt with a token of its own; where a grammar allows none of that, it says short random things.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from . import gguf

HELLO = "Hello there, this is a small model speaking to you."
THOUGHT = "Let me see, it is plain."
CONCLUSION = "So it is."
SMILE = "\U0001f600 A face."
COMMAND = "echo six times $((6 * 7))"
ROUND = (" tick", " tock")

_CALL = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>'
SCRIPTS = MappingProxyType(
    {
        "hello": HELLO,
        "thinking": f"<think>\n{THOUGHT}\n</think>\n\n{CONCLUSION}",
        "emoji": SMILE,
        "weather": _CALL % ("get_weather", '{"city": "Rome"}'),
        "both": "I will look. "
        + _CALL % ("get_weather", '{"city": "Oslo"}')
        + "\n"
        + _CALL % ("get_weather", '{"city": "Kyiv"}'),
        "bash": _CALL % ("Bash", f'{{"command": "{COMMAND}"}}'),
        "endless": "",
    }
)
"""What is said for each name; an answer that has no script is `hello`."""

CONTEXT = 131_072
"""Tokens that the model was, so to speak, trained on."""

_END, _TURN, _TURN_END = "<|end|>", "<|im_start|>", "<|im_end|>"
_NORMAL, _CONTROL = 1, 3
_HEAD = 32
_SURE = 60.0

TEMPLATE = """\
{%- if tools %}<|im_start|>system
# Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}
Call one with <tool_call>
{"name": ..., "arguments": ...}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.role == 'assistant' %}<|im_start|>assistant
{% if message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}
{%- if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
{%- if not loop.first or message.content %}
{% endif %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% set asked = messages[-1].content | string %}NAMES<|hello|>{% endif %}"""


def make(path: Path) -> None:
    """Write the model; it takes a fraction of a second and is always the same."""
    tokens, kinds, follows = _vocabulary()
    size = -(-len(tokens) // 32) * 32
    ids = {token: number for number, token in enumerate(tokens)}
    metadata: dict[str, gguf.Value] = {
        "general.architecture": "llama",
        "general.name": "test",
        "llama.block_count": 1,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": size,
        "llama.feed_forward_length": 32,
        "llama.attention.head_count": 1,
        "llama.attention.head_count_kv": 1,
        "llama.attention.key_length": _HEAD,
        "llama.attention.value_length": _HEAD,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": _HEAD,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": _merges(),
        "tokenizer.ggml.eos_token_id": ids[_TURN_END],
        "tokenizer.ggml.bos_token_id": ids[_END],
        "tokenizer.ggml.padding_token_id": ids[_END],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": _template(),
    }
    embedding, output = gguf.zeros(size, len(tokens)), gguf.zeros(size, len(tokens))
    # A unit vector comes out of the last norm as long as the root of its size.
    unit = math.sqrt(size)
    for number, token in enumerate(tokens):
        embedding.numbers[number * size + number] = 1.0
        liking = _liking(token) / unit
        for last in range(size):
            output.numbers[number * size + last] = liking
    for last, following in follows.items():
        output.numbers[ids[following] * size + ids[last]] = _SURE / unit
    tensors = {
        "token_embd.weight": embedding,
        "output_norm.weight": gguf.ones(size),
        "output.weight": output,
        "blk.0.attn_norm.weight": gguf.ones(size),
        "blk.0.attn_q.weight": gguf.zeros(size, _HEAD),
        "blk.0.attn_k.weight": gguf.zeros(size, _HEAD),
        "blk.0.attn_v.weight": gguf.zeros(size, _HEAD),
        "blk.0.attn_output.weight": gguf.zeros(_HEAD, size),
        "blk.0.ffn_norm.weight": gguf.ones(size),
        "blk.0.ffn_gate.weight": gguf.zeros(size, 32),
        "blk.0.ffn_up.weight": gguf.zeros(size, 32),
        "blk.0.ffn_down.weight": gguf.zeros(32, size),
    }
    gguf.write(path, metadata, tensors)


def _vocabulary() -> tuple[list[str], list[int], dict[str, str]]:
    """Return the tokens, what each is, and which surely follows which."""
    starts = [f"<|{name}|>" for name in SCRIPTS]
    special = [_END, _TURN, _TURN_END, *starts]
    taken = {*special, *_BYTES.values(), *_merged()}
    pieces: list[str] = []
    follows: dict[str, str] = {}
    for start, text in zip(starts, SCRIPTS.values(), strict=True):
        said = [_spelt(each) for each in ROUND] if not text else _cut(text, taken)
        taken.update(said)
        pieces += said
        follows |= dict(pairwise([start, *said, _TURN_END if text else said[0]]))
    plain = [*_BYTES.values(), *_merged(), *(each for each in pieces if len(each) > 1)]
    tokens = [*plain, *special]
    return tokens, [_NORMAL] * len(plain) + [_CONTROL] * len(special), follows


def _cut(text: str, taken: set[str]) -> list[str]:
    """Cut a text into tokens, none of which another text has; of an emoji each byte is one."""
    rest = _spelt(text)
    pieces: list[str] = []
    while rest:
        if not rest[0].isascii() and rest[0] not in _spelt(" \n"):
            pieces.append(rest[0])
            rest = rest[1:]
            continue
        length = 3
        while length < len(rest) and (rest[:length] in taken or rest[:length] in pieces):
            length += 1
        # A short rest may be a token already; with what comes before it, it is none.
        pieces.append(rest[:length] if len(rest) > 3 else pieces.pop() + rest)
        rest = rest[length:]
    return pieces


def _liking(token: str) -> float:
    """How ready the model is to say a token that nothing makes it say, as a logarithm.

    Where a grammar asks for a call, strings end soon, and nothing is said outside of them.
    """
    if token in {'"', "}", "]"}:
        return 5.0
    if token == _TURN_END:
        return 2.0
    return 1.0 if len(token) == 1 and token.isascii() and token.isalnum() else -15.0


def _template() -> str:
    names = "".join(
        f"{{%- if 'script:{name}' in asked %}}<|{name}|>{{%- else %}}"
        for name in SCRIPTS
        if name != "hello"
    )
    ends = "{%- endif %}" * (len(SCRIPTS) - 1)
    return TEMPLATE.replace("NAMES<|hello|>", f"{names}<|hello|>{ends}")


def _bytes() -> dict[int, str]:
    """How GPT-2's tokens write each byte: as itself where that can be seen."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [each for each in range(0x100) if each not in seen]
    return {each: chr(each) for each in seen} | {
        each: chr(0x100 + number) for number, each in enumerate(hidden)
    }


_BYTES = MappingProxyType(_bytes())


def _spelt(text: str) -> str:
    return "".join(_BYTES[each] for each in text.encode())


# Prompts are text, and shorter by half with these.
_COMMON = """
the of and to in a is that for it with as be on are this you not or by if from use when an at
can should must will file tool user code name type string object description properties
required command path only before after never always which has have do does each other any all
then than them they there where what how no new one only output input text line task message
"""


def _merges() -> list[str]:
    """Return the pairs of tokens that make one: words are put together letter by letter."""
    pairs: dict[str, None] = {}
    for word in _COMMON.split():
        spelt = _spelt(f" {word}")
        for end in range(1, len(spelt)):
            pairs[f"{spelt[:end]} {spelt[end]}"] = None
    return [*pairs]


def _merged() -> list[str]:
    return [pair.replace(" ", "") for pair in _merges()]
