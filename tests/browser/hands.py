"""Two ways to use a page: with a mouse, and with the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from tests.support.browser import Person

_MOST_TABS: Final = 80
_FOCUS: Final = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    id: at.id, name: at.name ?? "", value: at.value ?? "", text: at.textContent.trim(),
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    inWindow: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    onTop: seen !== null && (at.contains(seen) || seen.contains(at)),
  };
}"""


class Hands(Protocol):
    """What a person does with the elements of a page, by their ids."""

    def press(self, element_id: str) -> None:
        """Press a button or follow a link, and wait for the page it leads to."""

    def write(self, element_id: str, text: str) -> None:
        """Write into an empty field."""

    def choose(self, name: str, value: str) -> None:
        """Choose one of a group of radio buttons."""


class Mouse:
    """Clicks; types where it clicked."""

    def __init__(self, person: Person) -> None:
        self.page = person.page

    def press(self, element_id: str) -> None:
        """Click it."""
        with self.page.expect_navigation():
            self.page.click(f"#{element_id}")

    def write(self, element_id: str, text: str) -> None:
        """Click into the field and type."""
        self.page.click(f"#{element_id}")
        self.page.keyboard.type(text)

    def choose(self, name: str, value: str) -> None:
        """Click the button's words."""
        self.page.click(f"label:has(input[name={name}][value={value}])")


class Keyboard:
    """Tab, Enter, Space, arrows and letters; at each stop the focus has to be seen."""

    def __init__(self, person: Person) -> None:
        self.page = person.page

    def press(self, element_id: str) -> None:
        """Tab there; Enter."""
        self.reach(lambda at: at["id"] == element_id, element_id)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def write(self, element_id: str, text: str) -> None:
        """Tab there and type."""
        self.reach(lambda at: at["id"] == element_id, element_id)
        self.page.keyboard.type(text)

    def choose(self, name: str, value: str) -> None:
        """Tab to the group; arrows to the button."""
        self.reach(lambda at: at["name"] == name, name)
        for _ in range(self.page.locator(f"input[name={name}]").count()):
            if self.focus()["value"] == value:
                self.page.keyboard.press("Space")
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"arrows do not lead to {value}")

    def reach(self, is_it: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Press Tab until the focus is there.

        Raises:
            AssertionError: no Tab leads there, or a stop on the way is not to be seen.
        """
        at = self.focus()
        for _ in range(_MOST_TABS):
            if at and is_it(at):
                return
            self.page.keyboard.press("Tab")
            at = self.focus()
            assert not at or (at["outline"] >= 2 and at["inWindow"] and at["onTop"]), at
        raise AssertionError(f"no Tab leads to {what}")

    def stops(self) -> list[dict[str, Any]]:
        """Walk through the page once, from wherever the focus is; return each stop."""
        stops: list[dict[str, Any]] = []
        for _ in range(_MOST_TABS):
            self.page.keyboard.press("Tab")
            at = self.focus()  # behind the last stop nothing has it, then the first one
            if at in stops:
                break
            if at:
                stops.append(at)
        return stops

    def focus(self) -> dict[str, Any]:
        """Return what has the focus, and how it looks; empty where nothing has it."""
        return dict(self.page.evaluate(_FOCUS) or {})
