"""nginx as the yardstick: what a proxy of one core can do when it looks at nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["configuration", "find"]

_PACKAGES = ("nginx", "nginx-core", "nginx-light")  # which one has the binary differs by release


def find(cache: Path) -> str | None:
    """The path of an nginx, or None.

    Where none is installed, the distribution's package is downloaded and unpacked into `cache`;
    nothing is installed and no service is started.
    """
    installed = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed:
        return installed
    unpacked = cache / "usr/sbin/nginx"
    if not unpacked.exists() and shutil.which("apt-get") and shutil.which("dpkg"):
        cache.mkdir(parents=True, exist_ok=True)
        if not _unpack(cache, unpacked) and os.geteuid() == 0:
            _succeeds("apt-get", "update", "-qq")
            _unpack(cache, unpacked)
    works = unpacked.exists() and _succeeds(str(unpacked), "-v")
    return str(unpacked) if works else None


def _unpack(cache: Path, wanted: Path) -> bool:
    for package in _PACKAGES:
        if _succeeds("apt-get", "download", package, cwd=cache):
            for archive in cache.glob("*.deb"):
                _succeeds("dpkg", "-x", str(archive), str(cache))
                archive.unlink()
        if wanted.exists():
            return True
    return False


def _succeeds(*command: str, cwd: Path | None = None) -> bool:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def configuration(port: int, upstream_port: int, folder: Path) -> str:
    """A plain `proxy_pass`: one worker, connections kept, nothing buffered, nothing logged."""
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"    {name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
{temporary}
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    upstream messages {{
        server 127.0.0.1:{upstream_port};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://messages;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""
