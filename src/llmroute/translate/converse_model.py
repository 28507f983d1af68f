"""What Bedrock's models take of Converse: by a table, and by what they have refused.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "ANY_TOOL",
    "CACHE_POINTS",
    "DOCUMENTS",
    "FORMATS",
    "IMAGES",
    "ONE_TOOL",
    "REASONING",
    "RESULT_DOCUMENTS",
    "RESULT_IMAGES",
    "RESULT_STATUS",
    "STOPS",
    "STREAMED_TOOLS",
    "SYSTEM",
    "TEMPERATURE",
    "TEXT_BESIDE_RESULTS",
    "TOOLS",
    "TOOL_CACHE_POINTS",
    "TOP_P",
    "ConverseModel",
    "lacking",
]

# Names of what a model may lack.
SYSTEM = "system prompts"
TOOLS = "tools"
STREAMED_TOOLS = "tools in a stream"
TEXT_BESIDE_RESULTS = "text beside results"
RESULT_STATUS = "a result's status"
RESULT_IMAGES = "images in results"
RESULT_DOCUMENTS = "documents in results"
IMAGES = "images"
DOCUMENTS = "documents"
CACHE_POINTS = "cache points"
TOOL_CACHE_POINTS = "cache points after tools"
REASONING = "reasoning of earlier turns"
STOPS = "stop_sequences"
FORMATS = "output formats"
ANY_TOOL = "tool_choice any"
ONE_TOOL = "tool_choice tool"
TEMPERATURE = "temperature"
TOP_P = "top_p"

# Starts what is kept in `Call.without`, apart from the paths that other surfaces refuse.
_LEARNED = "converse: "
_LONGEST = "max_tokens "

# Only Nova and Claude have them; so say AWS's descriptions of the members.
_OTHERS = frozenset(
    {RESULT_STATUS, RESULT_IMAGES, RESULT_DOCUMENTS, CACHE_POINTS, TOOL_CACHE_POINTS}
)
_NOVA = frozenset({RESULT_DOCUMENTS, TOOL_CACHE_POINTS, FORMATS})
_APART = frozenset({TEXT_BESIDE_RESULTS})
_BLIND = frozenset({IMAGES})
_TEXT_ONLY = frozenset({IMAGES, DOCUMENTS})
_OLD = frozenset({SYSTEM, TOOLS, IMAGES})

# The first that matches: what it lacks beside what all do, and its longest answer.  Limits stand
# here where AWS documents them; others are learned from its refusal.
_ROWS: tuple[tuple[re.Pattern[str], frozenset[str], int], ...] = tuple(
    (re.compile(pattern), lacks, longest)
    for pattern, lacks, longest in (
        (r"amazon\.nova-micro", _NOVA | _TEXT_ONLY | {RESULT_IMAGES}, 10_000),
        (r"amazon\.nova-(?:lite|pro)", _NOVA, 10_000),
        (r"amazon\.nova", _NOVA, 0),
        (r"amazon\.titan-text-premier", _OLD | _TEXT_ONLY | _OTHERS, 3_000),
        (r"amazon\.titan", _OLD | _OTHERS, 4_000),
        (r"ai21\.jamba-instruct", _TEXT_ONLY | {TOOLS} | _OTHERS, 4_096),
        (r"ai21\.jamba", _BLIND | _APART | _OTHERS, 4_096),
        (r"ai21\.", _OLD | _OTHERS, 0),
        (r"cohere\.command-r", _BLIND | _APART | {STREAMED_TOOLS} | _OTHERS, 4_000),
        (r"cohere\.", _OLD | _OTHERS, 0),
        (r"meta\.llama3-(?:8|70)b", _BLIND | {TOOLS} | _OTHERS, 2_048),
        (r"meta\.llama3-2-(?:11|90)b", _APART | {STREAMED_TOOLS} | _OTHERS, 0),
        (r"meta\.llama3", _BLIND | _APART | {STREAMED_TOOLS} | _OTHERS, 0),
        (r"meta\.", _APART | {STREAMED_TOOLS} | _OTHERS, 0),
        (r"mistral\.mi(?:stral-7b|xtral)", _OLD | _OTHERS, 8_192),
        (r"mistral\.mistral-(?:large|small)-240", _BLIND | _APART | _OTHERS, 8_192),
        (r"mistral\.", _APART | _OTHERS, 0),
        (r"deepseek\.r1", _BLIND | {TOOLS, REASONING} | _OTHERS, 32_768),
        (r"deepseek\.", _BLIND | {REASONING} | _OTHERS, 0),
        (r"openai\.gpt-oss", _BLIND | _OTHERS, 0),
        (r"qwen\.qwen3-vl", _OTHERS | {STOPS}, 0),
        (r"qwen\.", _BLIND | {STOPS} | _OTHERS, 0),
        (r"zai\.", _BLIND | {STOPS} | _OTHERS, 0),
        (r"minimax\.", _BLIND | _OTHERS, 0),
        (r"", _OTHERS, 0),
    )
)

# Before the ids of inference profiles.
_PLACE = re.compile(r"(?:us|us-gov|eu|apac|jp|au|ca|sa|mx|uk|in|me|il|af|global)\.")
_ID = re.compile(r"[a-z][a-z0-9-]*\.[a-z].*")


@dataclass(frozen=True, slots=True)
class ConverseModel:
    """A model, as far as its requests differ from others'.

    Attributes:
        name: Its id without a region before it; empty if the name does not tell.
        vendor: Whose it is; `anthropic` for every Claude.
        lacks: What it does not take, by the names in this module.
        longest: Tokens of its longest answer; 0 if that is not known.
    """

    name: str
    vendor: str
    lacks: frozenset[str]
    longest: int = 0

    @property
    def is_claude(self) -> bool:
        """Whether it reads what Claude has thought elsewhere."""
        return self.vendor == "anthropic"

    @property
    def is_foreign(self) -> bool:
        """Whether its name tells that it is no Claude."""
        return bool(self.vendor) and not self.is_claude

    @classmethod
    def of(cls, model: str, without: Iterable[str] = ()) -> ConverseModel:
        """Return what is known of a model by its id, its profile's or an ARN.

        Args:
            model: Bedrock's name for it, or Claude's own.
            without: What it has refused before, as `lacking` has it, among other things.

        >>> ConverseModel.of("us.amazon.nova-pro-v1:0").name
        'amazon.nova-pro-v1:0'
        >>> ConverseModel.of("arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.x.y").name
        'x.y'
        """
        lowered = model.lower()
        if "claude" in lowered:
            name, vendor = lowered, "anthropic"
            lacks, longest = frozenset[str](), 0
        else:
            name = _id(lowered)
            vendor = "imported" if ":imported-model/" in lowered else name.partition(".")[0]
            lacks, longest = next(row[1:] for row in _ROWS if row[0].match(name))
        learned = [each.removeprefix(_LEARNED) for each in without if each.startswith(_LEARNED)]
        limits = [int(each[len(_LONGEST) :]) for each in learned if each.startswith(_LONGEST)]
        if limits:
            longest = min(limits)
        return cls(name, vendor, lacks.union(learned), longest)


def _id(model: str) -> str:
    """Return the part of a name that begins with a vendor's."""
    for part in reversed(model.split("/")):
        place = _PLACE.match(part)
        name = part[place.end() :] if place else part
        if not name.startswith("arn:") and _ID.fullmatch(name):
            return name
    return ""


