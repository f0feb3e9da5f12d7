"""What a person sees of `weir demo` in a browser. Each check says what would be
broken; the first that fails ends the run with 1."""

import argparse
import json
import pathlib
import sys
import time
import urllib.parse

from axe_playwright_python.sync_playwright import Axe
from browser import PATIENCE, Browser, Demo, Idle, check
from playwright.sync_api import sync_playwright

# Labels that mean something to browsers, spreadsheets, terminals and templates.
# A name's first label has up to 63 octets.
HOSTILE = [
    b"<script>window.pwned=1</script>",
    b"<img src=x onerror=window.pwned=1>",
    b"\"'><svg onload=window.pwned=1>",
    b"</td></table><script>pwned=1</script>",
    b"javascript:window.pwned=1",
    b"{{constructor.constructor('pwned=1')()}}",
    b"=HYPERLINK(0)",
    b"`![x](http://x)`",
    b"\x1b]0;pwned\x07\x1b[31m",
    b"line\nbreak\x00nul",
    b"\xe2\x80\xae\xff\xfe",
]


def pages(demo):
    name = urllib.parse.quote(demo.generated)
    return [
        ("overview", "Overview"), ("live", "Live"), ("detections", "Detections"), ("findings", "Findings"), ("lists", "Lists"), ("models", "Models"),
        ("incidents", "Incidents"), (f"name?n={name}", demo.generated), ("client?c=192.168.7.23", "192.168.7.23"),
        ("client?c=192.168.7.31", "192.168.7.31"),
    ]


def optional(browser):
    """Pages that are there only where something is switched on."""
    return [(p, p.capitalize()) for p in ("unusual", "alerts") if browser.page.locator(f"#pages a[href='#/{p}']").count() > 0]


def check_empty(chromium, weir):
    """What has nothing to show says what would be there, and why it is not."""
    demo = Idle(weir)
    browser = Browser(chromium, demo)
    seen = 0
    for path in ["client?c=192.0.2.1", "live", "detections", "findings", "unusual", "lists", "models", "incidents", "name?n=quiet.example", "overview"]:
        browser.open(path, urllib.parse.parse_qsl(path.partition("?")[2])[0][1] if "?" in path else path.capitalize())
        texts = [" ".join(t.split()) for t in browser.page.locator("main .empty").all_inner_texts()]
        for text in texts:
            check(len(text) > 40, f"{path} is empty and says only {text!r}")
        check(browser.page.locator("main table").count() + len(texts) > 0, f"{path} shows nothing at all")
        seen += len(texts)
    browser.complaints.clear()  # of clients nothing is kept, which is said as an error
    check(seen > 15, f"of a weir that saw nothing only {seen} tables are empty")
    browser.close()
    demo.end()


def check_widths(chromium, demo):
    """On a small screen nothing of a table is out of sight."""
    browser = Browser(chromium, demo, width=1100)
    for path, heading in pages(demo) + optional(browser):
        browser.open(path, heading)
        if path == "live":
            browser.until("document.querySelectorAll('main tbody tr').length > 3", "nothing comes live")
        cut = browser.page.evaluate("[...document.querySelectorAll('main .scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => `${e.getAttribute('aria-label')} by ${e.scrollWidth - e.clientWidth}`)")
        check(not cut, f"{path} is cut at 1100 pixels: {cut}")
    browser.close()


def check_looks(browser):
    """What is blocked looks the same on every page, and not only by its colour
    other than what would be: one is filled, the other an outline."""
    page, bars, tags = browser.page, {}, {}

    def looks(selector, *properties):
        return set(page.eval_on_selector_all(selector, f"all => all.map(e => {list(properties)}.map(p => getComputedStyle(e)[p]).join())"))

    for path, heading in [("overview", "Overview"), ("detections", "Detections")]:
        browser.open(path, heading)
        for look in ("watched", "blocked"):
            bars.setdefault(look, set()).update(looks(f"main svg rect.{look}", "stroke", "fill"))
            tags.setdefault(look, set()).update(looks(f"main .tag.{look}", "borderTopStyle", "color", "backgroundColor"))
            check(page.locator(f"main .key.{look}").count() == 1, f"{path} does not say what {look} looks like")
    for all_of, outline in ((bars, lambda l: not l.startswith("none")), (tags, lambda l: l.startswith("dashed"))):
        check(all(len(l) == 1 for l in all_of.values()), f"looks differ between pages: {all_of}")
        check(outline(*all_of["watched"]) and not outline(*all_of["blocked"]), f"told apart by colour alone: {all_of}")


