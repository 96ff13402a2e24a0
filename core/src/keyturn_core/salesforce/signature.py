"""The `signature` of a token response."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from keyturn_core.secrets import ConsumerSecret


def verify_signature(
    *, consumer_secret: ConsumerSecret, identity_url: str, issued_at: str, signature: str
) -> bool:
    """Tell whether `signature` is the HMAC of `id` and `issued_at` under the consumer secret.

    It covers neither access token nor instance URL and says nothing about them.
    Spec: Salesforce Help, "OAuth 2.0 Web Server Flow": base64 of HMAC-SHA256.
    """
    try:
        stated = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    message = f"{identity_url}{issued_at}".encode()
    key = consumer_secret.reveal().encode()
    return hmac.compare_digest(hmac.new(key, message, hashlib.sha256).digest(), stated)
