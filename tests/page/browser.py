"""Chromium as a person uses it: by what is seen and by what things are called, through playwright-core."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import PATIENCE, REPOSITORY

PACKAGE = REPOSITORY / "web" / "package.json"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--gaia-url=http://127.0.0.1:1",
)
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "deviceScaleFactor": 3, "isMobile": True, "hasTouch": True}
SECONDS = 90.0
"""After which something is wrong, also beside much other work."""


def missing() -> str | None:
    """What there is no browser for; None where everything is there."""
    if chromium() is None:
        return "needs Chromium (apt-get install chromium)"
    if shutil.which("node") is None:
        return "needs Node (apt-get install nodejs)"
    if not (PACKAGE.parent / "node_modules" / "playwright-core").is_dir():
        return "needs playwright-core (npm --prefix web ci)"
    return None


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class BrowserError(AssertionError):
    """What the browser could not do, in playwright's words."""


@dataclass
class Page:
    """One tab in a profile of its own; `said` is what its console said."""

    browser: "Browser"
    said: list[str] = field(default_factory=list)

    def do(self, code: str, value: Any = None) -> Any:
        """Run a function body of `$` and `value` beside the browser."""
        return self.browser.do(code, value)

    def open(self, address: str) -> None:
        # another fragment alone would not load it anew
        self.do("await $.page.goto('about:blank'); await $.page.goto(value)", address)

    def evaluate(self, expression: str) -> Any:
        return self.do("return await $.page.evaluate(value)", expression)

    def _locator(self, role: str, name: str | None, exact: bool) -> tuple[str, dict[str, Any]]:
        options = {"name": name, "exact": exact} if name is not None else {}
        return "$.page.getByRole(value.role, value.options)", {"role": role, "options": options}

    def click(self, role: str, name: str, *, exact: bool = True, seconds: float = SECONDS) -> None:
        where, value = self._locator(role, name, exact)
        self.do(f"await {where}.first().click({{timeout: value.ms}})", value | {"ms": 1000 * seconds})

    def see(self, role: str, name: str | None = None, *, exact: bool = True, seconds: float = SECONDS) -> str:
        """Wait until it can be seen; its text."""
        where, value = self._locator(role, name, exact)
        code = f"const it = {where}.first(); await it.waitFor({{timeout: value.ms}}); return await it.innerText()"
        text: str = self.do(code, value | {"ms": 1000 * seconds})
        return text

    def sees(self, role: str, name: str, *, exact: bool = True) -> bool:
        """Whether it can be seen now."""
        where, value = self._locator(role, name, exact)
        return bool(self.do(f"return await {where}.first().isVisible()", value))

    def read(self, text: str, *, seconds: float = SECONDS) -> str:
        """Wait for words, given as a regular expression, that can be seen; the element's text."""
        code = (
            "const it = $.page.locator('body').getByText(new RegExp(value.text)).filter({visible: true}).last();"
            "await it.waitFor({timeout: value.ms}); return await it.innerText()"
        )
        found: str = self.do(code, {"text": text, "ms": 1000 * seconds})
        return found

    def choose(self, label: str, *files: Path) -> None:
        """Files for an input of that label."""
        code = "await $.page.getByLabel(value.label).first().setInputFiles(value.files)"
        self.do(code, {"label": label, "files": [str(path) for path in files]})

    def unfold(self, summary: str) -> None:
        """Show what lies behind a summary, where it is not shown yet."""
        code = (
            "const it = $.page.locator('summary', {hasText: value}).first(); await it.waitFor();"
            "if (!(await it.evaluate((each) => each.parentElement.open))) await it.click()"
        )
        self.do(code, summary)

    def picture(self, path: Path) -> None:
        self.do("await $.page.screenshot({path: value, fullPage: true})", str(path))

    def faults(self) -> list[dict[str, Any]]:
        """What axe-core finds that is serious or critical."""
        code = """
            const axe = $.require.resolve("axe-core/axe.min.js");
            // evaluated beside the page, since its policy lets no other script in
            if (await $.page.evaluate("typeof axe === 'undefined'")) {
              await $.page.evaluate(require("node:fs").readFileSync(axe, "utf8"));
            }
            const found = await $.page.evaluate(() => axe.run(document, {resultTypes: ["violations"]}));
            return found.violations.filter((each) => ["serious", "critical"].includes(each.impact)).map((each) =>
              ({id: each.id, impact: each.impact, help: each.help, nodes: each.nodes.map((node) => node.html)}));
        """.replace('require("node:fs")', '$.require("node:fs")')
        found: list[dict[str, Any]] = self.do(code)
        return found

    def overflow(self) -> float:
        """How many pixels the page is wider than its window."""
        wide: float = self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wide


class Browser:
    """A Chromium that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, code: str, value: Any = None) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "value": value}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BrowserError("the browser ended")
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(answer["error"])
        return answer["value"]

    @contextmanager
    def page(self, device: dict[str, Any] = DESKTOP, *, camera_of: str | None = None, **more: Any) -> Iterator[Page]:
        """A tab of a new profile.

        Args:
            device: `DESKTOP` or `PHONE`.
            camera_of: an origin that may use the camera.
            more: of playwright's context, say colorScheme.
        """
        code = """
            $.context = await $.browser.newContext(value.options);
            $.context.setDefaultTimeout(value.ms);
            if (value.camera) await $.context.grantPermissions(["camera"], {origin: value.camera});
            $.page = await $.context.newPage();
            $.said = [];
            $.page.on("console", (m) => { if (["error", "warning"].includes(m.type())) $.said.push(m.text()); });
            $.page.on("pageerror", (e) => $.said.push(String(e)));
        """
        self.do(code, {"options": device | more, "camera": camera_of, "ms": 1000 * SECONDS})
        page = Page(self)
        try:
            yield page
        finally:
            page.said = self.do("return $.said")
            self.do("await $.context.close()")


@contextmanager
def browsing(*arguments: str) -> Iterator[Browser]:
    """Chromium with further arguments of its own."""
    executable = chromium()
    assert executable is not None
    script = str(Path(__file__).with_name("browser.mjs"))
    command = ["node", script, str(PACKAGE), executable, *ARGUMENTS, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Browser(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
