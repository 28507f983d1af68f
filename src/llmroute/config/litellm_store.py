"""LiteLLM's settings for Redis → the address of our store."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.extras import check_store
from llmroute.config.litellm_model import RouterSettings
from llmroute.config.model import Sharing
from llmroute.config.validation import validated

__all__ = ["store"]

_PARTS = ("redis_port", "redis_password", "redis_username", "redis_db", "redis_ssl")


def store(document: Document, router: RouterSettings) -> SecretStr | None:
    """Return the address of what several proxies share; `None` if each knows its own."""
    at: Path = ("router_settings",)
    if router.redis_url is not None:
        name, url = "redis_url", router.redis_url
    elif router.redis_host is not None:
        name, url = "redis_host", SecretStr(_address(router, router.redis_host))
    else:
        for part in sorted(router.model_fields_set & set(_PARTS)):
            document.warn((*at, part), "ignored: no redis_host is named")
        return None
    place = (*at, name)
    sharing = validated(document, Sharing, {"store": url}, at, origins={"store": place})
    found = sharing.store if sharing else None
    check_store(document, found, place)
    return found if document.credentials else None


def _address(router: RouterSettings, host: str) -> str:
    password = router.redis_password.get_secret_value() if router.redis_password else ""
    who = f"{quote(router.redis_username or '', safe='')}:{quote(password, safe='')}@"
    scheme = "rediss" if router.redis_ssl else "redis"
    inside = f"[{host}]" if ":" in host else host
    return (
        f"{scheme}://{who if len(who) > len(':@') else ''}{inside}"
        f":{router.redis_port}/{router.redis_db}"
    )
