"""The records an org starts with: some 300, made from its seed, the same for the same seed.

Names, dates and amounts vary, and whatever may be empty sometimes is.
"""

import random  # noqa: TID251 - the seed decides shapes of records; nothing here is secret
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from orgsim.data import word_lists as words
from orgsim.data.fields import Scalar
from orgsim.data.standard_objects import (
    ACCOUNT_TYPES,
    INDUSTRIES,
    LEAD_SOURCES,
    PRIORITIES,
    SALUTATIONS,
    STAGES,
    TASK_STATUSES,
)
from orgsim.data.wire import stored_moment

CONTACTS = 48
OPPORTUNITIES = 36
TASKS = 214
_PAST_DAYS = 700
_T = TypeVar("_T")


class Keeper(Protocol):
    """Who takes the records: fills in what Salesforce fills in, and returns the new ID."""

    def __call__(self, kind: str, values: Mapping[str, Scalar], *, at: datetime, by: str) -> str:
        """Add a record."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Company:
    account_id: str
    site: str
    contacts: list[str]
    opportunities: list[str]


class Furnisher:
    """Makes one org's first records."""

    def __init__(self, *, seed: int, org_id: str, owners: Sequence[str], now: datetime) -> None:
        self._dice = random.Random(f"records:{seed}:{org_id}")  # noqa: S311 - not secret
        self._owners = owners
        self._now = now

    def furnish(self, keep: Keeper) -> None:
        """Make all records."""
        companies = self._accounts(keep)
        for _ in range(CONTACTS):
            self._contact(keep, self._pick(companies))
        for _ in range(OPPORTUNITIES):
            self._opportunity(keep, self._pick(companies))
        for _ in range(TASKS):
            self._task(keep, self._pick(companies))

    # -- choosing ---------------------------------------------------------------------------

    def _pick(self, choices: Sequence[_T]) -> _T:
        return self._dice.choice(choices)

    def _maybe(self, value: _T, *, chance: float = 0.8) -> _T | None:
        return value if self._dice.random() < chance else None

    def _past(self) -> datetime:
        return self._now - timedelta(minutes=self._dice.randrange(60, _PAST_DAYS * 24 * 60))

    def _day(self, *, first: int, last: int) -> str:
        """Return a day between so many days from today."""
        return (self._now + timedelta(days=self._dice.randint(first, last))).date().isoformat()

    def _phone(self) -> str:
        return f"+1 555 01{self._dice.randrange(100):02} {self._dice.randrange(1000):03}"

    # -- records ----------------------------------------------------------------------------

    def _accounts(self, keep: Keeper) -> list[_Company]:
        made: list[_Company] = []
        for name, site in words.COMPANIES:
            street, city, state, code, country = self._pick(words.CITIES)
            parent = self._pick(made).account_id if made else None
            values: dict[str, Scalar] = {
                "Name": name,
                "Type": self._maybe(self._pick(ACCOUNT_TYPES)),
                "ParentId": self._maybe(parent, chance=0.15),
                "BillingStreet": street,
                "BillingCity": city,
                "BillingState": state,
                "BillingPostalCode": code,
                "BillingCountry": country,
                "Phone": self._maybe(self._phone()),
                "AccountNumber": self._maybe(f"CD{self._dice.randrange(10**6):06}", chance=0.5),
                "Website": self._maybe(f"https://www.{site}.example"),
                "Industry": self._maybe(self._pick(INDUSTRIES), chance=0.9),
                "AnnualRevenue": self._maybe(float(self._dice.randrange(1, 400) * 250_000)),
                "NumberOfEmployees": self._maybe(self._dice.randrange(3, 20_000)),
                "Description": self._maybe(self._pick(words.NOTES), chance=0.4),
                "Rating": self._maybe(self._pick(("Hot", "Warm", "Cold")), chance=0.6),
            }
            account_id = self._keep(keep, "Account", values)
            made.append(_Company(account_id=account_id, site=site, contacts=[], opportunities=[]))
        return made

    def _contact(self, keep: Keeper, company: _Company) -> None:
        first, last = self._pick(words.FIRST_NAMES), self._pick(words.LAST_NAMES)
        local = "".join(
            sign for sign in f"{first}.{last}".lower() if sign.isascii() and sign not in " '"
        )
        number = self._dice.randrange(10, 99)
        values: dict[str, Scalar] = {
            "AccountId": self._maybe(company.account_id, chance=0.95),
            "FirstName": self._maybe(first, chance=0.95),
            "LastName": last,
            "Salutation": self._maybe(self._pick(SALUTATIONS), chance=0.5),
            "Email": self._maybe(f"{local}{number}@{company.site}.example", chance=0.9),
            "Phone": self._maybe(self._phone()),
            "MobilePhone": self._maybe(self._phone(), chance=0.4),
            "Title": self._maybe(self._pick(words.TITLES)),
            "Department": self._maybe(self._pick(words.DEPARTMENTS), chance=0.6),
            "LeadSource": self._maybe(self._pick(LEAD_SOURCES), chance=0.7),
            "Birthdate": self._maybe(self._day(first=-24_000, last=-8_000), chance=0.3),
            "ReportsToId": self._maybe(company.contacts[0], chance=0.4)
            if company.contacts
            else None,
            "HasOptedOutOfEmail": self._dice.random() < 0.1,  # noqa: PLR2004 - one in ten
        }
        company.contacts.append(self._keep(keep, "Contact", values))

    def _opportunity(self, keep: Keeper, company: _Company) -> None:
        stage = self._pick(tuple(STAGES))
        closed = STAGES[stage][2]
        values: dict[str, Scalar] = {
            "AccountId": company.account_id,
            "Name": f"{company.site.title()} - {self._pick(words.DEALS)}",
            "StageName": stage,
            "Amount": self._maybe(self._dice.randrange(50_000, 25_000_000) / 100, chance=0.9),
            "CloseDate": self._day(first=-200, last=-1) if closed else self._day(first=1, last=120),
            "Type": self._maybe(self._pick(("Existing Business", "New Business"))),
            "NextStep": None if closed else self._maybe(self._pick(words.STEPS), chance=0.6),
            "LeadSource": self._maybe(self._pick(LEAD_SOURCES), chance=0.7),
            "Description": self._maybe(self._pick(words.NOTES), chance=0.3),
            "ContactId": self._maybe(self._pick(company.contacts), chance=0.5)
            if company.contacts
            else None,
        }
        company.opportunities.append(self._keep(keep, "Opportunity", values))

    def _task(self, keep: Keeper, company: _Company) -> None:
        related = [company.account_id, *company.opportunities]
        values: dict[str, Scalar] = {
            "Subject": self._pick(words.SUBJECTS),
            "WhatId": self._maybe(self._pick(related), chance=0.85),
            "WhoId": self._maybe(self._pick(company.contacts), chance=0.7)
            if company.contacts
            else None,
            "ActivityDate": self._maybe(self._day(first=-90, last=60), chance=0.9),
            "Status": self._pick(TASK_STATUSES),
            "Priority": self._pick(PRIORITIES),
            "Description": self._maybe(self._pick(words.NOTES), chance=0.2),
        }
        self._keep(keep, "Task", values)

    def _keep(self, keep: Keeper, kind: str, values: Mapping[str, Scalar]) -> str:
        owner = self._pick(self._owners)
        return keep(kind, {**values, "OwnerId": owner}, at=self._past(), by=owner)


def audit_values(*, at: datetime, by: str) -> dict[str, Scalar]:
    """Return who made a record and when, as it is stored."""
    moment = stored_moment(at)
    return {
        "CreatedDate": moment,
        "CreatedById": by,
        "LastModifiedDate": moment,
        "LastModifiedById": by,
        "SystemModstamp": moment,
    }