_REFUSALS = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"support tool use in streaming", STREAMED_TOOLS),
        (r"support tool use(?! in stream)|support the toolConfig field", TOOLS),
        (r"support system (?:messages|prompts)|support the system field", SYSTEM),
        (r"tool result blocks cannot be provided in the same turn", TEXT_BESIDE_RESULTS),
        (r"support the (?:[\w.\[\]]*toolResult\.)?status field", RESULT_STATUS),
        (r"support the image (?:field|content)|support images?\b|support image input", IMAGES),
        (r"support the document (?:field|content)|support documents?\b", DOCUMENTS),
        (r"cannot contain reasoning content|support the reasoningContent", REASONING),
        (r"support the (?:inferenceConfig\.)?stopSequences field", STOPS),
        (r"support the (?:inferenceConfig\.)?temperature field", TEMPERATURE),
        (r"support the (?:inferenceConfig\.)?topP field", TOP_P),
        (r"support the toolConfig\.toolChoice\.any field", ANY_TOOL),
        (r"support the toolConfig\.toolChoice\.tool field", ONE_TOOL),
        (r"support the outputConfig|support structured output", FORMATS),
        (r"support (?:the )?cachePoint", CACHE_POINTS),
    )
)
_TOO_MANY = re.compile(r"maximum tokens you requested exceeds? the model limit of (\d{1,9})")
# How much of a message is read; it may repeat what was sent.
_READ = 8_192


def lacking(message: str) -> frozenset[str]:
    """Return what a refusal says that a model does not take, to be kept in `Call.without`.

    >>> lacking("400: This model doesn't support tool use in streaming mode.")
    frozenset({'converse: tools in a stream'})
    """
    message = message[:_READ]
    found = {name for pattern, name in _REFUSALS if pattern.search(message)}
    if limit := _TOO_MANY.search(message):
        found.add(f"{_LONGEST}{limit[1]}")
    return frozenset(_LEARNED + name for name in found)
