"""The headers of W3C Trace Context."""

from __future__ import annotations

import pytest

from llmroute.wire.headers import Headers
from llmroute.wire.trace import traceparent, tracestate

TRACE = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"00-" + TRACE, (b"00-" + TRACE).decode(), id="one"),
        pytest.param(b"01-" + TRACE + b"-more", (b"01-" + TRACE).decode(), id="a later version"),
        pytest.param(b"00-" + TRACE + b"-more", "", id="too long"),
        pytest.param(b"ff-" + TRACE, "", id="no version"),
        pytest.param(b"00-" + TRACE.upper(), "", id="upper case"),
        pytest.param(b"00-" + b"0" * 32 + TRACE[32:], "", id="no trace"),
        pytest.param(b"", "", id="empty"),
        pytest.param(None, "", id="none"),
    ],
)
def test_a_parent_is_one_or_nothing(value: bytes | None, expected: str) -> None:
    assert expected == traceparent(value)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([(b"tracestate", b"a=1,b=2")], "a=1,b=2", id="one"),
        pytest.param([(b"tracestate", b"a=1"), (b"tracestate", b"b=2")], "a=1,b=2", id="two"),
        pytest.param([(b"tracestate", b"a=" + b"1" * 510)], "a=" + "1" * 510, id="long"),
        pytest.param([(b"tracestate", b"a=" + b"1" * 511)], "", id="too long"),
        pytest.param([(b"traceparent", TRACE)], "", id="none"),
    ],
)
def test_what_is_said_of_a_trace_is_put_together(headers: Headers, expected: str) -> None:
    assert expected == tracestate(headers)
