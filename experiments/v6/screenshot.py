"""The picture of a report in README: a run of v6, its page in a browser, as a PNG file.

    python experiments/v6/screenshot.py

Needs '.[test]' and a Chromium; takes about a minute and writes ``report.png``.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from playwright import sync_api

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# WebGL in software, for machines without a GPU; no sandbox, for containers that run as root.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def photograph(page, picture):
    """The head of a report, with the plane that shows how levels branch, as a PNG file."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        sys.exit(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 990})
        tab.goto(page.as_uri())
        tab.get_by_role("button", name="PC 3–4").click()
        tab.wait_for_timeout(2000)
        tab.screenshot(path=picture)
        browser.close()


def main():
    """Train, and photograph the report that comes with it."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = pathlib.Path(folder, "v6-seed0")
        command = [sys.executable, "-m", "tvae.main", "--config=v6"]
        subprocess.run([*command, f"--workdir={workdir}"], cwd=REPOSITORY, check=True)
        photograph(workdir / "report.html", HERE / "report.png")


if __name__ == "__main__":
    main()
