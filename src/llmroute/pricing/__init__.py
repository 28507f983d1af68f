"""What a call costs: rates from the configuration or a price list, and the bill for a usage.

Money is in micro-dollars (millionths of a US dollar).  A price of one dollar for a million tokens
is one micro-dollar a token.  A price that nobody knows is `None`, and never zero.
"""

from __future__ import annotations

from llmroute.pricing.bill import Bill, Line, bill, cost, itemised, saved
from llmroute.pricing.listed import Override, load, loaded, tariff
from llmroute.pricing.rates import Rates, Tariff

__all__ = [
    "Bill",
    "Line",
    "Override",
    "Rates",
    "Tariff",
    "bill",
    "cost",
    "itemised",
    "load",
    "loaded",
    "saved",
    "tariff",
]
