"""The report in a real browser: no complaint at any width, and its disk answers the pointer."""

import itertools
import re
import shutil

import pytest

import tvae.plot
from tvae.geometry.tree import TableTree
from tvae.reporting import page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of '.[test]'")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 768, 1400)
# No sandbox, for containers that run as root.
FLAGS = ["--no-sandbox"]
READY = """() => [...document.querySelectorAll('[data-plot]')].every(
    place => place.querySelector('svg')
) && [...document.querySelectorAll('.disk')].every(place => place.seen)"""


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
def pages(runs, tmp_path_factory):
    """Name -> path of a page: reports, a comparison, and a disk of points alone."""
    folder = tmp_path_factory.mktemp("pages")
    points = [[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.7, 0.2], [0.7, -0.2]]
    tree = TableTree([-1, 0, 0, 1, 1])
    disk = tvae.plot.disk(points, tree, labels=["root", "b", "c", "</script>", "e"])
    disk.save(folder / "disk.html")
    tasks = ("hyperbolic_vae", "dual_vae", "projected_vae")
    found = {task: page.write_report(runs[task]) for task in tasks}
    found["comparison"] = page.write_comparison(
        [runs["hyperbolic_vae"], runs["projected_vae"]], folder / "comparison.html"
    )
    return found | {"points": folder / "disk.html"}


def opened(browser, path, width=1280):
    """A tab with a page drawn, and what the browser complained about."""
    tab, complaints = browser.new_page(viewport={"width": width, "height": 1000}), []
    tab.emulate_media(reduced_motion="reduce")
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: complaints.append(request.url))
    tab.goto(path.as_uri())
    tab.wait_for_function(READY)
    complaints.remove(path.as_uri())
    return tab, complaints


@pytest.fixture(scope="module")
def tab(browser, pages):
    return opened(browser, pages["hyperbolic_vae"])


NAMES = ["hyperbolic_vae", "dual_vae", "projected_vae", "comparison", "points"]


@pytest.mark.parametrize(("name", "width"), list(itertools.product(NAMES, WIDTHS)))
def test_a_page_fits_every_width_without_complaint(browser, pages, name, width):
    opened_tab, complaints = opened(browser, pages[name], width)
    assert opened_tab.evaluate("document.documentElement.scrollWidth") == width
    # Nothing is cut off either, but in tables and code that scroll on their own.
    beyond = opened_tab.evaluate("""() => [...document.querySelectorAll('body *')].filter(
        each => !each.closest('.scroll, pre, #tip')
          && each.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    ).length""")
    assert beyond == 0
    assert complaints == []
    opened_tab.close()


def seen(tab, index):
    """Where an item is seen, in pixels of the window, and its level."""
    return tab.evaluate(f"document.querySelector('.disk').seen({index})")


def in_disk(tab, index):
    """The same in units of the disk, as a complex number."""
    canvas = tab.locator(".disk canvas").bounding_box()
    x, y, _ = seen(tab, index)
    scale = canvas["width"] / 2 - 8
    return complex(
        (x - canvas["x"] - canvas["width"] / 2) / scale,
        (canvas["y"] + canvas["height"] / 2 - y) / scale,
    )


def is_true_of(index, digits, valuation, n_digits):
    """Whether an operation has these digits, written as signs, and this valuation."""
    value = sum("-0+".index(sign) * 3**k for k, sign in enumerate(digits))
    divides = [k for k in range(n_digits + 1) if index % 3**k == 0]
    return len(digits) == n_digits and value == index and valuation == max(divides)


@pytest.mark.parametrize(("name", "n_digits"), [("hyperbolic_vae", 9), ("dual_vae", 5)])
def test_the_disk_names_what_the_pointer_meets(browser, pages, name, n_digits):
    opened_tab, complaints = opened(browser, pages[name])
    opened_tab.locator(".disk canvas").scroll_into_view_if_needed()
    x, y, level = seen(opened_tab, 0)
    assert level == n_digits
    opened_tab.mouse.move(x, y)
    # Where points coincide the pointer meets either; its label must be true of that one.
    label = opened_tab.locator("#tip").inner_text().replace("\n", " ")
    index, digits, valuation = re.match(r"index (\d+) digits (\S+) valuation (\d)", label).groups()
    assert is_true_of(int(index), digits, int(valuation), n_digits)
    assert complaints == []
    opened_tab.close()