def check_login(chromium, demo):
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(demo.base)
    page.wait_for_selector("h1:has-text('Log in')")
    check(page.locator("#search").is_hidden() and page.locator("#pages li").count() == 0, "who has not logged in sees more than the login")
    page.fill("#token", "wrong, but long enough")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('notice').textContent.includes('weir dashboard')")
    page.goto("about:blank")
    page.goto(demo.link)
    page.wait_for_function("() => document.querySelector('main h1')?.textContent === 'Overview'")
    check("code=" not in page.url, "the code stays in the address")
    cookie = context.cookies()[0]
    check(cookie["httpOnly"] and cookie["sameSite"] == "Strict", f"the cookie is {cookie}")
    page.click("#logout")
    page.wait_for_selector("h1:has-text('Log in')")
    page.goto("about:blank")
    page.goto(demo.link)
    page.wait_for_function("() => document.getElementById('notice').textContent.includes('was used')")
    context.close()


def check_door(demo):
    own, js = f"http://{demo.netloc}", "application/json"
    for what, want, request in [
        ("no session", 401, ("GET", "/api/v1/overview")),
        ("no session, change", 401, ("POST", "/api/v1/allow", "{}", {"Content_Type": js, "Origin": own})),
        ("foreign Host", 403, ("GET", "/", None, {"host": "attacker.example"})),
        ("foreign Host, operation", 403, ("GET", "/api/v1/overview", None, {"host": f"attacker.example:{demo.netloc.split(':')[1]}"})),
        ("foreign Origin", 403, ("GET", "/api/v1/overview", None, {"Origin": "http://attacker.example"})),
        ("foreign Origin, login", 403, ("POST", "/api/v1/login", "{}", {"Content_Type": js, "Origin": "http://attacker.example"})),
        ("a form as login", 415, ("POST", "/api/v1/login", "code=x", {"Content_Type": "application/x-www-form-urlencoded"})),
        ("a link over TCP", 404, ("POST", "/api/v1/dashboard/link", "{}", {"Content_Type": js})),
    ]:
        headers = request[3] if len(request) > 3 else {}
        got = demo.http(*request[:3], **headers)
        check(got == want, f"{what}: {got}, want {want}")


def check_pages(browser):
    for path, heading in pages(browser.demo) + optional(browser):
        browser.open(path, heading)
        if path == "live":
            browser.until("document.querySelectorAll('main tbody tr').length > 3", "nothing comes live")
        browser.calm(path)
        check(browser.page.title().endswith("weir"), f"{path} has the title {browser.page.title()}")
    browser.open("overview", "Overview")
    browser.until("Number([...document.querySelectorAll('dt')].find(d => d.textContent === 'Blocked').nextSibling.firstChild.textContent.replaceAll(',', '')) > 100", "the day of the demo is not on the overview")
    figure = {d["name"]: d["value"] for d in browser.page.evaluate("[...document.querySelectorAll('.figures dt')].map(d => ({name: d.textContent, value: Number(d.nextSibling.firstChild.textContent.replaceAll(',', ''))}))")}
    check(figure["Answers"] > 5 * figure["Blocked"], f"the overview does not agree with itself: {figure}")


