"""Coming back from a bank: Stripe appends an intent's secret to our address, where it must not stay."""

from flask import Flask, redirect, request, url_for
from werkzeug.wrappers import Response

#: What Stripe appends, by what it was: https://docs.stripe.com/payments/payment-intents#passing-the-client-secret
_SECRETS = ("payment_intent_client_secret", "setup_intent_client_secret", "source_client_secret")


def init_app(app: Flask) -> None:
    """Answer an address that bears a secret with a redirect to the same page without its query.

    Stands before the guards: they would keep the whole address for after the sign-in. The page asks Stripe by the id in
    its path, so nothing of the query is missed.
    """

    @app.before_request
    def forget_secrets() -> Response | None:
        if request.endpoint is None or request.method != "GET" or not any(name in request.args for name in _SECRETS):
            return None
        return redirect(url_for(request.endpoint, **(request.view_args or {})), 303)
