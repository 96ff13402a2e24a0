"""The site: it builds without a warning, its links lead somewhere, and it asks nobody else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.conftest import ROOT

REPOSITORY_PATH = re.compile(
    r"`((?:core|builder|service|sdk|simulator|examples|tests|docs|tools|changes)/[\w./-]+)"
    r"(?:::(test_\w+))?`"
)
MODULE = re.compile(r"`([\w/-]+\.py)`")


class Page(HTMLParser):
    """The links and anchors of one page, and what a browser would fetch for it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to, fetches, and can be linked by."""
        given = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        for name in ("src", "href") if tag != "a" else ():
            if given.get(name):
                self.fetched.append(given[name] or "")


def built(site: Path) -> dict[Path, Page]:
    """Return every page of the site but the one for what is not found."""
    return {
        path: Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if path.name != "404.html"
    }


def test_every_link_leads_somewhere(site: Path) -> None:
    """Files are there, and so are the places in them."""
    pages = built(site)
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            place = unquote(parts.fragment)
            known = pages.get(target)
            if not target.is_file() or (place and known and place not in known.anchors):
                dead.append((str(path.relative_to(site)), link))
    assert len(pages) > 20
    assert dead == []


def test_the_first_page_leads_to_every_other(pages: dict[str, str]) -> None:
    """Decisions apart: what it does not name is not found by who begins there."""
    linked = set(re.findall(r"\]\(([\w/-]+\.md)\)", pages["index.md"]))
    assert linked == {path for path in pages if not path.startswith("adr/")} - {"index.md"}


def test_nothing_comes_from_other_hosts(site: Path) -> None:
    """No font, script, style or picture of somebody else's, and no link that leads away."""
    pages = built(site).items()
    foreign = [
        (path.name, address)
        for path, page in pages
        for address in (*page.fetched, *page.links)
        if urlsplit(address).netloc
    ]
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    imported = [found for style in styles for found in re.findall(r"url\((?:https?:)?//", style)]
    assert foreign == []
    assert imported == []
    assert styles


def test_paths_and_tests_that_pages_name_are_there(pages: dict[str, str]) -> None:
    """A page that names a file or a test of this repository names one that exists."""
    named = [
        (page, path, test)
        for page, text in pages.items()
        for path, test in REPOSITORY_PATH.findall(text)
        if "…" not in path
    ]
    gone = [
        (page, path, test)
        for page, path, test in named
        if not (ROOT / path).exists() or (test and not _has(ROOT / path, test))
    ]
    assert len(named) > 50
    assert gone == []


def _has(path: Path, test: str) -> bool:
    return f"def {test}(" in path.read_text(encoding="utf-8")


def test_modules_that_pages_name_are_there(pages: dict[str, str]) -> None:
    """By their path in the repository or in the service; a bare name, somewhere."""
    modules = {path.name for path in ROOT.glob("*/src/**/*.py")}
    modules |= {path.name for path in ROOT.glob("examples/*/src/**/*.py")}
    service = ROOT / "service/src/keyturn_service"
    named = [(page, span) for page, text in pages.items() for span in MODULE.findall(text)]
    gone = [
        (page, span)
        for page, span in named
        if not ((ROOT / span).is_file() or (service / span).is_file() or span in modules)
    ]
    assert len(named) > 80
    assert gone == []
