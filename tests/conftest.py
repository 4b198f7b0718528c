"""A headless Chromium for the pages that people open; where there is none, the tests that need it say so."""

import json
import shutil

import pytest

from twostage.startup import quick_start

quick_start()  # tests import everything there is

LOCAL = ("file:", "data:", "blob:", "about:", "chrome:", "devtools:")


class Browser:
    """A page at a time: what it says on the console, what it asks for, what stands in it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, *, width=1280, height=900):
        """Open a file in a window of this size and forget what earlier pages said."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.driver.get("about:blank")
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.get(path.resolve().as_uri())

    def run(self, script, *arguments):
        """The value that a script (with ``return``) gives in the page."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script, seconds=20):
        """Wait until a script gives something true, and return it."""
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, seconds, 0.1).until(lambda _: self.run(script))

    def complaints(self):
        """Errors on the console since the page was opened, list of str."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self):
        """Addresses outside this machine's files that the page asked for, list of str."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(LOCAL)]


@pytest.fixture(scope="session")
def browser():
    from selenium import webdriver

    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium or no chromedriver on this machine (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield Browser(started)
    started.quit()
