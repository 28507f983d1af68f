"""Every page is read from top to bottom, as a reader would, and every block of it is tried.

CONTRIBUTING.md tells authors the rules.  A page has a directory, an environment, an upstream that
answers, and a proxy, which starts when the first `curl` or address of it appears.
"""

import ast
import asyncio
import contextlib
import doctest
import http.client
import inspect
import itertools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import typer.main
import uvicorn
import yaml
from markdown_it import MarkdownIt

import llmroute_cli.main
from llmroute import Router, config
from llmroute.asgi import Proxy
from llmroute.testing import FakeUpstream

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Those below it are for other programs.
EXAMPLES = sorted(path for path in ROOT.glob("examples/*") if path.is_file())

PROXY_ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):4000")
KEY = "sk-example"
# Another, for the configuration takes a provider's key that equals the master key for the latter.
UPSTREAM_KEY = "sk-ant-example"
EXEMPT = re.compile(r"<!-- not run: .+ -->\s*")
HEREDOC = re.compile(
    r"^(?:\$ )?cat > ?(?P<path>\S+) << ?'?(?P<end>\w+)'?\n(?P<content>.*?)^(?P=end)$",
    re.MULTILINE | re.DOTALL,
)
# Programs that a page may tell the reader to start, and that are not ours to try.
OTHERS = {"cd", "claude", "docker", "echo", "git", "kill", "source"}
MODEL = "claude-sonnet-4-5-20250929"
ANTHROPIC = {"provider": "anthropic", "model": MODEL, "api_key": UPSTREAM_KEY}
NATIVE = {
    *("deployments", "aliases", "routing", "server", "store", "store_prefix", "database"),
    *("keys", "teams", "budgets", "limits", "guards", "usage", "telemetry", "logs"),
}
LITELLM = {"litellm_settings", "router_settings", "general_settings", "environment_variables"}


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of the page it begins on."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of `page` but for those that say why they cannot be run."""
    before = None
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "fence":
            exempt = before and before.type == "html_block" and EXEMPT.fullmatch(before.content)
            if not exempt:
                yield Block(token.info.strip().partition(" ")[0], token.content, token.map[0] + 1)
        before = token


