"""The pictures of v6 in README: its embedding, and the report of a run in a browser.

    python experiments/v6/screenshot.py

``disk.png`` is of the checkpoint that ships; ``report.png`` of a run that is trained here. Needs
'.[test]' and a Chromium; takes about a minute.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from playwright import sync_api

import tvae

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def photograph(page, picture):
    """The head of a report as a PNG file."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        sys.exit(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with sync_api.sync_playwright() as driver:
        # No sandbox, for containers that run as root.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1040})
        tab.goto(page.as_uri())
        tab.wait_for_function("document.querySelector('.disk').seen")
        tab.screenshot(path=picture)
        browser.close()


def main():
    """Draw what ships, train, and photograph the report that comes with it."""
    tvae.plot.disk(tvae.load("v6")).save(HERE / "disk.png")
    with tempfile.TemporaryDirectory() as folder:
        # The page shows the path from the working directory.
        command = [sys.executable, "-m", "tvae.main", "--config=v6", "--workdir=v6-seed0"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        subprocess.run(command, cwd=folder, env=environment, check=True)
        photograph(pathlib.Path(folder, "v6-seed0", "report.html"), HERE / "report.png")


if __name__ == "__main__":
    main()
