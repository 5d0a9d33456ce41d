"""The report in a real browser: it draws without complaint, and its disk answers the pointer."""

import math
import re
import shutil

import pytest

from tvae.reporting import page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of '.[test]'")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# WebGL in software, for machines without a GPU; no sandbox, for containers that run as root.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with sync_api.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def tabs(browser, runs):
    """Task -> a tab with its report drawn, and what the browser complained about."""
    return {
        task: opened(browser, page.write_report(runs[task]))
        for task in ("hyperbolic_vae", "dual_vae")
    }


def opened(browser, path):
    tab, complaints = browser.new_page(viewport={"width": 1280, "height": 1000}), []
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: complaints.append(request.url))
    tab.goto(path.as_uri())
    tab.wait_for_function("document.getElementById('disk')?._fullLayout !== undefined")
    complaints.remove(path.as_uri())
    return tab, complaints


def hover_first_of(tab, level):
    """Move the pointer onto the first point of a valuation; the text of the hover layer."""
    place = """level => {
        const disk = document.getElementById("disk"), layout = disk._fullLayout;
        const box = disk.getBoundingClientRect(), trace = disk.data[level];
        return [box.left + layout.xaxis._offset + layout.xaxis.l2p(trace.x[0]),
                box.top + layout.yaxis._offset + layout.yaxis.l2p(trace.y[0])];
    }"""
    x, y = tab.evaluate(place, level)
    layer = tab.locator("#disk .hoverlayer .hovertext")
    # Plotly lets some pointer events pass while it draws.
    for attempt in range(40):
        tab.mouse.move(x - attempt % 2, y)
        tab.wait_for_timeout(100)
        if layer.count():
            return layer.first.text_content()
    raise AssertionError("no hover text appeared in four seconds")


def is_true_of(index, digits, valuation, n_digits):
    """Whether an operation has these digits, written as signs, and this valuation."""
    value = sum("-0+".index(sign) * 3**k for k, sign in enumerate(digits))
    divides = [k for k in range(n_digits + 1) if index % 3**k == 0]
    return len(digits) == n_digits and value == index and valuation == max(divides)


@pytest.mark.parametrize("task", ["hyperbolic_vae", "dual_vae"])
def test_the_report_opens_and_its_disk_answers(tabs, task):
    tab, complaints = tabs[task]
    places = tab.locator("[data-plot]").count()
    assert tab.locator("[data-plot] .main-svg").count() >= places
    levels = tab.evaluate("document.getElementById('disk').data.length")
    said = hover_first_of(tab, levels - 1)
    # Where points coincide the pointer meets either; what it says must be true of that one.
    index, digits, valuation = re.match(r"index (\d+)digits (.+)valuation (\d)", said).groups()
    assert is_true_of(int(index), digits, int(valuation), levels - 1)
    assert complaints == []


def test_the_page_finds_each_operations_digits_and_valuation(tabs):
    tab, _ = tabs["hyperbolic_vae"]
    about = tab.evaluate("document.getElementById('disk').data.flatMap(trace => trace.customdata)")
    assert sorted(row[0] for row in about) == list(range(3**9))
    assert all(is_true_of(*row[:3], 9) for row in about[:: 3**9 // 50])


def test_the_plane_and_the_radius_can_be_chosen(tabs):
    tab, complaints = tabs["hyperbolic_vae"]
    first = "[...document.getElementById('disk').data[0].x.slice(0, 50)]"
    radius = "Math.hypot(document.getElementById('disk').data[0].x[0], \
        document.getElementById('disk').data[0].y[0])"
    before, length = tab.evaluate(first), tab.evaluate(radius)
    tab.get_by_role("button", name="PC 3–4").click()
    after = tab.evaluate(first)
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) > 1e-3
    assert math.isclose(tab.evaluate(radius), length, rel_tol=1e-4)
    assert "directions 3 and 4" in tab.locator("#disk-caption").inner_text()
    tab.get_by_role("button", name="Projected").click()
    assert tab.evaluate(radius) < length
    assert complaints == []
