"""Warnings of the library stand in the log as lines of their own."""

import json
import logging
import re

import pytest

from llmroute_cli.notices import log_warnings, silenced


@pytest.fixture(autouse=True)
def restored():
    log = logging.getLogger("llmroute")
    before = log.handlers
    yield
    log.handlers = before


def warned(capsys, *, as_json):
    log_warnings(as_json=as_json)
    log_warnings(as_json=as_json)  # a second server in the process adds no second line
    logging.getLogger("llmroute").warning("%s: refused", 'c.yaml:3: "x"')
    return capsys.readouterr().err


def test_for_people(capsys):
    line = r'time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ level=warning c\.yaml:3: "x": refused\n'

    assert re.fullmatch(line, warned(capsys, as_json=False))


def test_for_machines(capsys):
    fields = json.loads(warned(capsys, as_json=True))

    assert ["time", "level", "message"] == list(fields)
    assert ("warning", 'c.yaml:3: "x": refused') == (fields["level"], fields["message"])


def test_a_command_may_speak_alone(capsys):
    log_warnings(as_json=False)
    with silenced():
        logging.getLogger("llmroute").warning("unheard")
    logging.getLogger("llmroute").warning("heard")

    assert ["level=warning", "heard"] == capsys.readouterr().err.split()[1:]
