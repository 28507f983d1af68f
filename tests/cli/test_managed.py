"""Keys managed over HTTP at one proxy, and used at another with the same database."""

from __future__ import annotations

import httpx

from .program import MASTER_KEY, eventually, question


def test_a_key_made_at_one_proxy_is_known_to_all_and_a_blocked_one_to_none(
    serve, upstream, tmp_path
):
    one, other = serve(), serve()
    admin = httpx.Client(base_url=one.url, headers={"x-api-key": MASTER_KEY}, timeout=20)
    with admin:
        made = admin.post(
            "/key/generate", json={"key_alias": "ci/nightly", "models": ["claude-*"]}
        ).json()
        key = made["key"]

        def status(proxy, path="/v1/messages"):
            return proxy.ask("POST", path, question(), key)[0]

        answered = [status(proxy) for proxy in (one, other)]
        admin.post("/key/block", json={"key": key}).raise_for_status()
        here = status(one)
        eventually(lambda: status(other) == 403)
        admin.post("/llmroute/keys/ci%2Fnightly/unblock").raise_for_status()
        again = status(one)
        drawn = admin.post("/llmroute/keys/ci%2Fnightly/rotate").json()["key"]
        admin.delete("/llmroute/keys/ci%2Fnightly").raise_for_status()
        eventually(lambda: status(other) == 401)
        trail = admin.get("/llmroute/audit").json()["changes"]

    assert [200, 200] == answered
    assert (403, 200, 401) == (here, again, status(one))
    assert ["delete", "rotate", "unblock", "block", "create"] == [each["action"] for each in trail]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    printed = one.output + other.output
    for secret in (key, drawn):
        assert secret not in printed
        assert secret.encode() not in kept
