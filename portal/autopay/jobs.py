"""What the worker runs for autopay."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from portal.autopay.running import run_due
from portal.config import Settings
from portal.payments.gateway import StripeGateway
from portal.web.context import the_day


def run_autopay(session: Session, gateway: StripeGateway, settings: Settings) -> None:
    """Announce, charge and follow whatever is due at the clinic's day."""
    run_due(
        session,
        gateway,
        today=the_day(),
        stop_url=stop_url(settings.base_url),
        timezone=settings.clinic_timezone,
    )


def stop_url(base_url: str) -> Callable[[str], str]:
    """The address behind a notice's link, by the charge's public id."""
    return lambda charge: f"{base_url}/autopay/stop/{charge}"
