"""The configuration: two dialects of YAML, or the environment, into one frozen `Config`."""

from __future__ import annotations

from llmroute.config.load import load_dict, load_env, load_file
from llmroute.config.model import Alias, Config, Price, Server
from llmroute.config.schema import json_schema

__all__ = [
    "Alias",
    "Config",
    "Price",
    "Server",
    "json_schema",
    "load_dict",
    "load_env",
    "load_file",
]
