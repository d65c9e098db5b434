"""A page as a browser shows it: headless Chromium, without a way to the network."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_NOWHERE = "http://127.0.0.1:9"  # a proxy that refuses: the browser's own requests stay here too
_BY_ITSELF = "not an origin"  # what started a request that no page asked for
_LOOK = """<script>
addEventListener("error", event => errors.push(String(event.message)), true);
const errors = [];
addEventListener("load", () => {
  const width = document.documentElement.clientWidth;
  const scrolled = element => element.closest(".wide") !== null;
  const beyond = [...document.body.querySelectorAll("*")].filter(
    element => !scrolled(element) && element.getBoundingClientRect().right > width + 1);
  parent.postMessage(JSON.stringify({
    width, errors,
    scroll: document.documentElement.scrollWidth,
    beyond: beyond.map(element => element.outerHTML.slice(0, 80)),
    images: [...document.images].map(image => ({
      alt: image.alt, width: image.naturalWidth,
      caption: image.closest("figure")?.querySelector("figcaption")?.textContent.trim() ?? "",
    })),
    background: getComputedStyle(document.body).backgroundColor,
  }), "*");
});
</script>"""
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><pre id="seen"></pre>
<script>addEventListener("message", event => {
  document.getElementById("seen").textContent = event.data;
});</script>
<iframe src="copy.html" style="border:0; height:900px; width:%dpx"></iframe></body>"""


@dataclass(frozen=True)
class Browsed:
    """What came of loading a file."""

    dom: str
    messages: list[str]  # in the console
    requests: list[str]  # addresses that the page asked for, other than files


@dataclass(frozen=True)
class Browser:
    program: str
    scratch: Path

    def load(self, page: Path, *flags: str) -> Browsed:
        log = self.scratch / "net.json"
        command = [
            self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update",
            f"--user-data-dir={self.scratch / 'profile'}", f"--log-net-log={log}",
            f"--proxy-server={_NOWHERE}", "--proxy-bypass-list=<-loopback>",
            "--enable-logging=stderr", "--dump-dom", *flags, page.resolve().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        messages = re.findall(r":CONSOLE[:(]\d+\)?\] (.*)", done.stderr)
        return Browsed(done.stdout, messages, _requests(json.loads(log.read_text())))

    def measure(self, page: Path, width: int, *flags: str) -> dict[str, Any]:
        """What a script sees in the page when its window is so many pixels wide (a browser's own
        window cannot be as narrow as a phone's: the page is shown in a frame).
        """
        text = page.read_text()
        policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
        assert policy.search(text), "the page forbids nothing"
        (self.scratch / "copy.html").write_text(policy.sub(lambda _: _LOOK, text))
        frame = self.scratch / "frame.html"
        frame.write_text(_FRAME % width)
        found = re.search(
            r'<pre id="seen">(.*?)</pre>',
            self.load(frame, "--virtual-time-budget=10000", *flags).dom,
            re.DOTALL,
        )
        assert found and found[1], "the page told nothing"
        return dict(json.loads(html.unescape(found[1])))


def _requests(log: dict[str, Any]) -> list[str]:
    started = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    return [
        event["params"]["url"]
        for event in log["events"]
        if event["type"] == started
        and event.get("params", {}).get("initiator", _BY_ITSELF) != _BY_ITSELF
    ]


def find(scratch: Path) -> Browser:
    """A browser that works, or the test is skipped."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium on this machine ({', '.join(_NAMES)})")
    return Browser(program, scratch)
