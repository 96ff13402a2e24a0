"""The client, as OAuth sees an External Client App."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_core.secrets import ConsumerSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks. Public clients have no secret."""

    consumer_key: str
    consumer_secret: ConsumerSecret | None

    def parameters(self) -> list[tuple[str, str]]:
        """Return the parameters that authenticate the client in a request's body.

        Spec: RFC 6749 section 2.3.1; Salesforce calls it `client_secret_post`.
        """
        parameters = [("client_id", self.consumer_key)]
        if self.consumer_secret is not None:
            parameters.append(("client_secret", self.consumer_secret.reveal()))
        return parameters
