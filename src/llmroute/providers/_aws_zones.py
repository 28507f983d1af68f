"""The parts of AWS that are apart from one another, each with domains of its own."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ZONES", "Zone"]


class Zone(NamedTuple):
    """The domains of a part of AWS.

    Attributes:
        start: How its regions begin.
        domain: That of the endpoints.
        api_domain: That of the endpoints which have IPv6 as well, and of the newer services.
    """

    start: str
    domain: str
    api_domain: str


ZONES = (
    Zone("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    Zone("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    Zone("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    Zone("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    Zone("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    Zone("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    Zone("", "amazonaws.com", "api.aws"),
)
"""Every part of AWS, the one that holds all other regions last; botocore has the same table."""
