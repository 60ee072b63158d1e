"""What templates can use: money, dates as people write them, and the language."""

from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from flask import Flask, has_request_context, request, session
from flask_babel import Babel, format_date, get_locale
from markupsafe import Markup
from werkzeug.local import LocalProxy

from portal.clock import day_at
from portal.config import Settings
from portal.money import Money
from portal.web.guards import is_staff

LANGUAGES = ("en",)


def _choose_language() -> str:
    if not has_request_context():
        return LANGUAGES[0]  # the worker writes in the portal's first language
    return session.get("language") or request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]


def money(amount: Money) -> Markup:
    """An amount that neither breaks across lines nor is misread by a screen reader."""
    return Markup('<span class="money">{}</span>').format(str(amount))


def day(value: date | None) -> str:
    """A calendar day as people write it: ``Mar 4, 2026``; empty for none."""
    return format_date(value, "medium") if value else ""


def moment(value: datetime | None, *, timezone: str) -> str:
    """A moment at the clinic, with day and time: ``Mar 4, 2026, 2:05 PM``; empty for none."""
    if value is None:
        return ""
    local = value.astimezone(ZoneInfo(timezone))
    clock = local.strftime("%I:%M %p").lstrip("0")
    return f"{format_date(day_at(value, timezone), 'medium')}, {clock}"


def init_app(app: Flask, settings: Settings) -> None:
    """Register Babel, filters and the names every page uses."""
    Babel(app, locale_selector=_choose_language, default_timezone=settings.clinic_timezone)
    at_the_clinic = partial(moment, timezone=settings.clinic_timezone)
    app.jinja_env.filters.update(money=money, day=day, moment=at_the_clinic)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True

    @app.context_processor
    def names() -> dict[str, object]:
        return {
            "clinic_name": settings.clinic_name,
            "clinic_phone": settings.clinic_phone,
            "sandbox": settings.sandbox,
            "language": str(get_locale() or "en"),
            # Asked only where a page wants to know: an error page must not need the database.
            "is_staff": LocalProxy(is_staff),
        }