class Reader:
    """Does what a page says, in a directory of its own."""

    def __init__(self, page, upstream, stack, monkeypatch):
        self.page = page
        self.upstream = upstream
        self.stack = stack
        self.setenv = monkeypatch.setenv
        self.proxy = ""
        self.names = {"__name__": "__main__"}

    def read(self, block: Block) -> None:
        match block.language:
            case "python":
                self.run(block)
            case "yaml":
                self.load(block.text)
            case "json":
                json.loads(block.text)
            case "console" | "sh" | "bash" | "shell":
                for command in commands(self.write_heredocs(block.text)):
                    self.obey(command)
            case "text" | "diff" | "http" | "mermaid":
                pass
            case other:
                pytest.fail(f"a block must name a language this test knows, not {other!r}")

    def run(self, block: Block) -> None:
        source = PROXY_ADDRESS.sub(lambda _: self.address(), block.text)
        if ">>>" in source:
            examples = doctest.DocTestParser().get_doctest(
                source, self.names, self.page.name, str(self.page), block.line
            )
            failed, _ = doctest.DocTestRunner(verbose=False).run(examples)
            assert 0 == failed
            return
        # The blank lines make a traceback point at the page's own lines.
        source = "\n" * block.line + source
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, str(self.page), "exec", flags, dont_inherit=True)
        pending = eval(code, self.names)  # noqa: S307  # the page's own example
        if inspect.iscoroutine(pending):
            asyncio.run(pending)

    def load(self, text: str) -> None:
        """Load `text` as a configuration, and write it where its first line says."""
        data = yaml.safe_load(text)
        data = completed(data)
        secrets = re.findall(r"os\.environ/(\w+)|\$\{(\w+)\}", text)
        variables = {
            name: self.upstream.url if name.endswith(("_BASE", "_URL")) else f"sk-ant-{name}"
            for name in ("".join(pair) for pair in secrets)
        }
        variables["DATABASE_URL"] = "postgresql://user:password@127.0.0.1/llmroute"
        config.load_dict(data, variables | dict(os.environ))
        if title := re.match(r"# (\S+\.ya?ml)\n", text):
            path = Path(title[1]).name
            Path(path).write_text(yaml.safe_dump(self.upstreamed(data)), "utf-8")

    def upstreamed(self, data: dict) -> dict:
        """Point what goes to Anthropic at the upstream that answers here."""
        for deployment in data.get("deployments", {}).values():
            if deployment["provider"] == "anthropic":
                deployment.setdefault("base_url", self.upstream.url)
        for entry in data.get("model_list", ()):
            if entry["litellm_params"]["model"].startswith("anthropic/"):
                entry["litellm_params"].setdefault("api_base", self.upstream.url)
        return data

    def write_heredocs(self, text: str) -> str:
        """Write each file that a here-document makes; return the text without them."""

        def write(match: re.Match) -> str:
            path = Path(match["path"])
            if path.suffix in {".yaml", ".yml"}:
                self.load(f"# {path.name}\n{match['content']}")
            else:
                Path(path.name).write_text(match["content"], "utf-8")
            return ""

        return HEREDOC.sub(write, text)

    def obey(self, words: list[str]) -> None:
        """Try one command, as far as it is about us."""
        while words and (assignment := re.fullmatch(r"(\w+)=(.*)", words[0])):
            self.setenv(assignment[1], os.path.expandvars(assignment[2]))
            words = words[1:]
        for word in words:
            for inner in re.findall(r"\$\((llmroute [^)]*)\)", word):
                self.obey(shlex.split(inner))
        match words:
            case [] | ["eval", *_]:
                pass
            case ["export", *assignments]:
                self.obey(assignments)
            case ["llmroute", *arguments]:
                accept(arguments)
            case ["make", *targets]:
                makes(targets)
            case ["pip", "install", *packages] | ["pipx" | "uv", _, *packages]:
                for package in packages:
                    is_installable(package)
            case ["curl", *arguments]:
                self.curl([os.path.expandvars(argument) for argument in arguments])
            case [program, *_] if program not in OTHERS:
                pytest.fail(f"{program!r}: say `<!-- not run: why -->`, or add it to OTHERS")

    def curl(self, arguments: list[str]) -> None:
        """Send what `curl` would, with the options a page needs."""
        headers, body, method, url = {}, None, None, None
        left = iter(arguments)
        for argument in left:
            match argument:
                case "-H" | "--header":
                    name, _, value = next(left).partition(":")
                    headers[name] = value.strip()
                case "-d" | "--data" | "--json":
                    body = next(left)
                    headers.setdefault("content-type", "application/json")
                case "-X" | "--request":
                    method = next(left)
                case "-I" | "--head":
                    method = "HEAD"
                case option if option.startswith("-"):
                    assert set(option) <= set("-sSNif"), f"this test does not know {option}"
                case _:
                    url = argument
        address = urlsplit(PROXY_ADDRESS.sub(lambda _: self.address(), url))
        connection = http.client.HTTPConnection(address.netloc, timeout=10)
        with contextlib.closing(connection):
            target = address._replace(scheme="", netloc="").geturl()
            connection.request(method or ("POST" if body else "GET"), target, body, headers)
            response = connection.getresponse()
            assert 200 == response.status, response.read()
            response.read()

    def address(self) -> str:
        """Return the proxy's, and start it if it does not run yet."""
        if not self.proxy:
            key = os.environ["LLMROUTE_MASTER_KEY"]
            self.proxy = self.stack.enter_context(serving(self.upstream, key))
        return self.proxy


def completed(data: dict) -> dict:
    """Make a whole configuration of an excerpt, by what must stand beside its sections."""
    if data.keys() & LITELLM:
        model = {"model": f"anthropic/{MODEL}", "api_key": UPSTREAM_KEY}
        return {"model_list": [{"model_name": MODEL, "litellm_params": model}], **data}
    if not data.keys() & NATIVE:
        return data
    aliases = data.get("aliases", {})
    wanted = [name for alias in aliases.values() for name in deployments_of(alias)]
    deployments = data.get("deployments") or dict.fromkeys(
        [name for name in wanted if name not in aliases] or ["example"], ANTHROPIC
    )
    return {"aliases": {"example": next(iter(deployments))}, **data, "deployments": deployments}


