"""The report of a run as a reader meets it: opens at once, shows everything, fetches nothing, fits a phone."""

import json

import pytest

REPORT = "results/smoke/report.html"
PAGE = "const page = document.querySelector('iframe.overview')?.contentDocument;"


@pytest.fixture
def opened(finished, browser):
    """Opens the report in a window of a given width, waits for the overview."""

    def open_at(width, height=900):
        browser.open(finished.folder / REPORT, width=width, height=height)
        browser.wait(PAGE + "return page && page.querySelector('#provenance') !== null")
        return browser

    return open_at


def test_the_overview_comes_first_claims_before_figures_and_every_figure_shows(opened, finished):
    page = opened(1280)
    order = page.run(
        PAGE + "return ['stages', 'claims', 'beside', 'figures', 'provenance'].map(id => "
        "page.getElementById(id).getBoundingClientRect().top)"
    )
    assert order == sorted(order)
    page.wait(PAGE + "return [...page.images].every(i => i.complete)")
    shown = page.run(PAGE + "return [...page.images].map(i => i.naturalWidth)")
    figures = list((finished.folder / "results/smoke/report").glob("*.png"))
    assert len(shown) == len(figures) > 10
    assert min(shown) > 100


def test_every_item_of_the_menu_opens(opened):
    page = opened(1280)
    kinds = page.run("return Object.entries(results).map(([path, item]) => [path, item.mime_type])")
    assert {"image/png", "text/html", "text/csv"} <= {kind for _, kind in kinds}
    for path, kind in kinds:
        if kind in ("image/png", "text/html"):
            content, node = ("img", "img") if kind == "image/png" else ("html", "iframe")
            page.run(
                "app.setView({ content: arguments[0], contentPath: results[arguments[1]].data_uri })", content, path
            )
            page.wait(
                f"const node = document.querySelector('#app > div > div.grow {node}');"
                f"return node && node.src === results['{path}'].data_uri && (node.naturalWidth ?? 101) > 100"
            )
    assert (page.complaints(), page.requests()) == ([], [])


def test_pages_inside_the_report_run_their_scripts(opened, browser):
    page = opened(1280)
    path = page.run("return Object.keys(results).find(path => path.endsWith('interactive.html'))")
    page.run("app.setView({ content: 'html', contentPath: results[arguments[0]].data_uri })", path)
    page.wait("return document.querySelector('#app iframe')?.src.startsWith('data:text/html')")
    browser.driver.switch_to.frame(browser.driver.find_element("css selector", "#app iframe"))
    page.wait("return document.querySelector('#curve svg') !== null")
    browser.driver.switch_to.default_content()


def test_links_of_the_overview_lead_into_the_report(opened):
    page = opened(1280)
    page.run(PAGE + "page.querySelector('nav a[data-file]').click()")
    page.wait("return document.querySelector('#app iframe')?.src.startsWith('data:text/html')")
    assert page.complaints() == []


def test_tables_sort_by_their_headings(opened):
    page = opened(1280)
    column = (
        PAGE + "const table = page.querySelector('#claims table');"
        "const read = () => [...table.tBodies[0].rows].map(row => row.cells[1].dataset.value);"
        "const before = read(); table.tHead.rows[0].cells[1].click(); const up = read();"
        "table.tHead.rows[0].cells[1].click(); return [before, up, read()]"
    )
    before, up, down = page.run(column)
    assert up == sorted(before, key=float)
    assert down == sorted(before, key=float, reverse=True)


def test_it_fits_a_phone(opened):
    page = opened(390, 800)
    wide, inside, smallest = page.run(
        PAGE + "const size = node => parseFloat(page.defaultView.getComputedStyle(node).fontSize);"
        "return [document.documentElement.scrollWidth, page.documentElement.scrollWidth,"
        "Math.min(...[...page.querySelectorAll('p, td, li, h1, h2, h3')].map(size))]"
    )
    assert wide <= 390
    assert inside <= 390
    assert smallest >= 12
    # The menu leaves most of the height to the page.
    assert page.run("return document.querySelector('nav').getBoundingClientRect().height") <= 0.4 * 800


def test_it_is_whole_and_small(finished):
    report = finished.folder / REPORT
    assert report.stat().st_size < 20e6
    assert not [word for word in ('src="http', 'href="http', "url(http") if word in report.read_text()]


def test_every_number_can_be_traced_to_the_images(finished, opened):
    page = opened(1280)
    rows = page.run(
        PAGE + "return [...page.querySelectorAll('#made tbody tr')].map(row => [row.cells[0].dataset.value,"
        "[...row.cells[1].querySelectorAll('a')].map(a => a.hash.slice(1)), row.cells[5].textContent])"
    )
    ids = set(page.run(PAGE + "return [...page.querySelectorAll('code[id]')].map(c => c.id)"))
    assert len(rows) > 60
    for path, sources, digest in rows:
        assert len(digest) == 12, path
        assert set(sources) <= ids, path
    claims = json.loads((finished.folder / "results/smoke/report/claims.json").read_text())["claims"]
    known = {path for path, *_ in rows}
    assert all(set(claim["sources"]) <= known for claim in claims)
