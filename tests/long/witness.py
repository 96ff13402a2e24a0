"""What the orgs' journal and the audit say about refresh tokens that were presented.

Written from design section 5. The journal is the orgs' and knows nothing of the audit: a token is
there by a hash of the org's, in the audit by one of the service's. Both are in the order in which
the tokens came to be, since only a token that was presented is followed by another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PRESENTED: Final = ("token.presented", "token.presented_again")
# Each of these says of one attempt that its token was not used up by it.
_UNSPENT: Final = frozenset({"token.not_presented", "token.not_processed", "token.refused"})
_DECIDED: Final = "token.decided_to_present_again"
_LATE: Final = "token.presented_late"
KINDS: Final = (*PRESENTED, *sorted(_UNSPENT), _DECIDED, _LATE)


@dataclass
class Verdict:
    """What was found: each violation in words, and what was counted on the way."""

    tokens: int = 0
    presentations: int = 0
    twice: int = 0
    decisions: int = 0
    late: int = 0
    twice_in_window: int = 0
    violations: list[str] = field(default_factory=list)


def judge(
    journal: Sequence[Mapping[str, Any]],
    audit: Mapping[str, Sequence[Mapping[str, Any]]],
    org_of: Mapping[str, str],
) -> Verdict:
    """Compare the journal of the orgs with the audit events of each connection."""
    verdict = Verdict()
    for connection, org in org_of.items():
        seen = [entry for entry in journal if entry["org_id"] == org and entry["token_ref"]]
        _judge_one(verdict, connection, seen, audit[connection])
    return verdict


def _judge_one(
    verdict: Verdict,
    connection: str,
    seen: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> None:
    order = list(dict.fromkeys(entry["token_ref"] for entry in seen))
    times = Counter(entry["token_ref"] for entry in seen)
    noted, of_hash = _by_token(events)
    verdict.tokens += len(order)
    verdict.presentations += len(seen)
    verdict.late += sum(event["type"] == _LATE for event in events)
    verdict.decisions += sum(event["type"] == _DECIDED for event in events)
    if len(noted) < len(order):
        verdict.violations.append(
            f"{connection}: the org saw {len(order)} tokens, the audit knows of {len(noted)}"
        )
    for reference, hashed in zip(order, noted, strict=False):
        what = Counter(of_hash[hashed])
        presented = times[reference]
        on_record = sum(what[kind] for kind in PRESENTED)
        if presented > on_record:
            verdict.violations.append(
                f"{connection}: a token was presented {presented} times, {on_record} on record"
            )
        if presented == 1:
            continue
        verdict.twice += 1
        # A token is decided about once (design 5.8): another decision on record allows nothing.
        allowed = 1 + min(what[_DECIDED], 1) + sum(what[kind] for kind in _UNSPENT)
        if presented > allowed and what[_LATE]:
            verdict.twice_in_window += 1
        elif presented > allowed:
            verdict.violations.append(
                f"{connection}: a token was presented {presented} times without a decision:"
                f" {dict(what)}, the org said {_said(seen, reference)}"
            )


def _said(seen: Iterable[Mapping[str, Any]], reference: str) -> list[str]:
    return [
        f"{entry['n']}: {entry['status']} {entry['error'] or ''} {entry['fault'] or ''}".strip()
        for entry in seen
        if entry["token_ref"] == reference
    ]


def _by_token(events: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the tokens by their hashes, in order of generation, and what is on record of each."""
    hash_of: dict[str, str] = {}
    generation_of: dict[str, int] = {}
    for event in events:
        if event["type"] in PRESENTED:
            detail = event["detail"]
            hash_of[detail["attempt_id"]] = detail["token_hash"]
            generation_of.setdefault(detail["token_hash"], detail["generation"])
    of_hash: dict[str, list[str]] = defaultdict(list)
    for event in events:
        hashed = hash_of.get(event["detail"]["attempt_id"])
        if hashed is not None:
            of_hash[hashed].append(event["type"])
    return sorted(generation_of, key=generation_of.__getitem__), of_hash