def test_a_found_item_comes_to_the_centre_by_a_moebius_translation(tab):
    opened_tab, complaints = tab
    opened_tab.get_by_role("button", name="Reset").click()
    others = (0, 1, 2, 5, 81, 19_682)
    before = {index: in_disk(opened_tab, index) for index in (7, *others)}
    field = opened_tab.get_by_role("searchbox")
    field.fill("+-0------")
    field.press("Enter")
    label = opened_tab.locator(".answer").inner_text()
    assert label.startswith("index 11 ")
    field.fill("7")
    field.press("Enter")
    opened_tab.wait_for_timeout(50)
    assert abs(in_disk(opened_tab, 7)) < 0.01
    # The order of translations turns the disk about its centre and no more.
    for i, j in itertools.combinations(others, 2):
        then, now = (
            abs((z[j] - z[i]) / (1 - z[i].conjugate() * z[j]))
            for z in (before, {k: in_disk(opened_tab, k) for k in (i, j)})
        )
        assert now == pytest.approx(then, abs=0.02)
    field.fill("no such item")
    field.press("Enter")
    assert "There is no digits or index no such item" in opened_tab.locator(".answer").inner_text()
    opened_tab.get_by_role("button", name="Reset").click()
    assert abs(in_disk(opened_tab, 7) - before[7]) < 0.01
    assert complaints == []


def test_a_click_brings_an_item_to_the_centre(tab):
    opened_tab, complaints = tab
    opened_tab.get_by_role("button", name="Reset").click()
    opened_tab.locator(".disk canvas").scroll_into_view_if_needed()
    x, y, _ = seen(opened_tab, 6561)
    opened_tab.mouse.click(x, y)
    label = opened_tab.locator(".answer").inner_text()
    chosen = int(re.match(r"index (\d+)", label).group(1))
    assert abs(in_disk(opened_tab, chosen)) < 0.01
    assert complaints == []


def test_pictures_colours_and_branches_can_be_chosen(tab):
    opened_tab, complaints = tab
    opened_tab.get_by_role("button", name="Reset").click()
    before = in_disk(opened_tab, 5)
    opened_tab.get_by_role("button", name="PC 3–4").click()
    after = in_disk(opened_tab, 5)
    assert abs(after - before) > 0.01
    assert abs(after) == pytest.approx(abs(before), abs=0.01)
    assert "directions 3 and 4" in opened_tab.locator(".disk .caption").inner_text()
    legend = opened_tab.locator(".disk .legend button")
    assert legend.all_inner_texts() == ["-…", "0…", "+…"]
    legend.first.click()
    assert legend.first.get_attribute("aria-pressed") == "true"
    opened_tab.get_by_role("button", name="by valuation").click()
    assert legend.all_inner_texts() == [str(level) for level in range(10)]
    opened_tab.get_by_role("button", name="Layout").click()
    assert abs(in_disk(opened_tab, 5) - before) < 0.01
    assert complaints == []


def test_a_chart_names_its_values_and_hides_a_line(tab):
    opened_tab, complaints = tab
    place = opened_tab.locator("[data-plot=curves-0]")
    place.scroll_into_view_if_needed()
    place.locator("svg").hover()
    label = opened_tab.locator("#tip").inner_text()
    assert re.match(r"epoch \d+\ntrain/loss 0\.\d+", label)
    several = opened_tab.locator("[data-plot]", has=opened_tab.locator(".legend")).first
    lines = several.locator("path").count()
    several.locator(".legend button").first.click()
    assert several.locator("path").count() == lines - 1
    assert complaints == []


def test_a_label_cannot_end_the_script(browser, pages):
    opened_tab, complaints = opened(browser, pages["points"])
    field = opened_tab.get_by_role("searchbox")
    field.fill("</script>")
    field.press("Enter")
    assert opened_tab.locator(".answer").inner_text().startswith("index 3 · label </script>")
    assert complaints == []
    opened_tab.close()
