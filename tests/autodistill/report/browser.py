"""A real browser without a window: what it makes of a page, what it says on its console, and what it fetches."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ITS_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
"""Hosts that the browser asks by itself, whatever it shows."""
MEASURING = """
<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const images = [...page.images], beyond = [...page.querySelectorAll("main *")].filter((element) =>
    !element.closest(".wide") && element.getBoundingClientRect().right > root.clientWidth + 1);
  document.querySelector("output").textContent = JSON.stringify({
    width: root.clientWidth, scroll: root.scrollWidth, images: images.length,
    drawn: images.filter((image) => image.naturalWidth > 0 && image.getBoundingClientRect().width > 100).length,
    beyond: beyond.map((element) => element.tagName), text: page.body.innerText,
    sizes: [...page.querySelectorAll("p, td, th, summary")].map((each) =>
      parseFloat(getComputedStyle(each).fontSize)).reduce((one, other) => Math.min(one, other), 99),
  });
});
</script>
"""


@dataclass(frozen=True)
class Seen:
    """A page in a window: what a script beside it measures, the lines of the console, the hosts that were asked."""

    measured: dict[str, object]
    console: list[str]
    hosts: set[str]


def seen(page: str, width: int, folder: Path) -> Seen:
    """Opens a page of so many pixels."""
    assert BROWSER is not None
    frame = f'<iframe width="{width}" height="900" style="border: 0" srcdoc="{html.escape(page)}"></iframe>'
    outer, log = folder / "outer.html", folder / "net.json"
    outer.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{frame}<output></output>{MEASURING}", "utf-8")
    quiet = ("background-networking", "component-update", "sync", "extensions", "gpu")
    options = [
        "--headless",
        "--hide-scrollbars",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{each}" for each in quiet),
    ]
    options += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0", f"--log-net-log={log}"]
    shown = subprocess.run(
        [BROWSER, *options, f"--window-size={width + 40},1000", "--virtual-time-budget=20000", "--dump-dom",
         outer.as_uri()], capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    output = re.search(r"<output>(.*?)</output>", shown.stdout, re.DOTALL)
    assert output, shown.stderr[-2000:]
    events = json.loads(log.read_text("utf-8"))["events"]
    urls = [urlsplit(event.get("params", {}).get("url", "")) for event in events]
    hosts = {url.hostname for url in urls if url.scheme in ("http", "https", "ws", "wss") and url.hostname}
    console = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    others = {host for host in hosts if not f".{host}".endswith(ITS_OWN)}
    return Seen(json.loads(html.unescape(output[1])), console, others)
