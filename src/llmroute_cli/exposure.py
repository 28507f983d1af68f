"""Whom a proxy would let in."""

from __future__ import annotations

import ipaddress

from llmroute.config import Config

__all__ = ["exposed"]


def exposed(config: Config) -> str:
    """Say what is wrong where other machines could use it without a key; `""` if they cannot.

    Keys of the database guard nothing by themselves: they come and go while it serves.
    """
    server = config.server
    if server.master_key is not None or config.accounts.keys or _is_loopback(server.host):
        return ""
    return (
        f"There is no master key, so everyone who reaches {server.host} could use your providers' "
        "keys: set LLMROUTE_MASTER_KEY (or server.master_key) to a secret of your own, or listen "
        "on 127.0.0.1."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
