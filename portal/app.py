"""Wiring, no logic."""

import logging
from datetime import timedelta

import structlog
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import clock, features
from portal.auth import identity, sessions
from portal.config import BadSettings, Settings
from portal.db import engine_options
from portal.ledger.registry import UnknownLedger, check_name
from portal.payments import returning
from portal.payments.gateway import StripeGateway
from portal.plans.rules.policy import Policy, PolicyIsWrong, load
from portal.queue import open_queue
from portal.web import (
    compression,
    counters,
    database,
    edge,
    errors,
    guards,
    headers,
    health,
    hosts,
    ids,
    limits,
    static_files,
    templating,
)
from portal.web.csrf import MaskedCSRFProtect

csrf = MaskedCSRFProtect()


def configure_logging(settings: Settings) -> None:
    """JSON lines in production, readable lines at home. Messages carry opaque ids only."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )


def create_app(settings: Settings, *, gateway: StripeGateway | None = None) -> Flask:
    """The portal. ``gateway`` replaces the way to Stripe (tests put the stand-in there)."""
    configure_logging(settings)
    _check_ledger(settings)
    database_engine = engine_options(settings.database_url)
    app = Flask("portal", static_folder="static", static_url_path=static_files.url_path(), template_folder="templates")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SERVER_NAME=None,
        MAX_CONTENT_LENGTH=20 * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=1024 * 1024,
        SESSION_COOKIE_NAME="__Host-plainbill" if settings.https else "plainbill",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=24),
        WTF_CSRF_TIME_LIMIT=None,
        # Our pages send no Referer (headers.py), so a form over TLS would always be refused; its token is the proof.
        WTF_CSRF_SSL_STRICT=False,
        SQLALCHEMY_ENGINES={"default": database_engine, counters.ENGINE: counters.engine_for(database_engine)},
    )
    hosts.init_app(app, settings)
    edge.init_app(app)
    if settings.trusted_proxies:
        # Only what our own proxies wrote is believed; without this every patient would share one rate limit.
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    app.extensions["plainbill_settings"] = settings
    app.extensions["plainbill_policy"] = _policy(settings)
    app.extensions["plainbill_gateway"] = gateway or StripeGateway.from_settings(settings)
    open_queue(redis_url=settings.redis_url, path=settings.queue_path)
    clock.serve(settings.clinic_timezone)

    ids.init_app(app)
    headers.init_app(app, settings)
    static_files.init_app(app)
    compression.init_app(app)
    returning.init_app(app)
    database.init_app(app)
    health.init_app(app)
    limits.init_app(app, settings)
    csrf.init_app(app)
    templating.init_app(app, settings)
    identity.init_app(app, settings)
    sessions.init_app(app)
    guards.init_app(app)
    errors.init_app(app)
    features.register(app)
    csrf.exempt("portal.payments.stripe_events.webhook.receive")
    return app


def _check_ledger(settings: Settings) -> None:
    """Refuse a back office that there is no adapter for. Raises :class:`BadSettings`."""
    try:
        check_name(settings.ledger)
    except UnknownLedger as error:
        raise BadSettings([str(error)]) from None


def _policy(settings: Settings) -> Policy:
    """What is allowed in payment plans. Raises :class:`BadSettings` with everything that is wrong with the file."""
    try:
        return load(settings.plans_policy)
    except PolicyIsWrong as error:
        raise BadSettings([f"PLANS_POLICY: {problem}" for problem in error.problems]) from None
