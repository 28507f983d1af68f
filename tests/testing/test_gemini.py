"""The fake Gemini refuses what the real one refuses."""

import httpx
import pytest
from google import genai
from google.genai import types

from llmroute.testing import FakeGemini, error, gemini_chunks, message, tool_use

PATH = "/v1beta/models/gemini-3-pro-preview:generateContent"
VERTEX = "/v1/projects/p/locations/global/publishers/google/models/gemini-3-x:countTokens"
HI = {"role": "user", "parts": [{"text": "Hi"}]}
CALL = {"functionCall": {"id": "c", "name": "f", "args": {}}}
SIGNED = {**CALL, "thoughtSignature": "skip_thought_signature_validator"}
RESULT = {"functionResponse": {"id": "c", "name": "f", "response": {"output": "x"}}}
MODEL = {"role": "model", "parts": [SIGNED]}
USER = {"role": "user", "parts": [RESULT]}
GIF = {"inlineData": {"mimeType": "image/gif", "data": "R0lG"}}


@pytest.fixture
def gemini():
    with FakeGemini() as fake:
        yield fake


def ask(gemini, *, path=PATH, headers=None, **body):
    given = {"x-goog-api-key": "fake-key"} if headers is None else headers
    return httpx.post(gemini.url + path, json={"contents": [HI], **body}, headers=given, timeout=5)


def function(**schema):
    made = {"name": "f", "parametersJsonSchema": {"type": "object", **schema}}
    return [{"functionDeclarations": [made]}]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="text"),
        pytest.param({"contents": [HI, MODEL, USER]}, id="tool"),
        pytest.param({"tools": function(properties={"a": {"type": "string"}})}, id="function"),
        pytest.param(
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}, id="level"
        ),
    ],
)
def test_it_takes(gemini, body):
    assert 200 == ask(gemini, **body).status_code


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({"messages": []}, "Unknown name", id="unknown-member"),
        pytest.param({"contents": []}, "not specified", id="no-contents"),
        pytest.param({"contents": [{"role": "user", "parts": []}]}, "not be empty", id="no-parts"),
        pytest.param({"contents": [{**HI, "role": "tool"}]}, "valid role", id="role"),
        pytest.param({"contents": [HI, MODEL]}, "end with a user", id="model-last"),
        pytest.param({"contents": [HI, MODEL, HI]}, "number of function", id="no-result"),
        pytest.param({"contents": [USER]}, "number of function", id="no-call"),
        pytest.param(
            {"contents": [HI, {"role": "model", "parts": [CALL]}, USER]},
            "missing a thought_signature",
            id="unsigned",
        ),
        pytest.param(
            {
                "contents": [
                    HI,
                    {"role": "model", "parts": [{**CALL, "thoughtSignature": "eA=="}]},
                    USER,
                ]
            },
            "Invalid thought signature",
            id="unknown-signature",
        ),
        pytest.param(
            {"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "text", id="empty-text"
        ),
        pytest.param({"contents": [{"role": "user", "parts": [GIF]}]}, "MIME", id="gif"),
        pytest.param({"tools": function(const=1)}, "const", id="keyword"),
        pytest.param({"tools": function(required=["a"])}, "not defined", id="required"),
        pytest.param(
            {"tools": [{"functionDeclarations": [{"name": "1 f"}]}]}, "function name", id="name"
        ),
        pytest.param(
            {"tools": [{"googleSearch": {}, **function()[0]}]}, "unsupported", id="search-beside"
        ),
        pytest.param(
            {"generationConfig": {"maxOutputTokens": 100_000}}, "max_output_tokens", id="length"
        ),
        pytest.param(
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}},
            "Thinking level",
            id="level-and-budget",
        ),
    ],
)
def test_it_refuses(gemini, body, said):
    answer = ask(gemini, **body)

    assert (400, "INVALID_ARGUMENT") == (answer.status_code, answer.json()["error"]["status"])
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param({"headers": {}}, 400, id="no-key"),
        pytest.param(
            {"headers": {"x-goog-api-key": "fake-key", "anthropic-version": "1"}},
            400,
            id="anthropics-header",
        ),
        pytest.param({"path": "/v1beta/models/claude:generateContent"}, 404, id="model"),
        pytest.param({"path": PATH.replace("generate", "streamGenerate")}, 400, id="no-sse"),
        pytest.param(
            {"path": VERTEX},
            401,
            id="no-token",
        ),
    ],
)
def test_it_lets_nobody_else_in(gemini, asked, status):
    assert status == ask(gemini, **asked).status_code


def test_a_signature_is_for_one_part(gemini):
    gemini.answer(tool_use("f", id="c"))
    part = ask(gemini).json()["candidates"][0]["content"]["parts"][0]
    other = {**part, "functionCall": {**part["functionCall"], "args": {"a": 1}}}

    same = ask(gemini, contents=[HI, {"role": "model", "parts": [part]}, USER])
    changed = ask(gemini, contents=[HI, {"role": "model", "parts": [other]}, USER])
    assert (200, 400) == (same.status_code, changed.status_code)
    assert "Corrupted" in changed.text


def test_a_stream_is_googles(gemini):
    gemini.answer(message(["Hello"], stop_reason="max_tokens"))
    stream = ask(gemini, path=PATH.replace("generate", "streamGenerate") + "?alt=sse").text

    assert stream.startswith("data: {")
    assert '"finishReason":"MAX_TOKENS"' in stream.rpartition("data: ")[2]


def test_errors_are_googles(gemini):
    gemini.answer(error(529))
    answer = ask(gemini)

    assert (503, "UNAVAILABLE") == (answer.status_code, answer.json()["error"]["status"])


def test_tokens_are_counted(gemini):
    inner = {"model": "models/gemini-3-pro-preview", "contents": [HI]}
    url = gemini.url + PATH.replace("generateContent", "countTokens")
    key = {"x-goog-api-key": "fake-key"}

    whole = httpx.post(url, json={"generateContentRequest": inner}, headers=key, timeout=5)
    odd = httpx.post(url, json={"model": "x"}, headers=key, timeout=5)
    assert 0 < whole.json()["totalTokens"]
    assert 400 == odd.status_code


def test_its_answers_are_what_googles_own_library_expects():
    content = [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
    ]
    usage = {"cache_read_input_tokens": 5}
    chunks = gemini_chunks({"content": content, "usage": usage})
    read = [types.GenerateContentResponse.model_validate(chunk) for chunk in chunks]

    assert ["f"] == [call.name for call in read[-1].function_calls]
    assert (17, 5) == (
        read[-1].usage_metadata.prompt_token_count,
        read[-1].usage_metadata.cached_content_token_count,
    )


def test_googles_own_library_is_served(gemini):
    options = types.HttpOptions(base_url=gemini.url, api_version="v1beta")
    tools = [types.Tool(function_declarations=[types.FunctionDeclaration(name="f")])]
    gemini.answer(message(["I look.", tool_use("f", {"a": 1})]), "Done.")
    with genai.Client(api_key="fake-key", http_options=options) as client:
        chat = client.chats.create(model="gemini-3-pro-preview", config={"tools": tools})
        chunks = list(chat.send_message_stream("Hi"))
        result = types.Part.from_function_response(name="f", response={"output": "x"})
        last = chat.send_message([result])

    assert {"a": 1} == chunks[-1].function_calls[0].args
    assert "Done." == last.text
