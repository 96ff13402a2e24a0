"""The client for programs that wait for each answer; threads may share one.

Thin on purpose: what is asked and how answers are read is in `calls`, `data` and `proxied`,
what is repeated in `retrying`. `async_client` has the same names for asyncio.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from keyturn import calls
from keyturn.carrying import API_VERSION, answer_of, base_url, headers_of, no_answer, options
from keyturn.data import Namespaces, Org, Progress
from keyturn.models import (
    AccessToken,
    ApiKey,
    App,
    AuditEvent,
    Connection,
    ConnectSession,
    FlowResult,
    ProxySession,
    PublishedEvent,
    SaveResults,
    SigningKey,
    Verification,
)
from keyturn.proxied import SalesforceAnswer, salesforce_call
from keyturn.retrying import Outcome, Retries, Send, Wait, carried_out
from keyturn.wire import Call, Conversation, Page, Params, ask

T = TypeVar("T")


class _Carrier:
    """Sends calls and waits, as it is told."""

    def __init__(self, http: httpx2.Client, base: str, retries: Retries) -> None:
        self.http = http
        self._base = base
        self._retries = retries

    def call(self, call: Call[T]) -> T:
        """Make one call."""
        return self.converse(ask(call))

    def converse(self, conversation: Conversation[T]) -> T:
        """Make the calls of a conversation and return its result."""
        steps = carried_out(conversation, self._retries, os.urandom)
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            match step:
                case Wait():
                    time.sleep(step.seconds)
                    outcome = None
                case Send():
                    outcome = self._sent(step)

    def items(self, call: Call[Page[T]]) -> Iterator[T]:
        """Return the items of a list, asking for each page when it is needed."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = self.call(following)
            yield from page.items
            following = page.next

    def _sent(self, send: Send) -> Outcome:
        call = send.call
        try:
            response = self.http.request(
                call.method,
                f"{self._base}{call.target}",
                content=call.content,
                headers=headers_of(send),
            )
        except httpx2.RequestError as error:
            return no_answer(error)
        return answer_of(response)


class ConnectSessions:
    """Attempts of customers to connect."""

    def __init__(self, carrier: _Carrier) -> None:
        self._carrier = carrier

    def create(
        self,
        *,
        customer_id: str,
        return_url: str,
        app_id: str | None = None,
        environment: str | None = None,
        my_domain: str | None = None,
        delivery: str | None = None,
        connection_id: str | None = None,
    ) -> ConnectSession:
        """Create a connect session; send the customer's browser to its `url`.

        `connection_id` reauthorizes a connection. `app_id` is needed where there are several.
        """
        return self._carrier.call(
            calls.create_connect_session(
                customer_id=customer_id,
                return_url=return_url,
                app_id=app_id,
                environment=environment,
                my_domain=my_domain,
                delivery=delivery,
                connection_id=connection_id,
            )
        )

    def get(self, session_id: str) -> ConnectSession:
        """Return a connect session as it stands."""
        return self._carrier.call(calls.get_connect_session(session_id))

    def confirm(
        self, session_id: str, *, confirmation_code: str | None = None, org_id: str | None = None
    ) -> Connection:
        """Confirm a connection, which is active from then on.

        Call it in the handler of the return URL, only inside the session of the user who
        asked. For `delivery="shared"` give the `org_id` that the user was shown instead.
        """
        return self._carrier.call(
            calls.confirm_connect_session(
                session_id, confirmation_code=confirmation_code, org_id=org_id
            )
        )


class Connections:
    """Customers' orgs that let the vendor in."""

    def __init__(self, carrier: _Carrier) -> None:
        self._carrier = carrier

    def list(
        self,
        *,
        customer_id: str | None = None,
        app_id: str | None = None,
        state: str | None = None,
        environment: str | None = None,
        org_id: str | None = None,
        q: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Connection]:
        """Return all connections that the filters match; `limit` is the size of a page."""
        return self._carrier.items(
            calls.list_connections(
                customer_id=customer_id,
                app_id=app_id,
                state=state,
                environment=environment,
                org_id=org_id,
                q=q,
                limit=limit,
            )
        )

    def get(self, connection_id: str) -> Connection:
        """Return a connection as it stands."""
        return self._carrier.call(calls.get_connection(connection_id))

    def create(
        self,
        *,
        customer_id: str,
        username: str,
        app_id: str | None = None,
        environment: str | None = None,
        my_domain: str | None = None,
        org_id: str | None = None,
    ) -> Connection:
        """Connect an org server to server, as its integration user `username` (JWT Bearer).

        An admin of the org has to have installed the package and pre-authorized the user. Name the
        org by `my_domain`, or by `environment` alone; `org_id` is then the org that it has to be.

        Raises:
            Conflict: a step is missing; `who` and `problem.where` say whose it is and where.
        """
        return self._carrier.call(
            calls.create_connection(
                customer_id=customer_id,
                username=username,
                app_id=app_id,
                environment=environment,
                my_domain=my_domain,
                org_id=org_id,
            )
        )


