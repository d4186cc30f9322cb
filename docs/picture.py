"""Take the README's picture of a lesson: 02 in JupyterLab, in the middle of a build.

    pip install selenium                    # and Chromium with its chromedriver on PATH
    python docs/picture.py                  # docs/lesson.png; needs an engine with the bases of 02

The lesson runs live from its first cell to the build of three stages without the cache; the picture
is taken while that build runs. What is stored in the notebook does not change.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "lesson.png"
BUILDS, RUNS = "no_cache=True", "npm ci"  # the cell that builds, and a step that takes a while
PAGE, BUILD = 120, 900  # seconds: until JupyterLab is there, and until that cell builds
TEXT = "return arguments[0].innerText"


def main() -> None:
    """Start JupyterLab, run the lesson up to the build, and take the picture."""
    command = [sys.executable, "-m", "shiplight", "up", "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))
            browser = _browser()
            try:
                own = address[0].replace("/lab/tree/", "/lab/workspaces/picture/tree/")
                browser.get(own.replace("00-first", "02-node"))
                _run_to_the_build(browser)
                browser.save_screenshot(str(PICTURE))
            finally:
                browser.quit()
        finally:
            server.terminate()


def _browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for one in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,900"):
        options.add_argument(one)
    return webdriver.Chrome(options=options)


def _run_to_the_build(browser: webdriver.Chrome) -> None:
    """Run cell by cell; return as soon as two installs are seen to run."""
    cells = ".jp-Notebook .jp-CodeCell"
    WebDriverWait(browser, PAGE).until(lambda page: page.find_elements(By.CSS_SELECTOR, cells))
    WebDriverWait(browser, PAGE).until(
        lambda page: "Idle" in page.find_element(By.ID, "jp-main-statusbar").text
    )
    browser.find_element(By.CSS_SELECTOR, ".jp-Notebook .jp-MarkdownOutput").click()
    deadline = time.monotonic() + BUILD
    while time.monotonic() < deadline:
        selected = browser.find_element(By.CSS_SELECTOR, ".jp-Cell.jp-mod-active")
        found = BUILDS in browser.execute_script(TEXT, selected)
        run = ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT)
        run.perform()
        if found:
            return _wait_for_steps(browser, selected, deadline)
        time.sleep(0.3)
    raise TimeoutError("no cell builds without the cache")


def _wait_for_steps(browser: webdriver.Chrome, cell, deadline: float) -> None:
    while time.monotonic() < deadline:
        said = browser.execute_script(TEXT, cell)
        if "[*]" in said and said.count(RUNS) >= 2:
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
            time.sleep(1.5)
            return
        time.sleep(0.2)
    raise TimeoutError("the build was not seen to run")


if __name__ == "__main__":
    main()
