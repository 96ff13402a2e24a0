"""What Acme does in a customer's org: shows people and deals, and tells what happened here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from acme.usage import usage_of
from keyturn import AsyncConnectionHandle, SaveResults

_CONTACTS: Final = "SELECT Id, Name, Title, Email, Account.Name FROM Contact ORDER BY Name LIMIT 25"
_OPPORTUNITIES: Final = (
    "SELECT Id, Name, StageName, Amount, CloseDate, AccountId, Account.Name"
    " FROM Opportunity ORDER BY CloseDate LIMIT 25"
)
_ACCOUNTS: Final = "SELECT Id FROM Account ORDER BY Name LIMIT 200"
_NOTHING: Final = "—"


class NothingThere(Exception):
    """The org has no record that this could be about; the text says of which kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person, as the page shows them."""

    id: str
    name: str
    title: str
    email: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """A deal, as the page shows it."""

    id: str
    name: str
    stage: str
    amount: str
    closes: str
    account_id: str | None
    account: str


async def contacts(org: AsyncConnectionHandle) -> list[Contact]:
    """Return the first people of the org by name."""
    return [
        Contact(
            id=record["Id"],
            name=_text(record, "Name"),
            title=_text(record, "Title"),
            email=_text(record, "Email"),
            account=_parent(record),
        )
        async for record in org.pull.query(_CONTACTS)
    ]


async def opportunities(org: AsyncConnectionHandle) -> list[Opportunity]:
    """Return the deals of the org that close first."""
    return [
        Opportunity(
            id=record["Id"],
            name=_text(record, "Name"),
            stage=_text(record, "StageName"),
            amount=_amount(record.get("Amount")),
            closes=_text(record, "CloseDate"),
            account_id=record.get("AccountId"),
            account=_parent(record),
        )
        async for record in org.pull.query(_OPPORTUNITIES)
    ]


async def push_usage(org: AsyncConnectionHandle, day: date) -> SaveResults:
    """Write how much each account used Acme on a day; doing it again updates."""
    records = [usage_of(account["Id"], day).record() async for account in org.pull.query(_ACCOUNTS)]
    return await org.push.upsert("Usage__c", records, external_id="Key__c")


async def log_activity(org: AsyncConnectionHandle, day: date, contact_id: str | None) -> str:
    """Log that somebody worked with Acme, as a Task of that contact; return the contact's name.

    Raises:
        NothingThere: the org has no such contact.
    """
    found = [one for one in await contacts(org) if contact_id in {None, one.id}]
    if not found:
        raise NothingThere("contact")
    await org.push.log_activity(
        who_id=found[0].id,
        subject="Exported a report in Acme",
        description="Logged by Acme.",
        activity_date=day,
    )
    return found[0].name


async def raise_alert(org: AsyncConnectionHandle) -> str:
    """Say that a renewal needs care: an event for programs, a flow for people.

    Returns the account's name.

    Raises:
        NothingThere: no deal of the org has an account.
    """
    for deal in await opportunities(org):
        if deal.account_id is not None:
            message = f"{deal.account} used Acme less than last month."
            alert = {"Account__c": deal.account_id, "Message__c": message}
            await org.trigger.event("Renewal_Alert__e", alert)
            await org.trigger.flow("Renewal_Alert", {"accountId": deal.account_id})
            return deal.account
    raise NothingThere("opportunity")


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return _NOTHING if value in {None, ""} else str(value)


def _parent(record: Mapping[str, Any]) -> str:
    account = record.get("Account")
    return _text(account, "Name") if isinstance(account, Mapping) else _NOTHING


def _amount(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else _NOTHING