class Apps:
    """The vendor's External Client Apps, as the service knows them."""

    def __init__(self, carrier: _Carrier) -> None:
        self._carrier = carrier

    def list(self, *, limit: int | None = None) -> Iterator[App]:
        """Return all apps; `limit` is the size of a page."""
        return self._carrier.items(calls.list_apps(limit=limit))

    def get(self, app_id: str) -> App:
        """Return an app."""
        return self._carrier.call(calls.get_app(app_id))

    def create(
        self,
        *,
        name: str,
        callback_urls: Sequence[str],
        return_origins: Sequence[str],
        scopes: Sequence[str],
        namespace: str | None = None,
        login_hosts: Mapping[str, str] | None = None,
        package: Mapping[str, Any] | None = None,
        allow_same_org: bool | None = None,
        start_url: str | None = None,
    ) -> App:
        """Register an app."""
        return self._carrier.call(
            calls.create_app(
                name=name,
                callback_urls=callback_urls,
                return_origins=return_origins,
                scopes=scopes,
                namespace=namespace,
                login_hosts=login_hosts,
                package=package,
                allow_same_org=allow_same_org,
                start_url=start_url,
            )
        )

    def update(self, app_id: str, **changes: Any) -> App:
        """Change members of an app; those that are not named stay."""
        return self._carrier.call(calls.change_app(app_id, changes))

    def put_consumer_credentials(
        self, app_id: str, *, consumer_key: str, consumer_secret: str
    ) -> None:
        """Give the service the app's consumer key and secret; they are never read back."""
        self._carrier.call(
            calls.put_consumer_credentials(
                app_id, consumer_key=consumer_key, consumer_secret=consumer_secret
            )
        )

    def signing_keys(self, app_id: str, *, limit: int | None = None) -> Iterator[SigningKey]:
        """Return an app's signing keys, oldest first; `limit` is the size of a page."""
        return self._carrier.items(calls.list_signing_keys(app_id, limit=limit))

    def create_signing_key(self, app_id: str, *, days: int | None = None) -> SigningKey:
        """Make a key pair; put its certificate, which lives `days`, into the app's settings.

        The first one is active at once, a later one is staged.
        """
        return self._carrier.call(calls.create_signing_key(app_id, days=days))

    def activate_signing_key(self, app_id: str, key_id: str) -> SigningKey:
        """Let a staged key sign first; the one that did is retired, and signs on for a while."""
        return self._carrier.call(calls.activate_signing_key(app_id, key_id))

    def retire_signing_key(self, app_id: str, key_id: str) -> SigningKey:
        """Retire a key at once; its private half is forgotten."""
        return self._carrier.call(calls.retire_signing_key(app_id, key_id))


class ApiKeys:
    """Keys of the service's REST API."""

    def __init__(self, carrier: _Carrier) -> None:
        self._carrier = carrier

    def list(self, *, limit: int | None = None) -> Iterator[ApiKey]:
        """Return all API keys, without their secrets; `limit` is the size of a page."""
        return self._carrier.items(calls.list_api_keys(limit=limit))

    def create(
        self, *, name: str, rights: Sequence[str], expires_at: datetime | None = None
    ) -> ApiKey:
        """Make an API key; its `key` is shown this once."""
        return self._carrier.call(
            calls.create_api_key(name=name, rights=rights, expires_at=expires_at)
        )

    def delete(self, key_id: str) -> None:
        """Delete an API key; it opens nothing from then on."""
        self._carrier.call(calls.delete_api_key(key_id))


class AuditEvents:
    """What was done, by whom."""

    def __init__(self, carrier: _Carrier) -> None:
        self._carrier = carrier

    def list(
        self,
        *,
        connection_id: str | None = None,
        type: str | None = None,
        since: datetime | str | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditEvent]:
        """Return all audit events that the filters match; `limit` is the size of a page."""
        return self._carrier.items(
            calls.list_audit_events(
                connection_id=connection_id, type=type, since=since, limit=limit
            )
        )


class Pull:
    """Reading from an org."""

    def __init__(self, carrier: _Carrier, org: Org) -> None:
        self._carrier = carrier
        self._org = org

    def query(self, soql: str, *, include_deleted: bool = False) -> Iterator[dict[str, Any]]:
        """Return the records of a SOQL query, asking for each page when it is needed.

        The query is sent as it is: write custom names with the app's namespace.
        """
        return self._carrier.items(self._org.query(soql, include_deleted=include_deleted))


