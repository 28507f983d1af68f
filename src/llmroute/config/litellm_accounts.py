"""What a LiteLLM file says of its database, of budgets and of limits → our settings.

Its keys and teams stand in no file.
"""

from __future__ import annotations

import math
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from llmroute.config.accounts import Accounts, BudgetSettings, LimitSettings, UsageSettings
from llmroute.config.document import Document, Path
from llmroute.config.durations import duration, window
from llmroute.config.extras import check_accounts, check_database
from llmroute.config.litellm_model import GeneralSettings, LitellmSettings
from llmroute.config.model import Sharing
from llmroute.config.validation import validated

__all__ = ["accounts", "database"]

# What Prisma, which LiteLLM speaks to PostgreSQL by, has in an address, and PostgreSQL does not.
_PRISMAS = frozenset(
    """
    connection_limit pgbouncer pool_timeout schema socket_timeout sslaccept sslidentity sslpassword
    statement_cache_size
    """.split()  # noqa: SIM905 - as in the other tables of names
)
_DAY = timedelta(days=1)


def database(document: Document, general: GeneralSettings) -> SecretStr | None:
    """Return the address of the database; `None` if there is none."""
    place: Path = ("general_settings", "database_url")
    if general.database_url is None:
        return None
    given = SecretStr(_without_prisma(general.database_url.get_secret_value()))
    sharing = validated(document, Sharing, {"database": given}, (), origins={"database": place})
    found = sharing.database if sharing else None
    check_database(document, found, place)
    return found


def _without_prisma(url: str) -> str:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return url  # which is then reported
    schema = next((value for name, value in query if name == "schema"), "public")
    kept = [(name, value) for name, value in query if name not in _PRISMAS]
    if schema != "public":
        kept.append(("options", f"-csearch_path={schema}"))
    # An address of which nothing is taken out stays as it is.
    return url if kept == query else urlunsplit(parts._replace(query=urlencode(kept)))


def accounts(document: Document, own: LitellmSettings, general: GeneralSettings) -> Accounts:
    """Return the budget and the limit for all calls, and how long usage is kept."""
    retention = _days(document, general.maximum_spend_logs_retention_period)
    away = "refuse" if general.allow_requests_on_db_unavailable is False else "allow"
    made = Accounts(
        budgets=_budgets(document, own),
        limits=LimitSettings(parallel=general.global_max_parallel_requests),
        usage=UsageSettings(
            retention_days=retention,
            records=not general.disable_spend_logs,
            when_store_fails=away,
        ),
    )
    named = "max_budget" if own.max_budget is not None else "global_max_parallel_requests"
    section = "litellm_settings" if own.max_budget is not None else "general_settings"
    check_accounts(document, made, (section, named))
    return made


def _budgets(document: Document, own: LitellmSettings) -> tuple[BudgetSettings, ...]:
    at: Path = ("litellm_settings", "budget_duration")
    if own.max_budget is None:
        if own.budget_duration is not None:
            document.warn(at, "ignored: no max_budget is named")
        return ()
    settings = {"amount": own.max_budget, "period": "total"}
    if own.budget_duration is not None:
        length = _duration(document, own.budget_duration, at)
        if length is None:
            return ()
        settings["period"], is_exact = window(length)
        if not is_exact:
            text = (
                f"taken as a {settings['period']}" if length < 180 * _DAY else "taken as for good"
            )
            document.warn(at, f"{text}: budgets are for a day, a week, a month, or for good")
    origins: dict[str, Path] = {"amount": ("litellm_settings", "max_budget")}
    budget = validated(document, BudgetSettings, settings, at, origins=origins)
    return () if budget is None else (budget,)


def _days(document: Document, period: str | None) -> int | None:
    at: Path = ("general_settings", "maximum_spend_logs_retention_period")
    length = None if period is None else _duration(document, period, at)
    if length is None:
        return None
    days = math.ceil(length / _DAY)
    if days * _DAY != length:
        document.warn(at, f"taken as {days}d: usage is kept for whole days")
    return days


def _duration(document: Document, text: str, at: Path) -> timedelta | None:
    try:
        return duration(text)
    except ValueError as error:
        document.wrong(at, str(error))
        return None
