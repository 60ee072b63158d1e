"""A test client that judges every page it fetches, and fills in forms as a browser would."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

import html5lib
from flask.testing import FlaskClient
from html5lib.constants import E as PARSE_ERRORS
from werkzeug.test import TestResponse

#: What must never stand in an address: the people of the demo and of the tests, and email addresses.
PEOPLE = ("testa", "demopatient", "sampleman", "paula", "pretendparent", "example.com", "ehp100001", "ehp100003")
_ADDRESSES = ("href", "src", "action", "formaction")


class BadPage(AssertionError):
    """A page breaks a rule that holds for every page; the text lists every fault."""


class Page:
    """A parsed page."""

    def __init__(self, html: str, url: str = "") -> None:
        self.html, self.url = html, url
        self._parser = html5lib.HTMLParser(namespaceHTMLElements=False)
        self.root: Element = self._parser.parse(html)

    @property
    def parse_errors(self) -> list[str]:
        """What the HTML standard calls parse errors."""
        return [
            f"line {place[0]}: {PARSE_ERRORS.get(code, code) % (facts or {})}"
            for place, code, facts in self._parser.errors
        ]

    def all(self, tag: str = "*", **attributes: str) -> list[Element]:
        """Elements by tag and attribute values (``class_`` matches one class)."""
        return [
            element
            for element in self.root.iter(None if tag == "*" else tag)
            if isinstance(element.tag, str) and all(_has(element, name, value) for name, value in attributes.items())
        ]

    def text(self, tag: str = "body", **attributes: str) -> str:
        """The text of the first such element, white space folded; empty when there is none."""
        return next((text_of(element) for element in self.all(tag, **attributes)), "")

    def links(self) -> dict[str, str]:
        """Addresses by the links' text; the first wins."""
        found: dict[str, str] = {}
        for link in self.all("a"):
            found.setdefault(text_of(link), link.get("href", ""))
        return found

    def form(self, action: str = "", *, field: str = "") -> Element:
        """The form whose action holds ``action`` and which has ``field``; fails where there is not exactly one."""
        fits = [
            form
            for form in self.all("form")
            if action in form.get("action", self.url) and (not field or field in _names(form))
        ]
        if len(fits) != 1:
            shown = [(form.get("action"), sorted(_names(form))) for form in self.all("form")]
            raise AssertionError(f"{len(fits)} forms fit action {action!r} and field {field!r}; the page has {shown}")
        return fits[0]


def text_of(element: Element) -> str:
    """An element's text, white space folded."""
    return " ".join("".join(element.itertext()).split())


def _has(element: Element, name: str, value: str) -> bool:
    if name == "class_":
        return value in element.get("class", "").split()
    return element.get(name.rstrip("_").replace("_", "-")) == value


def _controls(form: Element) -> Iterator[Element]:
    for element in form.iter():
        if element.tag in ("input", "select", "textarea", "button") and element.get("name"):
            yield element


def _names(form: Element) -> set[str]:
    return {element.get("name", "") for element in _controls(form)}


def fields_of(form: Element) -> dict[str, Any]:
    """What a browser would send for an untouched form, buttons left out."""
    values: dict[str, list[str]] = {}
    for element in _controls(form):
        name, kind = element.get("name", ""), element.get("type", "text")
        if "disabled" in element.attrib or element.tag == "button" or kind in ("submit", "button", "file", "image"):
            continue
        if element.tag == "textarea":
            values.setdefault(name, []).append("".join(element.itertext()).removeprefix("\n"))
        elif element.tag == "select":
            options = element.findall(".//option")
            chosen = [option for option in options if "selected" in option.attrib] or options[:1]
            values.setdefault(name, []).extend(option.get("value", text_of(option)) for option in chosen)
        elif kind not in ("checkbox", "radio") or "checked" in element.attrib:
            values.setdefault(name, []).append(element.get("value", "on" if kind in ("checkbox", "radio") else ""))
    return {name: parts[0] if len(parts) == 1 else parts for name, parts in values.items()}