class Push:
    """Writing to an org."""

    def __init__(self, carrier: _Carrier, org: Org) -> None:
        self._carrier = carrier
        self._org = org

    def upsert(
        self,
        object_name: str,
        records: Iterable[Mapping[str, Any]],
        *,
        external_id: str,
        all_or_none: bool = False,
        progress: Progress | None = None,
    ) -> SaveResults:
        """Update records by their external id, and create those that are not there.

        Custom names get the app's namespace unless they name one. Records are taken in
        batches of 200; `all_or_none` holds for each batch. A record that Salesforce refuses
        raises nothing: look at the result's `failed`. Doing it again does no harm.
        """
        return self._carrier.converse(
            self._org.upsert(
                object_name,
                records,
                external_id=external_id,
                all_or_none=all_or_none,
                progress=progress,
            )
        )

    def log_activity(
        self,
        *,
        subject: str,
        who_id: str | None = None,
        what_id: str | None = None,
        description: str | None = None,
        status: str = "Completed",
        activity_date: date | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> str:
        """Log an activity as a Task and return its id.

        `who_id` is a Contact or Lead, `what_id` an Account, Opportunity or such.
        """
        return self._carrier.converse(
            self._org.log_activity(
                subject=subject,
                who_id=who_id,
                what_id=what_id,
                description=description,
                status=status,
                activity_date=activity_date,
                fields=fields,
            )
        )


class Trigger:
    """Making something happen in an org."""

    def __init__(self, carrier: _Carrier, org: Org) -> None:
        self._carrier = carrier
        self._org = org

    def event(self, event_name: str, fields: Mapping[str, Any]) -> PublishedEvent:
        """Publish a platform event. Custom names get the app's namespace."""
        return self._carrier.converse(self._org.publish(event_name, fields))

    def flow(self, flow_name: str, inputs: Mapping[str, Any] | None = None) -> FlowResult:
        """Run an autolaunched flow of the app's package and wait for its end."""
        return self._carrier.converse(self._org.run_flow(flow_name, inputs or {}))


class ConnectionHandle:
    """One connection, by its id; making a handle sends nothing."""

    def __init__(self, carrier: _Carrier, connection_id: str, org: Org) -> None:
        self._carrier = carrier
        self.id = connection_id
        self.pull = Pull(carrier, org)
        self.push = Push(carrier, org)
        self.trigger = Trigger(carrier, org)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def get(self) -> Connection:
        """Return the connection as it stands."""
        return self._carrier.call(calls.get_connection(self.id))

    def access_token(self, *, rejected_generation: int | None = None) -> AccessToken:
        """Return an access token that is safely inside its life.

        When Salesforce refused one, give its generation: a newer one comes back.
        """
        return self._carrier.call(
            calls.access_token(self.id, rejected_generation=rejected_generation)
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SalesforceAnswer:
        """Call any path of the org's APIs; the access token stays at the service.

        Raises:
            SalesforceError: Salesforce refuses.
            KeyturnError: the service does.
        """
        return self._carrier.call(
            salesforce_call(
                self.id, method, path, params=params, json=json, content=content, headers=headers
            )
        )

    def proxy_session(self, *, ttl: timedelta | str | None = None) -> ProxySession:
        """Return an instance URL and a session id for a client that only knows these."""
        return self._carrier.call(calls.open_proxy_session(self.id, ttl=ttl))

    def verify(self) -> Verification:
        """Prove that the connection works, or say which step is missing, whose it is and where.

        What does not work raises nothing: look at `works`.
        """
        return self._carrier.call(calls.verify_connection(self.id))

    def keep_alive(self, keep_alive: bool = True) -> Connection:  # noqa: FBT001, FBT002 - `keep_alive(False)` says it
        """Say whether the connection is kept alive when nobody uses it."""
        return self._carrier.call(calls.set_keep_alive(self.id, keep_alive=keep_alive))

    def disconnect(self) -> None:
        """End the connection; the revocation at Salesforce goes on after the answer."""
        self._carrier.call(calls.delete_connection(self.id))


class Keyturn:
    """A Keyturn service.

    `timeout` is in seconds, for each call. A `transport` that is handed in is closed with the
    client. `namespace` is what bare custom names get, empty for none; where it is left out, the
    service is asked for that of the connection's app, which takes an API key that may read apps.

    Raises:
        ValueError: URL or API key cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        timeout: float = 60.0,
        retries: Retries | None = None,
        api_version: str = API_VERSION,
        namespace: str | None = None,
        transport: httpx2.BaseTransport | None = None,
        allow_plain_http: bool = False,
    ) -> None:
        base = base_url(url, allow_plain_http=allow_plain_http)
        given = options(url, api_key=api_key, timeout=timeout)
        http = httpx2.Client(transport=transport, **given)
        self._carrier = _Carrier(http, base, retries or Retries())
        self._api_version = api_version
        self._namespaces = Namespaces(namespace)
        self.connect_sessions = ConnectSessions(self._carrier)
        self.connections = Connections(self._carrier)
        self.apps = Apps(self._carrier)
        self.api_keys = ApiKeys(self._carrier)
        self.audit_events = AuditEvents(self._carrier)

    def connection(self, connection_id: str) -> ConnectionHandle:
        """Return a handle of a connection; nothing is sent."""
        org = Org(connection_id, api_version=self._api_version, namespaces=self._namespaces)
        return ConnectionHandle(self._carrier, connection_id, org)

    def close(self) -> None:
        """Close the connections to the service."""
        self._carrier.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
