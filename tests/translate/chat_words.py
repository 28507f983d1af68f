"""Chat Completions requests and Messages blocks, in few words."""

from llmroute.translate.from_chat import from_chat

HI = [{"role": "user", "content": "Hi"}]
MARK = {"type": "ephemeral"}


def text(said, **more):
    return {"type": "text", "text": said, **more}


def user(*content):
    return {"role": "user", "content": list(content)}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


def call(call_id, name="weather", arguments="{}"):
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def use(call_id, name="weather", **given):
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def asked(messages=HI, **members):
    return from_chat({"model": "sonnet", "messages": messages, **members}, 4096)
