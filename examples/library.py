"""The library, with the provider keys found in the environment.

export ANTHROPIC_API_KEY=sk-ant-...
python examples/library.py
"""

import asyncio

from llmroute import Router

MODEL = "claude-sonnet-4-5-20250929"


async def main() -> None:
    question = [{"role": "user", "content": "Name three rivers."}]
    async with Router.from_env() as router:
        message = await router.complete(model=MODEL, max_tokens=256, messages=question)
        print(message.text)
        print(f"-- {message.deployment}, {message.usage.output_tokens} tokens")

        async with router.stream(model=MODEL, max_tokens=256, messages=question) as stream:
            async for piece in stream.text_stream:
                print(piece, end="", flush=True)
        print()


asyncio.run(main())
