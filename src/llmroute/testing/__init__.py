"""An upstream for tests: a real server on loopback that says what it is told to.

    >>> import anthropic
    >>> from llmroute.testing import FakeUpstream, error
    >>> with FakeUpstream() as upstream:
    ...     upstream.answer(error(529), "Good morning.")
    ...     with anthropic.Anthropic(base_url=upstream.url, api_key="k", max_retries=1) as client:
    ...         message = client.messages.create(model="m", max_tokens=9, messages=[])
    ...     len(upstream.requests), message.content[0].text
    (2, 'Good morning.')

Answers are made by functions and broken by their methods: `text("Hello").cut(after_events=4)`.
"""

from llmroute.testing.answer import Answer
from llmroute.testing.answers import (
    as_json,
    error,
    events,
    message,
    raw,
    text,
    thinking,
    tool_use,
)
from llmroute.testing.clock import Clock
from llmroute.testing.conversation import conversation
from llmroute.testing.received import Received
from llmroute.testing.upstream import Answering, FakeUpstream

__all__ = [
    "Answer",
    "Answering",
    "Clock",
    "FakeUpstream",
    "Received",
    "as_json",
    "conversation",
    "error",
    "events",
    "message",
    "raw",
    "text",
    "thinking",
    "tool_use",
]
