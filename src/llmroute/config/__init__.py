"""The configuration: two dialects of YAML, or the environment, into one frozen `Config`."""

from __future__ import annotations

from llmroute.config.load import load_dict, load_env, load_file
from llmroute.config.model import Alias, Config, Hedge, Price, Safeguards, Server
from llmroute.config.origin import Origin, Place

__all__ = [
    "Alias",
    "Config",
    "Hedge",
    "Origin",
    "Place",
    "Price",
    "Safeguards",
    "Server",
    "load_dict",
    "load_env",
    "load_file",
]
