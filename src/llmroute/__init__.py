"""llmroute: one alias, many providers, every byte.

`Router` sends Messages requests to the deployments that a configuration names; `llmroute.sync` has
the same without an event loop, `llmroute.openai_format` takes Chat Completions requests for it,
`llmroute.asgi` serves it over HTTP, and `llmroute.testing` has an upstream for tests.
"""

from __future__ import annotations

from llmroute.config import Config
from llmroute.errors import (
    BudgetError,
    ConfigError,
    ConflictError,
    FaultError,
    ForbiddenError,
    InvalidRequestError,
    LimitError,
    LLMRouteError,
    MisconfiguredError,
    OverloadedError,
    Problem,
    RateLimitedError,
    RejectedError,
    Remedy,
    RequestError,
    RequestTooLargeError,
    StoreError,
    StreamBrokenError,
    UnauthorizedError,
    UnavailableError,
    UnknownAliasError,
    UnknownSubjectError,
    UnreachableError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.catalog import ModelInfo
from llmroute.messages.events import Event
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Observer, Record
from llmroute.pricing import Bill
from llmroute.router import Explanation, MessageStream, Router
from llmroute.router.message import Message

__version__ = "0.1.0"

__all__ = [
    "Attempt",
    "Bill",
    "BudgetError",
    "Config",
    "ConfigError",
    "ConflictError",
    "Event",
    "Explanation",
    "FaultError",
    "ForbiddenError",
    "InvalidRequestError",
    "LLMRouteError",
    "LimitError",
    "Message",
    "MessageStream",
    "MisconfiguredError",
    "ModelInfo",
    "Observer",
    "OverloadedError",
    "Problem",
    "RateLimitedError",
    "Record",
    "RejectedError",
    "Remedy",
    "RequestError",
    "RequestTooLargeError",
    "Router",
    "StoreError",
    "StreamBrokenError",
    "UnauthorizedError",
    "UnavailableError",
    "UnknownAliasError",
    "UnknownSubjectError",
    "UnreachableError",
    "UntranslatableError",
    "UpstreamError",
    "Usage",
]

for _name in __all__:
    # Tracebacks and reprs name what users import, not where it happens to be written.
    globals()[_name].__module__ = __name__
del _name
