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

from llmroute.testing._sigv4 import AwsKey
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
from llmroute.testing.bedrock import FakeBedrock, aws_error
from llmroute.testing.chat import FakeAzureOpenAI, FakeChat, chat_chunks
from llmroute.testing.clock import Clock
from llmroute.testing.conversation import conversation
from llmroute.testing.foundry import FakeEntra, FakeFoundry, azure_error
from llmroute.testing.gemini import FakeGemini, gemini_chunks
from llmroute.testing.openai import FakeOpenAI, openai_error
from llmroute.testing.received import Received
from llmroute.testing.sts import FakeSts
from llmroute.testing.upstream import Answering, FakeUpstream
from llmroute.testing.vertex import FakeVertex, google_error

__all__ = [
    "Answer",
    "Answering",
    "AwsKey",
    "Clock",
    "FakeAzureOpenAI",
    "FakeBedrock",
    "FakeChat",
    "FakeEntra",
    "FakeFoundry",
    "FakeGemini",
    "FakeOpenAI",
    "FakeSts",
    "FakeUpstream",
    "FakeVertex",
    "Received",
    "as_json",
    "aws_error",
    "azure_error",
    "chat_chunks",
    "conversation",
    "error",
    "events",
    "gemini_chunks",
    "google_error",
    "message",
    "openai_error",
    "raw",
    "text",
    "thinking",
    "tool_use",
]
