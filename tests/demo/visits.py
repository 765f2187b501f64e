"""What visits of several tabs share."""

from __future__ import annotations


def open_tab(page, name: str) -> None:
    """Opens a tab by its name, out of the menu of further tabs where the row has no room for it."""
    row = page.locator("#vm-tabs > .tab-wrapper")
    tab = row.get_by_role("tab", name=name, exact=True)
    if tab.count():
        tab.click()
        return
    row.locator(".overflow-menu > button").click()
    row.locator(".overflow-dropdown").get_by_text(name, exact=True).click()


def overflow(page) -> int:
    """Pixels by which the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
