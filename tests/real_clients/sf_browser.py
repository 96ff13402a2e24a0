"""The browser that `sf org login web` opens: logs in, consents, and leaves at the callback.

`BROWSER` names it; `sf` waits until it has ended, so the walk goes on behind.
"""

import os
import sys
import time

import httpx2
from tests.support.alone import alone
from tests.support.sf import BROWSER_LOCK
from tools.walker import Walker

# `sf` begins to read its port only after it has opened the browser: a request that comes before
# is never answered, and it waits for ever. No person is that quick.
_SECONDS_TO_LOOK_UP = 2.0


def main() -> None:
    """Walk from the authorize URL to the callback."""
    if os.fork():
        return
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    log = os.open(os.environ["SF_TEST_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    with alone(BROWSER_LOCK):
        time.sleep(_SECONDS_TO_LOOK_UP)
        _walk()


def _walk() -> None:
    with Walker(httpx2.Client(trust_env=False, timeout=20)) as browser:
        try:
            browser.get(sys.argv[1])
            browser.submit(
                "Login", username=os.environ["SF_TEST_USERNAME"], pw=os.environ["SF_TEST_PASSWORD"]
            )
            if browser.has("oaapprove"):
                browser.submit("oaapprove")
        finally:
            print("\n".join(url.partition("?")[0] for url in browser.seen), flush=True)


if __name__ == "__main__":
    main()
