"""A fake of AWS's token service, which hands out keys for a fake Bedrock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from llmroute.testing._sigv4 import AwsKey, Refused, signer_of
from llmroute.testing.answer import Answer
from llmroute.testing.answers import raw
from llmroute.testing.bedrock import FakeBedrock
from llmroute.testing.received import Received
from llmroute.testing.upstream import FakeUpstream

__all__ = ["FakeSts"]

_RESPONSE = """\
<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<{action}Result><AssumedRoleUser>
<AssumedRoleId>AROAFAKE:{session}</AssumedRoleId><Arn>{arn}</Arn>
</AssumedRoleUser><Credentials>
<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration>
</Credentials></{action}Result>
<ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata>
</{action}Response>"""
_REFUSAL = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{message}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"""


class FakeSts(FakeUpstream):
    """AWS's token service on 127.0.0.1: `AssumeRole`, signed, and `AssumeRoleWithWebIdentity`.

    The keys it hands out may sign for `bedrock` until they expire.

    Attributes:
        assumed: The parameters of each role that was handed out, in order.
        lifetime: Seconds until the next keys expire.
        external_id: Demanded of those who assume a role, if set.
        web_identity: The token that is taken as an identity.
    """

    def __init__(
        self, bedrock: FakeBedrock, *, port: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(port=port)
        self.assumed: list[dict[str, str]] = []
        self.lifetime = 3600.0
        self.external_id: str | None = None
        self.web_identity = "fake-identity"
        self._bedrock = bedrock
        self._now = clock

    def _chosen(self, received: Received, problem: str) -> Answer:
        del problem
        given = dict(parse_qsl(received.body.decode()))
        action = given.get("Action", "")
        role = given.get("RoleArn", "")
        if action == "AssumeRole":
            try:
                signer_of(
                    received,
                    self._bedrock.keys,
                    service="sts",
                    region=self._bedrock.region,
                    now=self._now(),
                )
            except Refused as refused:
                return self._refused("InvalidClientTokenId", str(refused))
            if self.external_id is not None and given.get("ExternalId") != self.external_id:
                return self._refused(
                    "AccessDenied",
                    "User: arn:aws:iam::123456789012:user/gateway is not authorized to perform:"
                    f" sts:AssumeRole on resource: {role}",
                )
        elif action == "AssumeRoleWithWebIdentity":
            if given.get("WebIdentityToken") != self.web_identity:
                return self._refused(
                    "InvalidIdentityToken", "The web identity token could not be validated", 400
                )
        else:
            return self._refused("InvalidAction", f"Could not find operation {action}", 400)
        return self._handed_out(action, given)

    def _handed_out(self, action: str, given: dict[str, str]) -> Answer:
        self.assumed.append(given)
        count = len(self.assumed)
        key_id, expires = f"ASIAFAKE{count}", self._now() + self.lifetime
        key = AwsKey(f"role-secret-{count}", f"role-token-{count}", expires)
        self._bedrock.keys[key_id] = key
        text = _RESPONSE.format(
            action=action,
            session=given["RoleSessionName"],
            arn=f"arn:aws:sts::123456789012:assumed-role/gateway/{given['RoleSessionName']}",
            key=key_id,
            secret=key.secret,
            token=key.token,
            expires=datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return raw(200, [("content-type", "text/xml")], text.encode())

    def _refused(self, code: str, message: str, status: int = 403) -> Answer:
        text = _REFUSAL.format(code=code, message=message)
        return raw(status, [("content-type", "text/xml")], text.encode())
