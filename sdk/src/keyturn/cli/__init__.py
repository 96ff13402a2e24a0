"""The `keyturn` command: a frame that finds its groups by entry points.

A group is a click command that a distribution names under `keyturn.commands`. `frame` runs
them, `outcome` is what a verb returns so that `--json` means the same everywhere. `connection`
is the one group of the SDK's own; others come with the parts they belong to.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    try:
        from keyturn.cli.frame import run  # click comes with an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("keyturn: the command needs one package more: pip install 'keyturn[cli]'")
    sys.exit(run(sys.argv[1:]))
