"""`keyturn.versions.json`: what was released, beside `keyturn.toml`, to be committed.

The Dev Hub org knows versions and their content; scopes it does not know, and they decide what a
customer on an older version may be asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from keyturn_builder.errors import BuilderError
from keyturn_builder.text_file import read_text_file

FILE_NAME: Final = "keyturn.versions.json"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedVersion:
    """A version as it was released. `created` is the Dev Hub org's time, in UTC."""

    version: str
    id: str
    package_id: str
    content_hash: str
    scopes: tuple[str, ...]
    released: bool
    created: str


def read_record(folder: Path) -> list[ReleasedVersion]:
    """Return what was recorded, oldest first; nothing where there is no file.

    Raises:
        BuilderError: the file is out of shape.
    """
    path = folder / FILE_NAME
    try:
        read = json.loads(read_text_file(path))
    except FileNotFoundError:
        return []
    except RecursionError as error:
        detail = f"{path}: its brackets stand too deep in each other"
        raise BuilderError("record_invalid", detail) from error
    except ValueError as error:
        raise BuilderError("record_invalid", f"{path}: {error}") from error
    try:
        return [
            ReleasedVersion(**{**one, "scopes": tuple(one["scopes"])}) for one in read["versions"]
        ]
    except (KeyError, TypeError) as error:
        raise BuilderError("record_invalid", f"{path}: {error}") from error


def write_record(folder: Path, versions: Sequence[ReleasedVersion]) -> None:
    """Write the record, whole or not at all."""
    said = {"format": _FORMAT, "versions": [asdict(one) for one in versions]}
    coming = folder / f".{FILE_NAME}.new"
    with coming.open("w", encoding="utf-8") as file:
        file.write(json.dumps(said, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    coming.replace(folder / FILE_NAME)


def with_version(known: Sequence[ReleasedVersion], new: ReleasedVersion) -> list[ReleasedVersion]:
    """Return the record with a version added, or as it stands now if it is known."""
    return [*(one for one in known if one.id != new.id), new]
