"""Importing is quick and quiet: no socket, and nothing heavy before it is used."""

import json
import subprocess
import sys

import pytest

# Runs in a fresh interpreter: prints the socket events and the modules that an import brought.
PROBE = """
import json, sys
events = []
sys.addaudithook(lambda event, args: events.append(event) if event.startswith("socket.") else None)
__import__(sys.argv[1])
json.dump({"events": events, "modules": sorted(sys.modules)}, sys.stdout)
"""
HEAVY = {"boto3", "google.auth", "httpx", "prometheus_client", "uvicorn", "uvloop"}


def after_importing(module):
    probe = [sys.executable, "-I", "-c", PROBE, module]
    found = json.loads(subprocess.run(probe, check=True, capture_output=True, timeout=30).stdout)
    return found["events"], set(found["modules"])


@pytest.mark.parametrize("module", ["llmroute", "llmroute.asgi", "llmroute.sync"])
def test_importing_the_library_touches_no_network_and_nothing_heavy(module):
    events, modules = after_importing(module)

    assert [] == events
    assert set() == modules & (HEAVY | {"typer", "llmroute.testing"})


def test_importing_the_cli_touches_no_network_and_nothing_heavy():
    events, modules = after_importing("llmroute_cli.main")

    assert [] == events
    assert set() == modules & HEAVY


def test_the_probe_sees_what_an_import_brings():
    events, modules = after_importing("httpx")

    assert "httpx" in modules
    assert isinstance(events, list)


def test_the_probe_sees_sockets(tmp_path):
    offender = tmp_path / "offender.py"
    offender.write_text("import socket\nsocket.socket().close()\n")
    probe = PROBE.replace("events = []", f"events = []; sys.path.insert(0, {str(tmp_path)!r})")
    command = [sys.executable, "-I", "-c", probe, "offender"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)

    assert ["socket.__new__"] == found["events"]
