"""What pydantic-ai makes of the `model` of a module: a JSON document of what every client does."""

import asyncio
import json
import runpy
import sys

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput


class City(BaseModel):
    """A city."""

    name: str
    people: int


def usage(run):
    told = run.usage
    return {
        "input": told.input_tokens,
        "cached": told.cache_read_tokens,
        "output": told.output_tokens,
    }


async def streamed(agent, prompt):
    async with agent.run_stream(prompt) as run:
        pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
        return {"text": "".join(pieces), "in pieces": len(pieces) > 1, "usage": usage(run)}


async def with_a_tool(model, **arguments):
    results = []

    def weather(city: str) -> str:
        """Say what the weather is like in a city."""
        results.append(f"It rains in {city}.")
        return results[-1]

    agent = Agent(model, tools=[weather])
    told = await agent.run("What is the weather in Oslo?", **arguments)
    return {"results": results, "text": told.output}


async def watched(_context, events):
    async for _ in events:
        pass


async def structured(agent):
    by_format = await agent.run("Describe Oslo.", output_type=NativeOutput(City))
    by_tool = await agent.run("Describe Oslo.", output_type=City)
    assert by_format.output == by_tool.output
    return by_tool.output.model_dump()


async def error(call):
    try:
        await call
    except Exception as problem:  # noqa: BLE001 - whatever it is, the test has a word on it
        return {
            "class": type(problem).__name__,
            "status": getattr(problem, "status_code", None),
            "text": str(problem),
        }
    return None


async def used(model):
    agent = Agent(model)
    plain = await agent.run("Say hello.")
    return {
        "plain": {"text": plain.output, "usage": usage(plain)},
        "streamed": await streamed(agent, "Say hello."),
        "tool": await with_a_tool(model),
        "tool, streamed": await with_a_tool(model, event_stream_handler=watched),
        "structured": await structured(agent),
        "refused": await error(agent.run("Fail.")),
        "broken": await error(streamed(agent, "Break.")),
    }


# One loop for all: its connections are kept between models.
with asyncio.Runner() as runner:
    # The path of a module, a line.
    for path in sys.stdin:
        found = runner.run(used(runpy.run_path(path.rstrip())["model"]))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