def deployments_of(alias: str | list | dict) -> list[str]:
    """Return the names an alias goes to, in whichever of its three forms it is written."""
    if isinstance(alias, dict):
        alias = alias["deployments"]
    return [alias] if isinstance(alias, str) else alias


def commands(text: str) -> Iterator[list[str]]:
    """Yield each command of a shell block, split into words."""
    lines = iter(text.replace("\\\n", " ").splitlines())
    prompted = re.search(r"^\$ ", text, re.MULTILINE)
    for line in lines:
        if prompted and not line.startswith("$ "):
            continue  # what a command printed
        typed = line.removeprefix("$ ")
        while (words := split(typed)) is None:
            typed += "\n" + next(lines)
        for separator, command in itertools.groupby(words, lambda word: set(word) <= set(";|&")):
            if not separator:
                yield list(itertools.takewhile(lambda word: word != ">", command))


def split(typed: str) -> list[str] | None:
    """Split as a shell does, operators included; `None` if a quote is open."""
    lexer = shlex.shlex(typed, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return None


def accept(arguments: list[str]) -> None:
    """Raise the CLI's own error unless it takes `arguments`; nothing is started."""
    command = typer.main.get_command(llmroute_cli.main.app)
    name = "llmroute"
    while arguments and arguments[0] in getattr(command, "commands", {}):
        name, *arguments = arguments
        command = command.commands[name]
    assert not (hasattr(command, "commands") and arguments[:1] and arguments[0][0] != "-"), (
        f"llmroute has no command {arguments[0]!r}"
    )
    with contextlib.suppress(typer.Exit):  # --help and --version
        command.make_context(name, list(arguments))


def makes(words: list[str]) -> None:
    """Fail unless the Makefile has each target among `words`."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = {word for word in words if "=" not in word}
    known = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert set() == wanted - known


def is_installable(package: str) -> None:
    """Fail if `package` is ours and asks for an extra that it lacks."""
    named = re.fullmatch(r"(?:llmroute|\.)\[(.*)]", package)
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    for extra in named[1].split(",") if named else ():
        assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), (
            f"no extra is called {extra!r}"
        )


@contextlib.contextmanager
def serving(upstream: FakeUpstream, key: str) -> Iterator[str]:
    """Serve a proxy whose every alias goes to `upstream`; yield its address."""
    router = Router.from_dict(
        {
            "deployments": {
                "example": {
                    "provider": "anthropic",
                    "base_url": upstream.url,
                    "api_key": UPSTREAM_KEY,
                }
            },
            "aliases": {"*": ["example"], MODEL: ["example"]},
            "server": {"master_key": key},
            "database": "none",
        },
    )
    # Bound and listening before the server runs, so that no one need wait for it.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(Proxy(router), log_level="error"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def reader_of(tmp_path, monkeypatch):
    """Make readers, each with an upstream, whose environment and proxy end with the test."""
    with contextlib.ExitStack() as stack:

        def make(page: Path) -> Reader:
            upstream = stack.enter_context(FakeUpstream())
            monkeypatch.setenv("LLMROUTE_MASTER_KEY", KEY)
            monkeypatch.setenv("LITELLM_MASTER_KEY", KEY)
            monkeypatch.setenv("ANTHROPIC_API_KEY", UPSTREAM_KEY)
            monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
            monkeypatch.chdir(tmp_path)
            return Reader(page, upstream, stack, monkeypatch)

        yield make


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_says_works(page, reader_of):
    reader = reader_of(page)
    for block in blocks(page):
        try:
            reader.read(block)
        except BaseException as error:
            error.add_note(f"{page.relative_to(ROOT)}:{block.line}: in this {block.language} block")
            raise


def test_there_are_examples():
    assert {".py", ".yaml"} <= {path.suffix for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_work(path, tmp_path, reader_of):
    reader = reader_of(path)
    if path.suffix in {".yaml", ".yml"}:
        reader.load(path.read_text("utf-8"))
    else:
        done = subprocess.run(
            [sys.executable, "-W", "error", path],
            cwd=tmp_path,
            env=os.environ.copy(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout


@pytest.mark.parametrize(
    ("language", "text"),
    [
        pytest.param("python", "assert 1 == 2", id="python"),
        pytest.param("python", "await None", id="python-with-await"),
        pytest.param("python", ">>> 1 + 1\n3\n", id="python-session"),
        pytest.param("yaml", "server: {prot: 4000}", id="unknown-setting"),
        pytest.param("yaml", "general_settings: {master_kee: a}", id="unknown-litellm-setting"),
        pytest.param("yaml", "services: {}", id="unknown-section"),
        pytest.param("json", "{", id="json"),
        pytest.param("console", "$ llmroute sevre", id="unknown-command"),
        pytest.param("console", "$ llmroute serve --prot 1", id="unknown-option"),
        pytest.param("console", '$ eval "$(llmroute enw)"', id="unknown-command-in-a-command"),
        pytest.param("console", "$ make tea", id="unknown-target"),
        pytest.param("sh", "pip install 'llmroute[everything]'", id="unknown-extra"),
        pytest.param("sh", "cd x && wget y", id="unknown-program"),
        pytest.param("sh", "curl http://127.0.0.1:4000/v1/nothing", id="unknown-path"),
        pytest.param("", "plain", id="no-language"),
    ],
)
def test_what_does_not_work_is_found(language, text, reader_of, capsys):
    reader = reader_of(ROOT / "README.md")

    # Whatever it is that fails: an assertion, a compiler, the CLI, the configuration.
    with pytest.raises((Exception, pytest.fail.Exception)):
        reader.read(Block(language, text, 1))


def test_a_page_that_works_passes(tmp_path, reader_of):
    page = tmp_path / "page.md"
    page.write_text(WORKS, "utf-8")
    reader = reader_of(page)
    for block in blocks(page):
        reader.read(block)

    # From Python through the file, from `curl`, and from the SDK through the proxy.
    assert 3 == len(reader.upstream.requests)


WORKS = """
```console
$ export LLMROUTE_MASTER_KEY=sk-of-this-page
$ cat > llmroute.yaml <<'EOF'
model_list:
  - model_name: claude-*
    litellm_params:
      model: anthropic/*
      api_key: os.environ/A_KEY_OF_THIS_PAGE
general_settings:
  master_key: os.environ/LLMROUTE_MASTER_KEY
EOF
$ export A_KEY_OF_THIS_PAGE=sk-ant-1
$ llmroute serve --config llmroute.yaml --port 4000 &
$ curl -s http://127.0.0.1:4000/v1/messages -H "x-api-key: $LLMROUTE_MASTER_KEY" -d '{
  "model": "claude-haiku-4-5", "max_tokens": 64,
  "messages": [{"role": "user", "content": "Hello"}]
}'
{"type": "message"}
```

```python
from llmroute import Router

async with Router.from_file("llmroute.yaml") as router:
    message = await router.complete(
        model="claude-haiku-4-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Hello"}],
    )
```

```python
>>> message.attempts
1
```

```python
import anthropic

with anthropic.Anthropic(base_url="http://127.0.0.1:4000", api_key="sk-of-this-page") as client:
    client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Hello"}],
    )
```
"""


def test_shell_blocks_are_split_as_a_shell_does():
    text = """$ export A=1 && curl -d '{
  "a": 1}' \\
  http://localhost > out  # why
{"output": 1}
$ llmroute check
"""

    assert [
        ["export", "A=1"],
        ["curl", "-d", '{\n  "a": 1}', "http://localhost"],
        ["llmroute", "check"],
    ] == list(commands(text))


def test_a_block_may_say_why_it_is_not_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: needs an account -->\n```python\nx\n```\n\n```json\n1\n```\n")

    assert [Block("json", "1\n", 6)] == list(blocks(page))
