"""Token sets at rest, and the attempts to renew them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    Update,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.claims import FREE
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.order import change_in_order
from keyturn_service.adapters.sql.org_holds import hold_org
from keyturn_service.adapters.sql.revocations import SealedJob
from keyturn_service.adapters.sql.rows import (
    attempt_of,
    attempt_values,
    connection_of,
    connection_values,
)
from keyturn_service.adapters.sql.standing import hold_connection, say, stopped
from keyturn_service.adapters.sql.tables import (
    attempts,
    connections,
    refresh_leases,
    token_sets,
)
from keyturn_service.adapters.sql.types import Moment
from keyturn_service.domain.attempt import ELSEWHERE, Attempt, AttemptOutcome
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.ids import AttemptId, ConnectionId, SpoolId, WorkspaceId
from keyturn_service.domain.incident import PROBLEM
from keyturn_service.ports import StaleWrite, ToRevoke
from keyturn_service.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class SqlTokenStore:
    """`ports.TokenStore`."""

    database: Database
    vault: Vault

    async def load(self, connection_id: ConnectionId) -> tuple[Connection, TokenSet] | None:
        """Return the connection with its token set, opened; None without a token set."""
        async with self.database.read() as reading:
            row = (await reading.execute(_loading.where(connections.c.id == connection_id))).first()
        if row is None:
            return None
        return connection_of(row), await opened_tokens(self.vault, row.workspace_id, row)

    async def prepare(self, workspace_id: WorkspaceId) -> None:
        """Have a data key of the workspace open for what is to be kept soon."""
        await self.vault.prepare(workspace_id)

    async def begin_attempt(self, attempt: Attempt) -> None:
        """Commit the intent.

        Raises:
            StaleWrite: generation or fence is not in force any more, or the connection ends.
        """
        held = _Held(attempt.connection_id, attempt.generation, attempt.fence)
        asked = select(connections.c.id).where(_in_force(held))
        async with self.database.write() as writing:
            await _hold_fence(writing, held)
            if (await writing.execute(asked.with_for_update())).first() is None:
                raise StaleWrite(attempt.id)
            await writing.execute(insert(attempts).values(**attempt_values(attempt)))

    async def foresee(self, attempt: Attempt) -> None:
        """Keep an open attempt at a generation that is not in force yet, unless it is kept.

        Raises:
            StaleWrite: the fence is not in force any more.
        """
        held = _Held(attempt.connection_id, attempt.generation, attempt.fence)
        dialect = sqlite if self.database.is_sqlite else postgresql
        keeping = dialect.insert(attempts).values(**attempt_values(attempt))
        async with self.database.write() as writing:
            if not await _hold_fence(writing, held):
                raise StaleWrite(attempt.id)
            await writing.execute(keeping.on_conflict_do_nothing(index_elements=[attempts.c.id]))

    async def attempt(self, attempt_id: AttemptId) -> Attempt | None:
        """Return an attempt, ended or not."""
        return await self._first(select(attempts).where(attempts.c.id == attempt_id))

    async def known(self, attempt_ids: Sequence[AttemptId]) -> frozenset[AttemptId]:
        """Return those of the attempts that are kept."""
        asked = select(attempts.c.id).where(attempts.c.id.in_(attempt_ids))
        async with self.database.read() as reading:
            return frozenset(AttemptId(one) for one in (await reading.execute(asked)).scalars())

    async def open_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the latest attempt at the generation in force that may have used its token up.

        The one that presented it again comes first: journals replayed it in any order. Where
        there is none, one at a later generation, which is not in force yet or any more.
        """
        asked = (
            select(attempts)
            .join(connections, connections.c.id == attempts.c.connection_id)
            .where(
                attempts.c.connection_id == connection_id,
                attempts.c.generation >= connections.c.generation,
                or_(
                    attempts.c.outcome.is_(None),
                    attempts.c.outcome.in_((AttemptOutcome.UNKNOWN, AttemptOutcome.STORED)),
                ),
            )
            .order_by(
                attempts.c.generation > connections.c.generation,
                attempts.c.presented_again.desc(),
                *_LATEST_FIRST,
            )
            .limit(1)
        )
        return await self._first(asked)

    async def latest_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the latest attempt at the generation in force, however it ended."""
        asked = (
            select(attempts)
            .join(connections, connections.c.id == attempts.c.connection_id)
            .where(
                attempts.c.connection_id == connection_id,
                attempts.c.generation == connections.c.generation,
            )
            .order_by(*_LATEST_FIRST)
            .limit(1)
        )
        return await self._first(asked)

    async def rate_refusal(self, connection: Connection) -> Attempt | None:
        """Return the latest attempt that was refused as its user had logged in too often."""
        asked = (
            select(attempts)
            .join(connections, connections.c.id == attempts.c.connection_id)
            .where(
                connections.c.org_id == connection.org_id,
                connections.c.user_id == connection.user.id,
                connections.c.problem == literal_column("'login_rate_exceeded'"),  # the index's
                attempts.c.generation == connections.c.generation,
                attempts.c.outcome == AttemptOutcome.REFUSED,
                attempts.c.retry_at.is_not(None),
            )
            .order_by(attempts.c.retry_at.desc())
            .limit(1)
        )
        return await self._first(asked)

    async def give_up_elsewhere(self) -> int:
        """Answer for what no journal has, where none has something later; return how many."""
        async with self.database.write(patient=True) as writing:
            given_up = await change_in_order(writing, giving_up_elsewhere())
        return given_up.rowcount

    async def newest_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the attempt of the highest generation, foreseen ones too, however it ended."""
        asked = (
            select(attempts)
            .where(
                attempts.c.connection_id == connection_id,
                attempts.c.outcome.is_distinct_from(AttemptOutcome.SUPERSEDED),
            )
            .order_by(attempts.c.generation.desc(), *_LATEST_FIRST)
            .limit(1)
        )
        return await self._first(asked)

    async def forget_attempts(self, *, ended_before: datetime, limit: int) -> int:
        """Remove attempts that ended so long ago, none that says anything yet; return how many."""
        going = (
            select(attempts.c.id)
            .where(attempts.c.ended_at < ended_before, ~_waits(attempts), _is_past)
            .limit(limit)
            .with_for_update(of=attempts, skip_locked=True)
        )
        async with self.database.write() as writing:
            removed = await writing.execute(delete(attempts).where(attempts.c.id.in_(going)))
        return removed.rowcount

    async def open_attempts_of(self, spool_id: SpoolId) -> Sequence[Attempt]:
        """Return the attempts that wait for an answer of the spool they name."""
        asked = (
            select(attempts)
            .where(
                attempts.c.spool_id == spool_id,
                _waits(attempts),
            )
            .order_by(attempts.c.connection_id, attempts.c.fence, attempts.c.started_at)
        )
        async with self.database.read(patient=True) as reading:
            rows = (await reading.execute(asked)).all()
        return [attempt_of(row) for row in rows]

    async def replace(self, connection: Connection, tokens: TokenSet, *, attempt: Attempt) -> bool:
        """Put `tokens` in force where generation and fence of `attempt` still are.

        Not where the connection is being ended, or is: nobody would revoke them there.
        What others may change meanwhile (use, keep-alive, where the org is) is left as it is.
        """
        sealed = await sealed_tokens(self.vault, connection, tokens)
        held = _Held(connection.id, attempt.generation, attempt.fence)
        async with self.database.write() as writing:
            if not await _put_in_force(writing, held, connection, sealed, _RENEWED):
                return False
            await writing.execute(
                update(attempts)
                .where(attempts.c.id == attempt.id)
                .values(
                    outcome=AttemptOutcome.STORED,
                    spool_answered=True,
                    ended_at=tokens.received_at,
                    retry_at=attempt.retry_at,
                )
            )
        return True

    async def renew(
        self,
        connection: Connection,
        tokens: TokenSet,
        *,
        instead_of: int,
        fence: int,
        anew: bool = False,
        superseded: ToRevoke | None = None,
    ) -> bool:
        """Put `tokens` in force, where no attempt was noted, as `replace` does."""
        sealed = await sealed_tokens(self.vault, connection, tokens)
        job = await SealedJob.of(superseded, self.vault)
        held = _Held(connection.id, instead_of, fence)
        names = (*_RENEWED, *_GRANTED) if anew else _RENEWED
        async with self.database.write() as writing:
            await hold_keys(writing, sealed["access_token"], sealed["refresh_token"], job.tokens)
            if not await _put_in_force(writing, held, connection, sealed, names):
                return False
            if anew:
                await end_foreseen(writing, connection, at=tokens.received_at)
            await job.keep(writing)
        return True

    async def add(self, connection: Connection, tokens: TokenSet) -> bool:
        """Keep a new connection with its first token set: all or nothing.

        Raises:
            OrgTaken: another customer's connection to the org is in force.
        """
        sealed = await sealed_tokens(self.vault, connection, tokens)
        async with self.database.write() as writing:
            await hold_keys(writing, sealed["access_token"], sealed["refresh_token"])
            if not await hold_org(writing, connection):
                return False
            await writing.execute(insert(connections).values(**connection_values(connection)))
            await writing.execute(insert(token_sets).values(**sealed))
        return True

    async def end_attempt(
        self,
        attempt: Attempt,
        outcome: AttemptOutcome,
        *,
        at: datetime,
        spool_answered: bool,
        state: ConnectionState | None = None,
        problem: str | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        """Keep how an attempt ended."""
        over = _over if spool_answered else or_(_over, _answered)
        async with self.database.write() as writing:
            await hold_connection(writing, attempt.connection_id)
            ended = await writing.execute(
                update(attempts)
                .where(attempts.c.id == attempt.id, ~over)
                .values(
                    outcome=outcome,
                    presented_again=attempt.presented_again,
                    ended_at=at,
                    spool_answered=spool_answered,
                    retry_at=retry_at,
                )
            )
            if state is not None and (spool_answered or ended.rowcount):
                await say(writing, attempt.connection_id, attempt.generation, state, problem)

    async def reject_access_token(
        self, connection_id: ConnectionId, *, generation: int, session_life: timedelta
    ) -> None:
        """Note that Salesforce refused the access token of a generation, if it is in force."""
        async with self.database.write() as writing:
            await hold_connection(writing, connection_id)
            rejected = await writing.execute(
                update(token_sets)
                .where(
                    token_sets.c.connection_id == connection_id,
                    token_sets.c.generation == generation,
                )
                .values(expires_at=None)
            )
            if rejected.rowcount:
                await writing.execute(
                    update(connections)
                    .where(connections.c.id == connection_id)
                    .values(session_life=session_life)
                )

    async def set_state(
        self,
        connection_id: ConnectionId,
        *,
        generation: int,
        state: ConnectionState,
        problem: str | None,
    ) -> bool:
        """Keep state and problem where the generation is in force; False where it is not."""
        async with self.database.write() as writing:
            await hold_connection(writing, connection_id)
            return await say(writing, connection_id, generation, state, problem)

    async def _first(self, asked: Select[Any]) -> Attempt | None:
        async with self.database.read() as reading:
            row = (await reading.execute(asked)).first()
        return None if row is None else attempt_of(row)


def _waits(some: FromClause) -> ColumnElement[bool]:
    """Tell of attempts that an answer on the spool they name would still settle."""
    unknown = some.c.outcome == AttemptOutcome.UNKNOWN
    return or_(some.c.outcome.is_(None), and_(unknown, some.c.spool_answered.is_(False)))


# Whoever ends such an attempt was paused for long, and knows less; but where an older row was put
# back, what was stored is to be stored again.
_over: Final = or_(
    func.coalesce(attempts.c.outcome, "") == AttemptOutcome.SUPERSEDED,
    and_(
        func.coalesce(attempts.c.outcome, "") == AttemptOutcome.STORED,
        ~select(connections.c.id)
        .where(
            connections.c.id == attempts.c.connection_id,
            connections.c.generation == attempts.c.generation,
        )
        .exists(),
    ),
)
# Its own spool has said how it ended, or was declared lost: no other replica knows more. One whose
# answer is in force is none of these (see above).
_answered: Final = and_(
    attempts.c.spool_answered,
    func.coalesce(attempts.c.outcome, AttemptOutcome.STORED) != AttemptOutcome.STORED,
)
_later: Final = attempts.alias("later")
# Its generation is over, and a later one has an attempt of the grant in force.
_is_past: Final = and_(
    select(connections.c.id)
    .where(
        connections.c.id == attempts.c.connection_id,
        connections.c.generation > attempts.c.generation,
    )
    .exists(),
    select(_later.c.id)
    .where(
        _later.c.connection_id == attempts.c.connection_id,
        _later.c.generation > attempts.c.generation,
        _later.c.outcome.is_distinct_from(AttemptOutcome.SUPERSEDED),
    )
    .exists(),
)
# By leases: they follow each other, while each replica's clock goes by itself.
_LATEST_FIRST: Final = (attempts.c.fence.desc(), attempts.c.started_at.desc())
_RENEWED: Final = (
    "state",
    "problem",
    "generation",
    "last_refreshed_at",
    "renewal",
    "audience",
    "taken_over_at",
    "due_at",
    "claimed_until",
)
_GRANTED: Final = (
    "environment",
    "org_name",
    "instance_url",
    "login_url",
    "user_id",
    "username",
    "email",
    "scopes",
    "session_life",
    "authorized_at",
)


class _Held(NamedTuple):
    """What has to be in force for a write: the generation, and the fence of the lease."""

    connection_id: ConnectionId
    generation: int
    fence: int


_loading = select(
    connections,
    token_sets.c.generation.label("token_generation"),
    token_sets.c.access_token,
    token_sets.c.refresh_token,
    token_sets.c.received_at,
    token_sets.c.expires_at,
).join(token_sets, token_sets.c.connection_id == connections.c.id)


def giving_up_elsewhere() -> Update:
    """Return the statement that answers for a spool which nobody knows.

    Not where a journal has an answer of a later generation, which is to be put in force yet.
    """
    later = attempts.alias("later")
    has_later = (
        select(later.c.id)
        .where(
            later.c.connection_id == attempts.c.connection_id,
            later.c.generation > attempts.c.generation,
            _waits(later),
        )
        .exists()
    )
    return (
        update(attempts)
        .where(
            attempts.c.spool_id == ELSEWHERE,
            attempts.c.outcome == AttemptOutcome.UNKNOWN,
            attempts.c.spool_answered.is_(False),
            ~has_later,
        )
        .values(spool_answered=True)
    )


async def end_foreseen(writing: AsyncConnection, connection: Connection, *, at: datetime) -> None:
    """End attempts that were foreseen where a grant given anew begins: they are of the last one."""
    await change_in_order(
        writing,
        update(attempts)
        .where(
            attempts.c.connection_id == connection.id,
            attempts.c.generation >= connection.generation,
        )
        .values(outcome=AttemptOutcome.SUPERSEDED, spool_answered=True, ended_at=at),
    )


async def sealed_tokens(vault: Vault, connection: Connection, tokens: TokenSet) -> dict[str, Any]:
    """Return the row of a token set, sealed for its generation."""
    where = (connection.workspace_id, connection.id, tokens.generation)
    access = tokens.access_token.reveal().encode()
    refresh = None if tokens.refresh_token is None else tokens.refresh_token.reveal().encode()
    return {
        "connection_id": connection.id,
        "generation": tokens.generation,
        "access_token": await vault.seal(access, places.access_token(*where)),
        "refresh_token": None
        if refresh is None
        else await vault.seal(refresh, places.refresh_token(*where)),
        "received_at": tokens.received_at,
        "expires_at": tokens.expires_at,
    }


async def opened_tokens(vault: Vault, workspace_id: str, row: Row[Any]) -> TokenSet:
    """Return the token set of a row, opened.

    The row is one of `token_sets`, or one of connections with the token set beside.
    """
    joined = hasattr(row, "token_generation")
    generation = row.token_generation if joined else row.generation
    where = (workspace_id, row.id if joined else row.connection_id, generation)
    access = await vault.open(row.access_token, places.access_token(*where))
    refresh = None
    if row.refresh_token is not None:
        refresh = await vault.open(row.refresh_token, places.refresh_token(*where))
    return TokenSet(
        generation=generation,
        access_token=AccessToken(access.decode()),
        refresh_token=None if refresh is None else RefreshToken(refresh.decode()),
        received_at=row.received_at,
        expires_at=row.expires_at,
    )


async def _put_in_force(
    writing: AsyncConnection,
    held: _Held,
    connection: Connection,
    sealed: Mapping[str, Any],
    names: Sequence[str],
) -> bool:
    """Keep these columns of the connection and its token set, where `held` holds.

    Not a refresh token beside a grant given anew, where an incident is to end it.
    """
    await hold_keys(writing, sealed["access_token"], sealed["refresh_token"])
    if not await _hold_fence(writing, held):
        return False
    problem = await hold_connection(writing, connection.id)
    if problem == PROBLEM and names is not _RENEWED and sealed["refresh_token"] is not None:
        return False
    values = connection_values(connection)
    due_at = literal(values["due_at"], Moment)
    if connection.renewal is Renewal.JWT_BEARER:  # its time hangs on the certificate
        values["due_at"] = func.coalesce(connections.c.due_at, due_at)
        by_assertion = (
            connections.c.renewal == Renewal.JWT_BEARER
        )  # else it was the guardian's refresh
        values["claimed_until"] = case((by_assertion, connections.c.claimed_until), else_=FREE)
    else:  # where the vendor changed its mind meanwhile, the guardian looks at it soon
        unchanged = connections.c.keep_alive == connection.keep_alive
        values["due_at"] = case((unchanged, due_at), else_=connections.c.due_at)
    if names is _RENEWED:
        for name in ("state", "problem"):
            values[name] = case((stopped(), connections.c[name]), else_=values[name])
    changed = await writing.execute(
        update(connections).where(_in_force(held)).values({name: values[name] for name in names})
    )
    if not changed.rowcount:
        return False
    kept = await writing.execute(
        update(token_sets).where(token_sets.c.connection_id == connection.id).values(**sealed)
    )
    if not kept.rowcount:
        await writing.execute(insert(token_sets).values(**sealed))
    return True


async def _hold_fence(writing: AsyncConnection, held: _Held) -> bool:
    """Tell whether the lease is the latest, and keep it so while this block runs."""
    asked = select(refresh_leases.c.fence).where(
        refresh_leases.c.connection_id == held.connection_id
    )
    fence = (await writing.execute(asked.with_for_update())).scalar()
    return bool(fence == held.fence)


def _in_force(held: _Held) -> ColumnElement[bool]:
    fence = (
        select(func.max(refresh_leases.c.fence))
        .where(refresh_leases.c.connection_id == held.connection_id)
        .scalar_subquery()
    )
    return and_(
        connections.c.id == held.connection_id,
        connections.c.generation == held.generation,
        connections.c.ending.is_(False),
        connections.c.state != ConnectionState.REVOKED,
        fence == held.fence,
    )
