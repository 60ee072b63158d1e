"""What a page with Stripe's card form is given, wherever it stands: paying, paying as a guest, saving a method."""

from typing import Any

from portal.payments.decline import words_by_code
from portal.web.context import the_settings
from portal.web.headers import allow_stripe


def card_form(client_secret: str, *, return_path: str) -> dict[str, Any]:
    """The template's facts of the form; the response may load Stripe's scripts from here on.

    ``return_path`` is where Stripe sends the browser back to.
    """
    allow_stripe()
    settings = the_settings()
    return {
        "client_secret": client_secret,
        "publishable_key": settings.stripe_publishable_key,
        "stripe_js_url": f"{settings.stripe_js_origin}/dahlia/stripe.js",
        "return_url": settings.base_url + return_path,
        "words": words_by_code(),
    }
