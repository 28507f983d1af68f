"""SIGHUP and `--watch`: a good file takes over and drops nothing, a bad one changes nothing."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import termios
from http.client import HTTPConnection

import pytest

from llmroute.config import load_file
from llmroute.testing import text
from llmroute_cli.reload import Source

from .program import MASTER_KEY, PATIENCE, START, UPSTREAM_KEY, question

TAKES_OVER = "^.*llmroute.yaml was loaded again and takes over; aliases: (.*)$"
STAYS = "^.*llmroute.yaml cannot be used; what was served before is served still$"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "llmroute.yaml"


def hang_up(proxy, said, count=1):
    """Send SIGHUP, and wait for what is said of it."""
    proxy.process.send_signal(signal.SIGHUP)
    return proxy.wait_for(said, count)


def model_asked_for(proxy, upstream):
    """Send a call, and return the model that the upstream saw."""
    assert 200 == proxy.ask("POST", "/v1/messages", question())[0]
    return upstream.requests[-1].json["model"]


class TestSIGHUP:
    def test_new_calls_go_by_the_new_file(self, serve, config_file, upstream):
        proxy = serve()
        config_file(deployment={"model": "claude-new"})
        hang_up(proxy, TAKES_OVER)

        assert "claude-new" == model_asked_for(proxy, upstream)

    def test_a_stream_under_way_ends_as_it_began(self, serve, config_file, upstream):
        upstream.answer(text("One two three").stall(after_events=3))
        proxy = serve()
        with proxy.stream() as answer:
            begun = answer.read(20)
            config_file(deployment={"model": "claude-new"})
            hang_up(proxy, TAKES_OVER)
            assert "claude-new" == model_asked_for(proxy, upstream)
            upstream.release()
            got = begun + answer.read()

        assert upstream.requests[0].sent == got
        assert b"message_stop" in got

    def test_a_connection_that_is_kept_alive_stays(self, serve, config_file, upstream):
        proxy = serve()
        with contextlib.closing(proxy.connect()) as connection:
            connection.request("GET", "/health")
            connection.getresponse().read()
            ours = connection.sock
            config_file(deployment={"model": "claude-new"})
            hang_up(proxy, TAKES_OVER)
            connection.request("POST", "/v1/messages", question(), {"x-api-key": MASTER_KEY})

            assert 200 == connection.getresponse().status
            assert ours is connection.sock
        assert "claude-new" == upstream.requests[-1].json["model"]

    def test_a_bad_file_changes_nothing_and_every_problem_is_told(self, serve, path, upstream):
        proxy = serve()
        path.write_text("deployments:\n  a: {provider: none}\naliases:\n  x: nowhere\n")
        hang_up(proxy, STAYS)

        problems = [line for line in proxy.lines if line.startswith(f"{path}:")]
        assert [f"{path}:2", f"{path}:4"] == [re.match(r".*?:\d+", each)[0] for each in problems]
        assert "claude-x" == model_asked_for(proxy, upstream)

    def test_asked_again_it_says_again_what_is_wrong(self, serve, path, config_file):
        proxy = serve()
        path.write_text("")
        hang_up(proxy, STAYS)
        hang_up(proxy, STAYS, 2)
        config_file()

        assert "claude-*, fast" == hang_up(proxy, TAKES_OVER)[1]

    def test_a_new_master_key_holds_from_the_next_request(self, serve, config_file, tmp_path):
        secret = tmp_path / "key"
        secret.write_text("sk-first-canary")
        proxy = serve(master_key="${file:key}")
        assert 200 == proxy.ask(path="/v1/models", key="sk-first-canary")[0]
        secret.write_text("sk-second-canary")
        hang_up(proxy, TAKES_OVER)

        assert 401 == proxy.ask(path="/v1/models", key="sk-first-canary")[0]
        assert 200 == proxy.ask(path="/v1/models", key="sk-second-canary")[0]
        assert "canary" not in proxy.output

    def test_credentials_are_read_anew(self, serve, config_file, tmp_path, upstream):
        secret = tmp_path / "upstream-key"
        secret.write_text("sk-wrong")
        proxy = serve(deployment={"api_key": "${file:upstream-key}"})
        assert 401 == proxy.ask("POST", "/v1/messages", question())[0]
        secret.write_text(UPSTREAM_KEY)
        hang_up(proxy, TAKES_OVER)

        assert 200 == proxy.ask("POST", "/v1/messages", question())[0]

    def test_limits_are_those_of_the_new_file(self, serve, config_file):
        proxy = serve()
        config_file(max_body_bytes=10)
        hang_up(proxy, TAKES_OVER)

        assert 413 == proxy.ask("POST", "/v1/messages", question())[0]

    def test_it_is_not_opened_to_other_machines_by_taking_the_key_out(self, serve, config_file):
        proxy = serve("--host", "0.0.0.0")
        config_file(master_key=None)
        hang_up(proxy, "There is no master key, so everyone who reaches 0.0.0.0")
        proxy.wait_for("^what was served before is served still$")

        assert 401 == proxy.ask(path="/v1/models", key="anything")[0]

    def test_where_it_listens_stays_and_that_is_told(self, serve, config_file):
        proxy = serve()
        config_file(host="0.0.0.0", port=1, log="json")
        hang_up(proxy, TAKES_OVER)

        said = "server.host, server.port, server.log: what is new here holds once"
        assert said in proxy.output
        assert 200 == proxy.ask()[0]

    def test_the_command_line_stands_above_the_new_file_too(self, serve, config_file):
        proxy = serve("--port", "0", "--log", "json")
        config_file(port=1, log="console")
        hang_up(proxy, TAKES_OVER)

        assert "what is new here" not in proxy.output

    def test_the_figures_and_the_log_go_on(self, serve, config_file):
        proxy = serve()
        proxy.ask("POST", "/v1/messages", question())
        config_file(deployment={"model": "claude-new"})
        hang_up(proxy, TAKES_OVER)
        proxy.ask("POST", "/v1/messages", question())
        proxy.wait_for("^time=.* outcome=answered", 2)
        _, metrics = proxy.ask(path="/metrics")

        calls = re.findall(rb"^llmroute_requests_total\{.*\} (.*)$", metrics, re.MULTILINE)
        assert 2 == sum(map(float, calls))

    def test_the_time_to_drain_is_that_of_the_new_file(self, serve, config_file, upstream):
        upstream.answer(text("One two three").stall(after_events=3))
        proxy = serve(drain=1_000)
        config_file(drain=0)
        hang_up(proxy, TAKES_OVER)
        with proxy.stream() as answer:
            answer.read(20)

            assert 0 == proxy.stop()

    def test_an_environment_cannot_be_loaded_again(self, programs, run, upstream):
        proxy = run(
            "serve",
            *("--port", 0),
            ANTHROPIC_API_KEY=UPSTREAM_KEY,
            ANTHROPIC_BASE_URL=upstream.url,
        )
        proxy.wait_for("ANTHROPIC_AUTH_TOKEN=")
        hang_up(proxy, "^what is served comes from the environment")

        assert 0 == proxy.stop()

    def test_without_its_terminal_it_ends(self, config_file, tmp_path):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*START, "serve", "--config", str(config_file())],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        ) as process:
            try:
                os.close(theirs)
                said = b""
                while b"ANTHROPIC_AUTH_TOKEN" not in said:
                    said += os.read(ours, 1024)
                # What has been answered is served by a process that heeds signals.
                port = int(re.search(rb"at http://\S+:(\d+)", said)[1])
                http = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
                http.request("GET", "/health")
                assert 200 == http.getresponse().status
                http.close()
                os.close(ours)

                assert 0 == process.wait(PATIENCE)
            finally:
                process.kill()


class TestWatch:
    @pytest.fixture
    def proxy(self, serve):
        return serve("--watch")

    def test_a_file_that_was_written_anew_takes_over(self, proxy, config_file, upstream):
        config_file(deployment={"model": "claude-new"})
        proxy.wait_for(TAKES_OVER)

        assert "claude-new" == model_asked_for(proxy, upstream)

    def test_a_file_that_was_replaced_takes_over(self, proxy, path, config_file, upstream):
        config_file("beside.yaml", deployment={"model": "claude-new"}).replace(path)
        proxy.wait_for(TAKES_OVER)

        assert "claude-new" == model_asked_for(proxy, upstream)

    def test_a_bad_file_is_told_of_and_the_next_good_one_takes_over(
        self, proxy, path, config_file, upstream
    ):
        path.write_text("deployments: {")
        proxy.wait_for(STAYS)
        assert "claude-x" == model_asked_for(proxy, upstream)
        config_file(deployment={"model": "claude-new"})
        proxy.wait_for(TAKES_OVER)

        assert "claude-new" == model_asked_for(proxy, upstream)
        assert 1 == proxy.output.count("cannot be used")

    def test_a_link_that_leads_elsewhere_takes_over(self, run, tmp_path, config_file):
        # As Kubernetes mounts a config map: the link in the middle is replaced.
        for version in ("first", "second"):
            (tmp_path / version).mkdir()
        config_file("first/llmroute.yaml")
        config_file("second/llmroute.yaml", deployment={"model": "claude-new"})
        (tmp_path / "data").symlink_to("first")
        (tmp_path / "llmroute.yaml").symlink_to("data/llmroute.yaml")
        program = run("serve", "--watch")
        program.wait_for("ANTHROPIC_AUTH_TOKEN=")
        (tmp_path / "new").symlink_to("second")
        (tmp_path / "new").replace(tmp_path / "data")

        assert program.wait_for(TAKES_OVER)

    def test_without_a_file_there_is_nothing_to_watch(self, run, upstream):
        program = run("serve", "--port", 0, "--watch", ANTHROPIC_API_KEY=UPSTREAM_KEY)

        program.wait_for("^there is no file to watch$")


class TestSource:
    """What `--watch` finds at each look, without its second in between."""

    @pytest.fixture
    def source(self, config_file, path):
        config_file(master_key="${file:key}")
        (path.parent / "key").write_text("sk-canary-one")
        (path.parent / "more.yaml").write_text("routing: {retries: 1}")
        path.write_text(json.dumps({**json.loads(path.read_text()), "include": ["more.yaml"]}))
        return Source(path, load_file(path), {}, watch=True)

    @staticmethod
    def looks(source, count=3):
        return [source.has_changed() for _ in range(count)]

    def test_nothing_changes_by_itself(self, source):
        assert [False, False, False] == self.looks(source)

    @pytest.mark.parametrize("name", ["llmroute.yaml", "more.yaml", "key"])
    def test_a_change_is_believed_at_the_second_look(self, source, path, name):
        file = path.parent / name
        file.write_text(file.read_text() + "\n")

        assert [False, True, True] == self.looks(source)
        assert source.load() is source.config
        assert [False, False, False] == self.looks(source)

    def test_a_file_that_is_still_being_written_is_waited_for(self, source, path):
        seen = []
        for _ in range(3):
            path.write_text(path.read_text() + "\n")
            seen.append(source.has_changed())

        assert [False, False, False] == seen
        assert source.has_changed()

    def test_a_bad_file_is_told_of_once(self, source, path, capsys):
        path.write_text("deployments: {")
        source.load()
        first = capsys.readouterr().err
        source.load()

        assert "cannot be used" in first
        assert "" == capsys.readouterr().err
        assert [False, False] == self.looks(source, 2)

    def test_another_problem_is_told_of_too(self, source, path, capsys):
        path.write_text("deployments: {")
        source.load()
        path.write_text("aliases: []")
        source.load()

        assert 2 == capsys.readouterr().err.count("cannot be used")

    def test_what_is_served_stays_while_the_file_is_bad(self, source, path):
        before = source.config
        path.write_text("")

        assert source.load() is None
        assert before is source.config

    def test_a_file_that_comes_to_be_mends_what_named_it(self, source, path):
        (path.parent / "key").unlink()
        assert source.load() is None
        (path.parent / "key").write_text("sk-canary-two")

        assert [False, True] == self.looks(source, 2)
        assert "sk-canary-two" == source.load().server.master_key.get_secret_value()

    def test_a_new_include_is_looked_at(self, source, path):
        (path.parent / "more.yaml").write_text("routing: {retries: 2}\ninclude: [yet.yaml]")
        (path.parent / "yet.yaml").write_text("")
        source.load()
        (path.parent / "yet.yaml").write_text("routing: {patience: 2}\n")

        assert [False, True] == self.looks(source, 2)

    def test_no_secret_is_shown_of_what_is_wrong(self, source, path, capsys):
        path.write_text(path.read_text().replace('"port": 0', '"port": "${file:key}"'))
        source.load()
        said = capsys.readouterr().err

        assert "server.port" in said
        assert "canary" not in said
