"""The places of sealed columns: what each seal is bound to."""

from __future__ import annotations

from keyturn_service.vault.place import Place


def consumer_secret(workspace_id: str, app_id: str) -> Place:
    """Return the place of an app's consumer secret."""
    return _place(workspace_id, "apps", app_id, "consumer_secret")


def private_key(workspace_id: str, key_id: str) -> Place:
    """Return the place of the private half of a signing key."""
    return _place(workspace_id, "signing_keys", key_id, "private_key")


def certificate(workspace_id: str, key_id: str) -> Place:
    """Return the place of a signing key's certificate: not sealed, but it can be refused."""
    return _place(workspace_id, "signing_keys", key_id, "certificate_pem")


def verifier(workspace_id: str, session_id: str) -> Place:
    """Return the place of a connect session's code verifier."""
    return _place(workspace_id, "connect_sessions", session_id, "verifier")


def pending_grant(workspace_id: str, session_id: str) -> Place:
    """Return the place of a connect session's pending grant."""
    return _place(workspace_id, "connect_sessions", session_id, "pending_grant")


def access_token(workspace_id: str, connection_id: str, generation: int) -> Place:
    """Return the place of an access token."""
    return _place(workspace_id, "token_sets", connection_id, "access_token", generation)


def refresh_token(workspace_id: str, connection_id: str, generation: int) -> Place:
    """Return the place of a refresh token."""
    return _place(workspace_id, "token_sets", connection_id, "refresh_token", generation)


def revocation_tokens(workspace_id: str, revocation_id: str) -> Place:
    """Return the place of the tokens of a revocation."""
    return _place(workspace_id, "revocations", revocation_id, "tokens")


def kept_answer(workspace_id: str, key: str) -> Place:
    """Return the place of an answer kept for an idempotency key."""
    return _place(workspace_id, "idempotency_keys", key, "body")


def _place(workspace_id: str, table: str, row: str, column: str, generation: int = 0) -> Place:
    return Place(
        workspace_id=workspace_id, table=table, row=row, column=column, generation=generation
    )
