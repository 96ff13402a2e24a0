"""The browser that `sf org login web` opens: logs in, consents, and leaves at the callback.

`BROWSER` names it; `sf` waits until it has ended, so the walk goes on behind.
"""

import os
import sys

import httpx2
from tools.walker import Walker


def main() -> None:
    """Walk from the authorize URL to the callback."""
    if os.fork():
        return
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    with Walker(httpx2.Client(trust_env=False, timeout=20)) as browser:
        browser.get(sys.argv[1])
        browser.submit(
            "Login", username=os.environ["SF_TEST_USERNAME"], pw=os.environ["SF_TEST_PASSWORD"]
        )
        if browser.has("oaapprove"):
            browser.submit("oaapprove")


if __name__ == "__main__":
    main()
