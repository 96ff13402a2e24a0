"""JSON as it goes over the wire."""

import json
from typing import Any


def compact_json(value: Any) -> bytes:
    """Write JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
