"""AWS KMS: moto's, which others wrote, behind AWS's own host name.

Its ciphers bind the encryption context. Put before it, as AWS documents them: a disabled key and
one that waits for its deletion refuse, a caller without the right is refused by name, and a
ciphertext of another key is `IncorrectKeyException`. What neither does: signatures are looked at
for the access key alone, no policy is evaluated, nothing is throttled, no material rotates.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Final

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends
from moto.moto_server.werkzeug_app import create_backend_app
from tests.support.kms.front import Answer, Asked, json_answer
from werkzeug.test import Client as WsgiClient

REGION: Final = "eu-central-1"
ACCESS_KEY: Final = "AKIAKEYTURNDUMMY0000"
SECRET: Final = "dummy/secret/of/the/tests/keyturn0000000"
ROLE: Final = f"arn:aws:sts::{DEFAULT_ACCOUNT_ID}:assumed-role/keyturn/test"


class AwsStandIn:
    """One account in one region."""

    hosts = (f"kms.{REGION}.amazonaws.com",)

    def __init__(self) -> None:
        self._backend = kms_backends[DEFAULT_ACCOUNT_ID][REGION]
        self._moto = WsgiClient(create_backend_app("kms"))
        self.denied: set[str] = set()

    def new_key(self) -> str:
        """Make a key, and return its ARN."""
        made = self._backend.create_key(
            policy=None,
            key_usage="ENCRYPT_DECRYPT",
            key_spec="SYMMETRIC_DEFAULT",
            description="",
            tags=None,
            multi_region=False,
            origin="AWS_KMS",
        )
        return str(made.arn)

    def alias(self, name: str, arn: str) -> str:
        """Let an alias stand for a key, and return the alias's ARN."""
        self._backend.create_alias(arn.rpartition("/")[2], f"alias/{name}")
        return f"arn:aws:kms:{REGION}:{DEFAULT_ACCOUNT_ID}:alias/{name}"

    def point(self, alias: str, arn: str) -> None:
        """Let an alias stand for another key."""
        self._backend.update_alias(arn.rpartition("/")[2], "alias/" + alias.rpartition("/")[2])

    def disable(self, arn: str) -> None:
        """Disable a key."""
        self._backend.disable_key(arn.rpartition("/")[2])

    def enable(self, arn: str) -> None:
        """Enable a key again."""
        self._backend.enable_key(arn.rpartition("/")[2])

    def delete(self, arn: str) -> None:
        """Delete a key for good, as if its waiting time were over."""
        self._backend.keys.pop(arn.rpartition("/")[2])

    def answer(self, asked: Asked) -> Answer:
        """Answer as AWS does."""
        operation = asked.headers.get("x-amz-target", "").rpartition(".")[2]
        signed = asked.headers.get("authorization", "")
        if not signed.startswith(f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/"):
            return _refusal("UnrecognizedClientException", "The security token is invalid.")
        given = asked.json()
        key_id = given["KeyId"]
        if operation in self.denied:
            return _refusal(
                "AccessDeniedException",
                f"User: {ROLE} is not authorized to perform: kms:{operation} on resource: {key_id}",
            )
        key = self._backend.keys.get(key_id.rpartition("/")[2])
        if key is not None and key.key_state == "Disabled":
            return _refusal("DisabledException", f"{key_id} is disabled.")
        answer = self._by_moto(asked)
        if operation == "Decrypt" and b"AccessDeniedException" in answer.body:
            if key is None:
                return _refusal("NotFoundException", f"Key '{key_id}' does not exist")
            return _refusal(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation",
            )
        return answer

    def _by_moto(self, asked: Asked) -> Answer:
        said: Any = self._moto.open(
            asked.path,
            method=asked.method,
            headers=list(asked.headers.items()),
            input_stream=BytesIO(asked.body),
            base_url=f"https://{asked.host}",
        )
        return Answer(status=said.status_code, body=said.get_data(), headers=dict(said.headers))


def _refusal(code: str, message: str) -> Answer:
    return json_answer(400, json.loads(json.dumps({"__type": code, "message": message})))
