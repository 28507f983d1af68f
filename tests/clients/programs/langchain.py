"""What LangChain makes of the `model` of a module: a JSON document of what every client does."""

import json
import runpy
import sys

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    name: str
    people: int


@tool
def weather(city: str) -> str:
    """Say what the weather is like in a city."""
    return f"It rains in {city}."


def usage(message):
    told = message.usage_metadata
    cached = told["input_token_details"].get("cache_read")
    return {"input": told["input_tokens"], "cached": cached, "output": told["output_tokens"]}


def joined(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def streamed(model):
    chunks = list(model.stream("Say hello."))
    whole = joined(chunks)
    return {
        "text": whole.text,
        "in pieces": sum(bool(chunk.text) for chunk in chunks) > 1,
        "usage": usage(whole),
    }


def with_a_tool(call):
    messages = [HumanMessage("What is the weather in Oslo?")]
    asked = call(messages)
    messages += [asked, *(weather.invoke(each) for each in asked.tool_calls)]
    return {"results": [m.text for m in messages[2:]], "text": call(messages).text}


def structured(model):
    return model.with_structured_output(City).invoke("Describe Oslo.").model_dump()


def error(call):
    try:
        call()
    except Exception as problem:  # noqa: BLE001 - whatever it is, the test has a word on it
        return {
            "class": type(problem).__name__,
            "status": getattr(problem, "status_code", None),
            "text": str(problem),
        }
    return None


def used(model):
    able = model.bind_tools([weather])
    plain = model.invoke("Say hello.")
    return {
        "plain": {"text": plain.text, "usage": usage(plain)},
        "streamed": streamed(model),
        "tool": with_a_tool(able.invoke),
        "tool, streamed": with_a_tool(lambda messages: joined(list(able.stream(messages)))),
        "structured": structured(model),
        "refused": error(lambda: model.invoke("Fail.")),
        "broken": error(lambda: list(model.stream("Break."))),
    }


# The path of a module, a line.
for path in sys.stdin:
    sys.stdout.write(json.dumps(used(runpy.run_path(path.rstrip())["model"])) + "\n")
    sys.stdout.flush()
