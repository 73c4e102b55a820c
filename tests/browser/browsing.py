"""Debian's chromium, driven headless: by keys alone, at a width, light or dark; and what axe-core finds of a page."""

import shutil
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

DRIVER: Final = shutil.which("chromedriver")
CHROMIUM: Final = shutil.which("chromium")
MOST_STOPS: Final = 400
HEIGHT: Final = 900
PATIENCE_S: Final = 60
POLL_S: Final = 0.02
GRAVE: Final = ("serious", "critical")
OF_COLOUR: Final = ("color-contrast", "link-in-text-block")
"""Rules of axe-core whose answer colours change."""


DESCRIBE: Final = """
function described() {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  const middle = [box.left + box.width / 2, box.top + box.height / 2];
  if (!one.dataset.stop) one.dataset.stop = String(window.stops = (window.stops || 0) + 1);
  return {
    stop: Number(one.dataset.stop),
    what: one.outerHTML.slice(0, 160),
    href: one.getAttribute("href") || "",
    name: one.getAttribute("name") || "",
    value: one.getAttribute("value") || "",
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
      && middle[0] >= 0 && middle[0] <= innerWidth,
  };
}
"""
RECORD: Final = f"""{DESCRIBE}
window.walked = [];
window.recorder ||= addEventListener("keyup", () => walked.push(described())) || true;
"""
"""What has the focus is kept each time that a key was let go, so that many can be pressed in one go."""

FROM_THE_TOP: Final = """
document.querySelectorAll("[data-stop]").forEach(one => delete one.dataset.stop);
window.stops = 0;
document.body.tabIndex = -1;
document.body.focus();
document.body.removeAttribute("tabindex");
"""
IN_ONE_GO, IN_A_STEP = 25, 10
STOPS = """
const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
return [...document.querySelectorAll(kinds)]
  .filter(one => one.checkVisibility()).length;
"""
SPILLS: Final = """
return [...document.querySelectorAll("main *")]
  .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1 && !one.closest("svg, .scroll"))
  .filter(one => getComputedStyle(one).overflowX === "visible")
  .map(one => one.outerHTML.slice(0, 200));
"""
AUDIT = """
const done = arguments[1];
const options = {resultTypes: ["violations"], preload: false, ...(arguments[0].length && {runOnly: arguments[0]})};
axe.run(document, options).then(found => done(found.violations.flatMap(
  one => one.nodes.map(node => [one.impact, one.id, node.html.slice(0, 200), node.failureSummary]))));
"""


