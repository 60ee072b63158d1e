"""Stripe's exceptions as ours: refused is final, everything else is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import stripe

from portal.payments.errors import StripeAway, StripeFailed, StripeRefused, StripeUnreachable


@contextmanager
def outcome() -> Iterator[None]:
    """Turn what stripe raises within into :class:`StripeRefused` or :class:`StripeUnreachable`."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise StripeAway(type(error).__name__) from error
    except stripe.CardError as error:
        raise StripeRefused(error.code or "card_error") from error
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError) as error:
        param = getattr(error, "param", None)
        raise StripeRefused(error.code or type(error).__name__, str(param or "")) from error
    except stripe.IdempotencyError as error:
        if error.code == "idempotency_key_in_use":  # the same request is under way: what comes of it is unknown
            raise StripeUnreachable(error.code) from error
        raise StripeRefused("idempotency_error") from error
    except stripe.StripeError as error:  # 5xx: may have happened
        raise StripeFailed(type(error).__name__) from error
