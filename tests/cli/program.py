"""`llmroute` as its users run it: a process whose output is read line by line."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

START = [sys.executable, "-W", "error", "-c", "from llmroute_cli.main import main; main()"]
PATIENCE = 20.0
MASTER_KEY = "sk-master-canary"
UPSTREAM_KEY = "sk-upstream-canary"


class Program:
    """A running `llmroute`, and the lines that it has printed, on stdout and stderr alike."""

    def __init__(self, arguments, environ, folder):
        self.process = subprocess.Popen(
            [*START, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self._printed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._printed:
                self.lines.append(line.rstrip("\n"))
                self._printed.notify_all()
        with self._printed:
            self._printed.notify_all()

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, pattern, count=1):
        """Return the `count`th match of `pattern` in what is printed, once it is there."""

        def found():
            matches = list(re.finditer(pattern, self.output, re.MULTILINE))
            return matches[count - 1] if len(matches) >= count else None

        with self._printed:
            assert self._printed.wait_for(
                lambda: found() or not self._reader.is_alive(), PATIENCE
            ), self.output
        assert found(), self.output
        return found()

    def wait(self):
        """Return the exit status, once it has ended and all it printed has been read."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        self.process.stdout.close()


class Served(Program):
    """A proxy that takes connections."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        try:
            address = self.wait_for(r"serves .* at (http://(\S+):(\d+))$")
        except BaseException:
            self.close()
            raise
        self.url = address[1]
        self.port = int(address[3])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method="GET", path="/health", body=None, key=MASTER_KEY):
        connection = self.connect()
        try:
            connection.request(method, path, body, {"x-api-key": key})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @contextlib.contextmanager
    def stream(self):
        """Yield an answer that has begun to stream."""
        with contextlib.closing(self.connect()) as connection:
            body = question(stream=True)
            connection.request("POST", "/v1/messages", body, {"x-api-key": MASTER_KEY})
            with connection.getresponse() as answer:
                yield answer


def question(model="claude-x", **members):
    messages = [{"role": "user", "content": "A secret thing to say."}]
    return json.dumps({"model": model, "max_tokens": 9, "messages": messages, **members})


def eventually(is_so):
    """Wait until `is_so()`, which nothing announces."""
    end = time.monotonic() + PATIENCE
    while not (found := is_so()):
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)
    return found


def is_refused(port):
    """Say whether a connection to `port` is refused."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False