class Browser:
    """One window on one collector."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self._driver, self._url, self._scripts = driver, url, True

    def anew(self, downloads: Path, *, scripts: bool = True) -> "Browser":
        """Itself, of somebody who was never there. `scripts`: whether pages may have any."""
        self._tools("Network.clearBrowserCookies")
        self._tools("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._scripts = scripts
        self._tools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        self.downloads = downloads
        self.complaints()
        return self

    def _tools(self, command: str, **values: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._driver.execute_cdp_cmd(command, values)
        return answer

    def open(self, path: str) -> None:
        self._driver.get(self._url + path)

    @property
    def path(self) -> str:
        """Where it is, without the host."""
        return self._driver.current_url.removeprefix(self._url)

    @property
    def text(self) -> str:
        """What is to be read on the page."""
        return str(self._driver.execute_script("return document.body.innerText"))

    def run(self, script: str) -> Any:
        """What a script says that is run on the page."""
        return self._driver.execute_script(script)

    def look(self, width: int, scheme: str = "light") -> None:
        """As a window of that width shows it, to somebody who prefers light or dark."""
        metrics = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self._tools("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._tools("Emulation.setEmulatedMedia", features=features)

    def press(self, *keys: str) -> None:
        ActionChains(self._driver).send_keys(*keys).perform()

    def back(self) -> None:
        """As Alt and the left arrow do."""
        self._driver.back()

    def focus(self) -> dict[str, Any] | None:
        """What has the focus, and whether that is to be seen; None where it is the page itself."""
        found: dict[str, Any] | None = self._driver.execute_script(
            f"{DESCRIBE} return described();"
        )
        return found

    def tab_to(self, key: str, wanted: str) -> None:
        """Tab until what has the focus has in its `key` (href, name, value, what) this text."""
        for _ in range(MOST_STOPS // IN_A_STEP):
            found = self._pressed(Keys.TAB, IN_A_STEP)
            for passed, at in enumerate(found):
                if at is None:
                    continue
                assert (at["outlined"], at["seen"]) == (True, True), at
                if wanted in at[key]:
                    if passed + 1 < len(found):
                        self._return(len(found) - passed - 1, at)
                    return
        raise AssertionError(f"no {key} {wanted!r} is reached by the tab key on {self.path}")

    def _pressed(self, key: str, times: int) -> list[dict[str, Any] | None]:
        """What had the focus after each time; where the page may have no script it is pressed once."""
        if not self._scripts:
            self.press(key)
            return [self.focus()]
        self._driver.execute_script(RECORD)
        self.press(*[key] * times)
        found: list[dict[str, Any] | None] = self._driver.execute_script("return walked")
        return found

    def _return(self, steps: int, to: dict[str, Any]) -> None:
        """Back by Shift and the tab key: as many stops as went past that one, and more where the page was left."""
        for _ in range(MOST_STOPS):
            self.press(Keys.SHIFT, *[Keys.TAB] * steps, Keys.SHIFT)
            at, steps = self.focus(), 1
            if at is not None and at["stop"] == to["stop"]:
                return
        raise AssertionError(f"Shift and the tab key lead not back to {to['what']}")

    def follow(self, key: str, wanted: str) -> None:
        """The link or button, by keys alone, until the next page is there."""
        self.tab_to(key, wanted)
        self._leave()

    def enter(self, field: str, text: str) -> None:
        """Type into a field of the page, and send the form, by keys alone."""
        self.type_in(field, text)
        self._leave()

    def type_in(self, field: str, text: str) -> None:
        self.tab_to("name", field)
        self.press(text)

    def log_in(self, token: str) -> None:
        """As somebody who was sent to the login."""
        self.open("/login")
        self.enter("token", token)

    def _leave(self) -> None:
        self._driver.execute_script("window.stale = true")
        self.press(Keys.ENTER)
        self.wait("!window.stale && document.readyState === 'complete'")

    def download(self, key: str, wanted: str) -> Path:
        """The file behind a link, once it is there whole."""
        self.tab_to(key, wanted)
        self.press(Keys.ENTER)
        waiting = WebDriverWait(self._driver, PATIENCE_S, POLL_S)
        waiting.until(lambda _: [*self.downloads.glob("*.pdf")])
        return next(self.downloads.glob("*.pdf"))

    def wait(self, condition: str) -> None:
        WebDriverWait(self._driver, PATIENCE_S, POLL_S).until(
            lambda driver: driver.execute_script(f"return {condition}")
        )

    def tour(self) -> tuple[list[dict[str, Any]], int]:
        """Every stop of the tab key until it leaves the page; and how many there should be."""
        expected = int(self._driver.execute_script(STOPS))
        self._driver.execute_script(FROM_THE_TOP)
        found: list[dict[str, Any] | None] = []
        for _ in range(4 * expected // IN_ONE_GO + 2):  # a date has fields of its own
            found += self._pressed(Keys.TAB, IN_ONE_GO)
            stops, left = _once_round(found)
            if left:
                return stops, expected
        raise AssertionError(f"the tab key does not leave {self.path}: {found[-3:]}")

    def findings(self, axe: str, scheme: str = "light") -> list[list[str]]:
        """What axe-core, whose source is given, finds serious or critical; in dark of the rules that colours change."""
        if not self._driver.execute_script("return 'axe' in window"):
            self._driver.execute_script(axe)
        rules = OF_COLOUR if scheme == "dark" else ()
        found = self._driver.execute_async_script(AUDIT, rules)
        return [one for one in found if one[0] in GRAVE]

    def complaints(self) -> list[dict[str, Any]]:
        """What the console said since the last call, but for mere advice."""
        said = self._driver.execute("getLog", {"type": "browser"})["value"]
        return [one for one in said if one["level"] in ("WARNING", "SEVERE")]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self._driver.execute_script(f"return {wide}"))

    def spills(self) -> list[str]:
        """What has more in it than its width, and would lie over its neighbour."""
        found: list[str] = self._driver.execute_script(SPILLS)
        return found

    def picture(self, file: Path) -> None:
        """The whole page."""
        sizes = self._tools("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": sizes["width"], "height": sizes["height"], "scale": 1}
        shot = self._tools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(b64decode(shot["data"]))


def _once_round(found: list[dict[str, Any] | None]) -> tuple[list[dict[str, Any]], bool]:
    """The stops in their order until none has the focus, or an earlier one again; and whether it came to that."""
    stops: list[dict[str, Any]] = []
    for at in found:
        if at is None or (stops and at["stop"] < stops[-1]["stop"]):
            return stops, True
        if not stops or stops[-1]["stop"] != at["stop"]:
            stops.append(at)
    return stops, False


@contextmanager
def browsing(url: str) -> Iterator[Browser]:
    """A browser, which ends with the block."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "disable-gpu",
        "hide-scrollbars",
        "lang=en",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_script_timeout(PATIENCE_S)
        yield Browser(driver, url)
    finally:
        driver.quit()
