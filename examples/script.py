"""The library in a script without an event loop, and what can go wrong.

export ANTHROPIC_API_KEY=sk-ant-...
python examples/script.py
"""

from llmroute import UpstreamError
from llmroute.sync import Router

with Router.from_env() as router:
    try:
        message = router.complete(
            model="claude-haiku-4-5-20251001",
            max_tokens=64,
            messages=[{"role": "user", "content": "Which river flows through Dresden?"}],
        )
    except UpstreamError as error:
        print(f"{error.deployment} answered {error.status} after {error.attempts} attempts")
    else:
        print(message.text)