def faults_of(page: Page, *, csp: str) -> list[str]:
    """Every rule for all pages that ``page`` breaks."""
    found = [f"not valid HTML: {error}" for error in page.parse_errors]
    if not page.html.lstrip().lower().startswith("<!doctype html>"):
        found.append("no doctype")
    if not page.root.get("lang"):
        found.append("the page has no language")
    if (headings := len(page.all("h1"))) != 1:
        found.append(f"{headings} h1 instead of one")
    if not page.text("title"):
        found.append("no title")
    if len(page.all("main")) != 1:
        found.append("not exactly one main landmark")
    ids = Counter(element.get("id") for element in page.all() if element.get("id") is not None)
    found += [f"id {name!r} {count} times" for name, count in ids.items() if count > 1]
    found += _broken_references(page, set(ids))
    found += _against_the_policy(page, csp)
    found += [f"image without alt: {image.get('src')}" for image in page.all("img") if image.get("alt") is None]
    for element in page.all():
        for name in _ADDRESSES:
            found += [f"{name} {fault}" for fault in address_faults(element.get(name, ""))]
    return found


def _broken_references(page: Page, ids: set[str | None]) -> Iterator[str]:
    for element in page.all():
        for name in ("for", "aria-describedby", "aria-labelledby", "aria-controls", "aria-errormessage"):
            for target in element.get(name, "").split():
                if target not in ids:
                    yield f"{element.tag} {name}={target!r} points at nothing"


def _against_the_policy(page: Page, csp: str) -> Iterator[str]:
    nonce = re.search(r"'nonce-([^']+)'", csp)
    for script in page.all("script"):
        if script.get("src") is None and (nonce is None or script.get("nonce") != nonce.group(1)):
            yield "an inline script without this response's nonce"
    if page.all("style"):
        yield "a style element, which the policy forbids"
    for element in page.all():
        for name in element.attrib:
            if name == "style" or name.startswith("on"):
                yield f"a {name} attribute on {element.tag}, which the policy forbids"


def address_faults(address: str) -> Iterator[str]:
    """What in an address tells who somebody is."""
    if address.startswith(("mailto:", "tel:")):
        return
    plain = unquote(address).lower()
    parts = urlsplit(plain)
    tail = f"{parts.path}?{parts.query}#{parts.fragment}"
    if "@" in tail:
        yield f"holds an email address: {address}"
    for person in PEOPLE:
        if person in tail:
            yield f"names somebody: {address}"


class JudgingClient(FlaskClient):
    """Flask's test client; any HTML page that breaks a rule for all pages raises :class:`BadPage`."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        asked = response.request.url
        faults = list(address_faults(asked))
        location = response.headers.get("Location", "")
        faults += [f"redirect {fault}" for fault in address_faults(location)]
        bodiless = response.request.method in ("HEAD", "OPTIONS") or response.status_code in (301, 302, 303, 307, 308)
        readable = response.mimetype == "text/html" and "Content-Encoding" not in response.headers
        if readable and not bodiless:
            page = response.page = Page(response.get_data(as_text=True), asked)  # type: ignore[attr-defined]
            faults += faults_of(page, csp=response.headers.get("Content-Security-Policy", ""))
        if faults:
            raise BadPage(f"{response.request.method} {asked} ({response.status_code}):\n  " + "\n  ".join(faults))
        return response

    def page(self, url: str, **kwargs: Any) -> Page:
        """GET a page that must be there; redirects are followed."""
        response = self.get(url, follow_redirects=True, **kwargs)
        if response.status_code != 200:
            raise AssertionError(f"GET {url} is {response.status_code}, not 200")
        return as_page(response)

    def submit(
        self,
        page: Page,
        fields: Mapping[str, Any] | None = None,
        *,
        action: str = "",
        field: str = "",
        follow_redirects: bool = False,
    ) -> TestResponse:
        """Send a form of ``page`` with ``fields`` changed (None leaves one out), hidden fields as the page has them."""
        form = page.form(action, field=field)
        data = {**fields_of(form), **(fields or {})}
        sent = {name: value for name, value in data.items() if value is not None}
        address = form.get("action") or urlsplit(page.url)._replace(scheme="", netloc="").geturl()
        if form.get("method", "get").lower() == "get":
            return self.get(address, query_string=sent, follow_redirects=follow_redirects)
        return self.post(address, data=sent, follow_redirects=follow_redirects)


def as_page(response: TestResponse) -> Page:
    """The page in an answer, which was parsed when it was judged."""
    judged: Page | None = getattr(response, "page", None)
    return judged or Page(response.get_data(as_text=True), response.request.url)


def sign_in(client: JudgingClient, email: str, password: str) -> Page:
    """Sign in through the page; returns the page that follows. Fails when the sign-in does."""
    response = client.submit(
        client.page("/sign-in"), {"email": email, "password": password}, field="password", follow_redirects=True
    )
    page = as_page(response)
    if response.status_code != 200 or page.all("input", name="password"):
        raise AssertionError(f"{email} could not sign in: {page.text('main')[:300]}")
    return page
