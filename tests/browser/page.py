"""A page as a real browser sees it: headless Chromium, the file opened from disk, no network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Runs before anything else on the page, so that nothing goes wrong unseen.
WATCH = """<script>
window.faults = [];
addEventListener("error", event => faults.push(String(event.message || event.target.src || event.target.href)), true);
</script>"""

#: Clicks every heading of every table twice, and writes what it saw where the test can read it.
PROBE = """<script>
addEventListener("load", () => {
  const column = (table, i) => [...table.tBodies[0].rows].map(row => row.cells[i].dataset.sort);
  const words = (table, i) => [...table.tBodies[0].rows].map(row => row.cells[i].textContent);
  const tables = [...document.querySelectorAll("table.sortable")].map(table => ({
    name: table.dataset.name,
    heads: [...table.querySelectorAll("th button")].map(head => head.textContent),
    rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => [cell.textContent, cell.dataset.sort])),
    sorted: [...table.querySelectorAll("th")].map((head, i) => [1, 2].map(() => {
      head.querySelector("button").click();
      return {direction: head.getAttribute("aria-sort"), values: column(table, i), words: words(table, i)};
    })),
  }));
  const images = [...document.images].map(image => ({width: image.naturalWidth, alt: image.alt}));
  const anchors = [...document.querySelectorAll("nav a")].map(link => link.getAttribute("href"));
  const report = document.createElement("script");
  report.type = "application/json";
  report.id = "probe";
  const missing = anchors.filter(anchor => !document.querySelector(anchor));
  report.textContent = JSON.stringify({
    faults, tables, images, missing, scroll: document.documentElement.scrollWidth, width: innerWidth,
  }).replaceAll("<", "\\\\u003c");
  document.body.append(report);
});
</script>"""


@dataclass(frozen=True)
class Seen:
    """What the browser made of a page. scroll: how wide the page is; width: how wide the window."""

    faults: list[str]
    tables: list[dict]
    images: list[dict]
    missing: list[str]
    scroll: int
    width: int


def opened(page: Path, scratch: Path, width: int = 1200) -> Seen:
    """Open a page in a window so many pixels wide. Skips the test where there is no Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    html = page.read_text(encoding="utf-8")
    copy = scratch / "page.html"
    copy.write_text(html.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{PROBE}</body>", 1), "utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={scratch / 'profile'}",
        f"--window-size={width},900", "--virtual-time-budget=20000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    found = re.search(r'<script type="application/json" id="probe">(.*?)</script>', done.stdout, re.DOTALL)
    assert found, "the page's scripts did not run to their end"
    return Seen(**json.loads(found.group(1)))
