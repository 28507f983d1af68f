"""Which aliases a key may ask for."""

from __future__ import annotations

from llmroute.accounts.gate import Asked, Hold
from llmroute.errors import ForbiddenError

__all__ = ["Access"]


class Access:
    """The gate of the aliases."""

    async def admit(self, asked: Asked) -> Hold | None:
        """Let a call through if its key, and the key's team, may ask for the model.

        Raises:
            ForbiddenError: It may not.
        """
        key, model = asked.key, asked.call.model
        if key is not None and not key.may_ask_for(model):
            lists = (key.aliases, key.team.aliases if key.team else ())
            allowed = " and ".join(", ".join(names) for names in lists if names)
            raise ForbiddenError(
                f"The key {key.name!r} may not ask for {model!r}. It may ask for: {allowed}. "
                "Choose one of these (in Claude Code: /model), or ask whoever runs this llmroute "
                "proxy."
            )
        return None