def check_access(chromium, demo, scheme, width):
    """Accessibility by axe, and that nothing is wider than the screen."""
    browser = Browser(chromium, demo, scheme, width)
    axe = Axe()
    for path, heading in pages(demo) + optional(browser):
        browser.open(path, heading)
        if path == "live":
            browser.until("document.querySelectorAll('main tbody tr').length > 3", "nothing comes live")
        if browser.page.locator("main summary").count() > 0:
            browser.page.locator("main summary").first.click()
        wide = browser.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        check(wide <= 0, f"{path} is {wide} pixels too wide at {width}")
        # One row is as accessible as the next, and axe takes a second for each hundred.
        browser.page.evaluate("document.querySelectorAll('main tbody tr:nth-child(n+6), ul.tree li:nth-child(n+5)').forEach(e => e.remove())")
        found = axe.run(browser.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
        check(found.violations_count == 0, f"{path}, {scheme}, {width}: {found.generate_report()}")
    browser.close()


def check_search(browser):
    page = browser.page
    page.fill("#what", "paypal-login.com")
    page.keyboard.press("Enter")
    browser.heading("paypal-login.com")
    page.wait_for_selector("#verdict >> text=paypal.com")
    check("would be blocked: lookalike" in page.inner_text("#verdict"), f"the forged name: {page.inner_text('#verdict')}")
    page.fill("#what", "192.168.7.17")
    page.keyboard.press("Enter")
    browser.heading("192.168.7.17")
    page.wait_for_selector("main >> text=files.weirdemo-payload.net")
    browser.open("detections", "Detections")
    page.fill("#q", "weirdemo-payload")
    page.click("main button.main")
    browser.notice("found")
    names = set(page.locator("main td.name").all_inner_texts())
    check(names == {"files.weirdemo-payload.net"}, f"a search for the payload finds {names}")
    page.locator("main td.name a").first.click()
    browser.heading("files.weirdemo-payload.net")
    page.wait_for_selector("main >> text=AgentTesla")


def check_allow(browser):
    page, name = browser.page, browser.demo.generated
    browser.open(f"name?n={name}", name)
    page.wait_for_selector("#verdict >> text=blocked: model")
    page.wait_for_selector("#why svg")
    page.click("button:has-text('Let it through')")
    browser.notice("is let through until")
    browser.open("lists", "Lists")
    page.wait_for_selector(f"main td.name >> text={name}")
    browser.open(f"name?n={name}", name)
    page.wait_for_selector("#verdict >> text=allowed")
    browser.open("lists", "Lists")
    page.click(f"button[aria-label='End it for {name}']")
    browser.notice("no longer let through")
    page.click("button[aria-label='Refresh urlhaus']")
    browser.notice("urlhaus: unchanged")


def check_feedback(browser):
    if not optional(browser) or optional(browser)[0][0] != "unusual":
        print("  no page of what is unusual: skipped")
        return
    page = browser.page
    browser.open("unusual", "Unusual")
    page.wait_for_selector("main tbody tr")
    button = page.locator("main button:has-text('Fine')").first
    label = button.get_attribute("aria-label")
    button.click()
    browser.notice(": fine")
    page.wait_for_function("l => ![...document.querySelectorAll('main button')].some(b => b.getAttribute('aria-label') === l)", arg=label)
    page.check("#benign")
    page.wait_for_selector(f"main button[aria-label='{label}'][aria-pressed='true']")
    page.locator("main button[aria-label^='Take back']").first.click()
    browser.notice(": taken back")
    page.wait_for_selector(f"main button[aria-label='{label}'][aria-pressed='false']")
    check(page.locator("main button[aria-label^='Take back']").count() == 0, "what was taken back is still there")


def check_incident(browser):
    page = browser.page
    browser.open("incidents?c=192.168.7.23", "Incidents")
    page.locator("main tbody input[type=checkbox]").nth(0).check()
    page.locator("main tbody input[type=checkbox]").nth(1).check()
    page.fill("#title", "<b>A case</b>")
    page.click("button:has-text('Keep it')")
    browser.heading("<b>A case</b>")
    page.fill("#note", "seen by the help desk\n<script>window.pwned=1</script>")
    page.click("button:has-text('Save')")
    browser.notice("Saved")
    with page.expect_download() as download:
        page.click("button:has-text('Export Markdown')")
    text = pathlib.Path(download.value.path()).read_text()
    check(text.startswith("# `<b>A case</b>`") and "## Events (2)" in text and "seen by the help desk" in text, f"the Markdown is {text}")
    with page.expect_download() as download:
        page.click("button:has-text('Export JSON')")
    data = json.loads(pathlib.Path(download.value.path()).read_text())
    check(data["title"] == "<b>A case</b>" and len(data["events"]) == 2, f"the JSON is {data}")
    page.locator("main tbody input[type=checkbox]").first.check()
    page.click("button:has-text('Take chosen events out')")
    browser.notice("Taken out")
    page.on("dialog", lambda d: d.accept())
    page.click("button:has-text('Remove this record')")
    browser.heading("Incidents")


def check_hostile(browser):
    """Whatever is in a name, it is shown as text."""
    page, demo = browser.page, browser.demo
    browser.open("live", "Live")
    page.wait_for_selector("main >> text=watching")
    zone = [part.encode() for part in demo.generated.split(".")]
    for label in HOSTILE:
        demo.ask([label, *zone])
    browser.until("[...document.querySelectorAll('main td.name')].some(d => d.textContent.includes('<script>'))", "a hostile name does not come live")
    marks = "document.querySelectorAll('main script, main img, main iframe, main object, main style, main svg [onload], main [onerror], a[href^=\"javascript\"]').length"

    def clean(where):
        check(page.evaluate("window.pwned === undefined"), f"{where}: a name was run")
        check(page.evaluate(marks) == 0, f"{where}: a name became markup")
        browser.calm(where)

    clean("live")
    deadline = time.monotonic() + 60
    names = []
    while time.monotonic() < deadline:
        browser.open(f"detections?q={urllib.parse.quote('.' + demo.generated)}", "Detections")
        names = page.locator("main td.name").all_inner_texts()
        if len(names) >= len(HOSTILE):
            break
        time.sleep(1)
    check(len(names) == len(HOSTILE), f"of {len(HOSTILE)} hostile names {len(names)} were detected: {names}")
    clean("detections")
    for name in names:
        browser.open(f"name?{urllib.parse.urlencode({'n': name})}", name)
        page.wait_for_selector("#verdict >> text=blocked: model")
        clean(f"the page of {name}")
    browser.open("client?c=127.0.0.1", "127.0.0.1")
    page.wait_for_selector("ul.tree li")
    clean("the client's page")
    browser.open(f"incidents?{urllib.parse.urlencode({'n': demo.generated, 'c': '<svg onload=pwned=1>'})}", "Incidents")
    clean("incidents")
    for path in ("client", "name", "detections", "live", "incident", "nothing", "unusual"):
        page.goto(f"{demo.base}#/{path}?" + urllib.parse.urlencode({k: "<img src=x onerror=window.pwned=1>" for k in ("n", "c", "q", "id", "code", "only", "since")}))
        page.wait_for_selector("main h1")
        page.wait_for_timeout(200)
        check(page.evaluate("window.pwned === undefined") and page.evaluate(marks) == 0, f"the address of {path} became markup")
    browser.complaints.clear()  # these addresses are refused, and browsers say so
    page.evaluate("document.getElementById('notice').className = ''")


def check_keyboard(browser):
    page = browser.page
    browser.open("overview", "Overview")
    page.goto("about:blank")
    page.goto(f"{browser.demo.base}#/overview")
    browser.heading("Overview")
    page.keyboard.press("Tab")
    check(page.evaluate("document.activeElement.id") == "skip", "the first stop is not the link past the navigation")
    page.keyboard.press("Enter")
    check(page.evaluate("document.activeElement.id") == "main", "the link past the navigation leads nowhere")
    page.locator("#pages a[href='#/detections']").focus()
    page.keyboard.press("Enter")
    browser.heading("Detections")
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    check(page.locator("#pages a[aria-current=page]").inner_text() == "Detections", "the navigation does not say where one is")


def check_read_only(chromium, weir):
    demo = Demo(weir, "--read-only")
    browser = Browser(chromium, demo)
    check("read-only" in browser.page.inner_text("#about"), "nothing says that this is read-only")
    for path, heading in pages(demo) + optional(browser):
        browser.open(path, heading)
        buttons = browser.page.locator("main button").all_inner_texts()
        check(not set(buttons) & {"Let it through", "Refresh", "Keep it", "Fine", "End", "Save", "Take back"}, f"{path} offers changes: {buttons}")
    for path, body in [("allow", {"name": "a.example", "for": "10m"}), ("lists/urlhaus/refresh", {}), ("incidents", {"title": "x"}), ("cache/flush", {"name": "a.example"}), ("feedback/remove", {"day": "2026-01-01"})]:
        status = browser.page.evaluate("([p, b]) => fetch('/api/v1/' + p, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(b)}).then(r => r.status)", [path, body])
        check(status == 403, f"read-only: POST {path} = {status}")
    browser.complaints.clear()  # the 403
    browser.close()
    demo.end()


def shoot(chromium, demo, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for file, scheme, width, path, heading in [
        ("dashboard-overview.png", "light", 1100, "overview", "Overview"),
        ("dashboard-name.png", "dark", 1100, f"name?n={demo.generated}", demo.generated),
        ("dashboard-client.png", "light", 1100, "client?c=192.168.7.31", "192.168.7.31"),
        ("dashboard-phone.png", "dark", 390, "live?only=detections", "Live"),
    ]:
        browser = Browser(chromium, demo, scheme, width)
        browser.open(path, heading)
        if path.startswith("live"):
            browser.until("document.querySelectorAll('main tbody tr').length > 10", "no detections come live")
        browser.page.wait_for_timeout(500)
        browser.page.screenshot(path=folder / file)
        browser.close()
        print(f"  {folder / file}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--shots", type=pathlib.Path)
    args = parser.parse_args()
    demo = Demo(args.weir)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        began = time.monotonic()

        def step(what, f, *a):
            print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)
            return f(*a)

        step("who gets in", check_login, chromium, demo)
        step("requests of other sites", check_door, demo)
        browser = step("login", Browser, chromium, demo)
        step("every page", check_pages, browser)
        step("looks", check_looks, browser)
        step("search", check_search, browser)
        step("timed allow and refresh", check_allow, browser)
        step("feedback", check_feedback, browser)
        step("incident record and export", check_incident, browser)
        step("keyboard", check_keyboard, browser)
        if args.shots:
            step("pictures", shoot, chromium, demo, args.shots)
        step("hostile names", check_hostile, browser)
        browser.close()
        step("a small screen", check_widths, chromium, demo)
        step("a weir that saw nothing", check_empty, chromium, args.weir)
        step("accessibility, light", check_access, chromium, demo, "light", 1200)
        step("accessibility, dark, on a phone", check_access, chromium, demo, "dark", 375)
        step("read-only", check_read_only, chromium, args.weir)
        chromium.close()
        print(f"{time.monotonic() - began:5.0f} s  done")
    demo.end()
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
