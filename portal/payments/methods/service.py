"""Cards and bank accounts kept for next time.

What is agreed is committed first; then Stripe is told; and what Stripe has is fetched fresh before a
:class:`SavedMethod` says that there is one. Every step may be done again, by the page, the webhook and the job.
"""

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import RecordNotFound
from portal.payments.errors import PaymentIsOver, StripeAway, StripeRefused, StripeUnreachable
from portal.payments.gateway import Method, StripeGateway
from portal.payments.kinds import ConsentKind, PaymentSource
from portal.payments.methods.consents import SAVE_METHOD_VERSION, keep_consent
from portal.payments.models import Consent, Payment, SavedMethod
from portal.payments.settle import account_locked_payment
from portal.payments.state import FINAL, OPEN, PaymentState

log = structlog.get_logger(__name__)

#: How often Stripe is told anew what the payer wants; what is wrong after that, :func:`collect` puts right.
_TURNS = 4
#: A tick that was taken away is looked after for so long: payments of bank accounts take days.
_WISHES_COUNT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The words that somebody agreed to, in which language, and from which network address."""

    text: str
    language: str
    address: str


def choose_to_keep(
    session: Session, gateway: StripeGateway, *, payment_id: int, user_id: int, agreement: Agreement | None
) -> None:
    """The payer ticked the box (``agreement``) or took the tick away (None): kept here, then told to Stripe.

    Commits first. Where Stripe's answer is lost, preparing the page anew tells it again (``service.prepare``). Raises
    :class:`RecordNotFound` for somebody else's payment, :class:`PaymentIsOver`, :class:`StripeUnreachable` and
    :class:`StripeRefused`.
    """
    payment = account_locked_payment(session, payment_id)
    if payment.user_id != user_id or payment.source is not PaymentSource.PATIENT:
        session.commit()
        raise RecordNotFound("payment")
    if payment.state not in OPEN or payment.method_id is not None:
        session.commit()
        raise PaymentIsOver
    if agreement is not None and not payment.keep_method:
        keep_consent(
            session,
            user_id=user_id,
            kind=ConsentKind.SAVE_METHOD,
            version=SAVE_METHOD_VERSION,
            language=agreement.language,
            text=agreement.text,
            address=agreement.address,
            subject=payment.public_id,
        )
    payment.keep_method = agreement is not None
    intent_id = payment.stripe_intent_id
    session.commit()
    if intent_id is not None:
        _tell(session, gateway, payment_id=payment_id, intent_id=intent_id, wanted=agreement is not None)


def _tell(session: Session, gateway: StripeGateway, *, payment_id: int, intent_id: str, wanted: bool) -> None:
    """Tell Stripe what the payer wants, and once more where they changed their mind meanwhile: of two tellings that
    cross, the older may arrive last.
    """
    for _turn in range(_TURNS):
        gateway.keep_method(intent_id, wanted=wanted)
        now = session.execute(sa.select(Payment.keep_method).where(Payment.id == payment_id)).scalar_one()
        session.commit()
        if now is wanted:
            return
        wanted = now


def collect(session: Session, gateway: StripeGateway, *, payment_id: int) -> bool:
    """Add the method of a payment that went through to the payer's own, as they agreed; once, and commits.

    Where the payer took the tick away and Stripe keeps the method all the same, Stripe lets go of it. False while there
    is nothing to collect yet. Raises :class:`StripeUnreachable` and :class:`StripeRefused`.
    """
    row = session.execute(
        sa.select(
            Payment.public_id,
            Payment.user_id,
            Payment.state,
            Payment.stripe_intent_id,
            Payment.keep_method,
            Payment.kept_at,
        ).where(Payment.id == payment_id)
    ).one()
    consent_id = session.scalar(
        sa.select(Consent.id)
        .where(Consent.subject == row.public_id, Consent.kind == ConsentKind.SAVE_METHOD)
        .order_by(Consent.id.desc())
        .limit(1)
    )
    session.commit()
    if consent_id is None and not row.keep_method:
        return False  # nobody ever wished it
    if row.kept_at is not None or row.state not in FINAL:
        return False
    method = None
    if row.state is PaymentState.SUCCEEDED and row.stripe_intent_id and consent_id is not None:
        method = _of_intent(gateway, row.stripe_intent_id)
    if method is not None and not row.keep_method:
        _let_go(session, gateway, method)
        method = None
    for turn in range(2):
        locked = session.scalars(
            sa.select(Payment)
            .where(Payment.id == payment_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one()
        if locked.kept_at is not None:
            session.commit()
            return True
        try:
            if method is not None and consent_id is not None:
                keep(session, user_id=row.user_id, consent_id=consent_id, method=method)
            locked.kept_at = clock.now()
            session.commit()
            return True
        except IntegrityError:  # the same card came in by another way at the same moment; now it is there to be seen
            session.rollback()
            if turn:
                raise
    return True


def _of_intent(gateway: StripeGateway, intent_id: str) -> Method | None:
    """The intent's method where Stripe keeps it for its customer; None also for what Stripe does not know any more."""
    try:
        intent = gateway.retrieve_intent(intent_id)
        if not intent.method_id:
            return None
        method = gateway.methods.retrieve(intent.method_id)
    except StripeRefused as refused:
        if not refused.is_missing:
            raise
        return None
    return method if method.customer_id and method.customer_id == intent.customer_id else None


def _let_go(session: Session, gateway: StripeGateway, method: Method) -> None:
    """Have Stripe forget a method that its owner did not want kept; not one that they keep by another way."""
    known = session.scalar(sa.select(SavedMethod.id).where(SavedMethod.stripe_method_id == method.id))
    session.commit()
    if known is None:
        _detach(gateway, method.id)


def _detach(gateway: StripeGateway, stripe_method_id: str) -> None:
    """Have Stripe let go of a method; one that it does not know any more is gone."""
    try:
        gateway.methods.detach(stripe_method_id)
    except StripeRefused as refused:
        if not refused.is_missing:
            raise


def keep(session: Session, *, user_id: int, consent_id: int, method: Method) -> int:
    """Write a method down among a person's own, in the caller's transaction; returns its row's id.

    The same number again is the entry there is: the card with the later expiry date stays, the other is left for
    :func:`detach_due`. May raise IntegrityError when somebody else is just writing the same one.
    """
    known = session.scalars(sa.select(SavedMethod).where(SavedMethod.stripe_method_id == method.id)).first()
    if known is not None:
        return known.id
    now = clock.now()
    facts = {
        "user_id": user_id,
        "kind": method.kind[:20],
        "issuer": method.issuer[:60],
        "last4": method.last4[:4],
        "fingerprint": method.fingerprint,
        "expires_on": method.expires_on,
        "consent_id": consent_id,
        "saved_at": now,
    }
    mine = session.scalars(
        sa.select(SavedMethod)
        .where(SavedMethod.user_id == user_id, SavedMethod.removed_at.is_(None))
        .order_by(SavedMethod.id)
        .with_for_update()
    ).all()
    twin = next((one for one in mine if method.fingerprint and one.fingerprint == method.fingerprint), None)
    if twin is None:
        saved = SavedMethod(stripe_method_id=method.id, is_default=not any(one.is_default for one in mine), **facts)
        session.add(saved)
        session.flush()
        record(session, Tag.METHOD_SAVED, actor_user_id=user_id, subject=saved.public_id, kind=saved.kind)
        return saved.id
    spare = method.id
    if method.expires_on and twin.expires_on and method.expires_on > twin.expires_on:
        spare, twin.stripe_method_id, twin.expires_on = twin.stripe_method_id, method.id, method.expires_on
        twin.consent_id = consent_id
        record(session, Tag.METHOD_CHANGED, actor_user_id=user_id, subject=twin.public_id, what="renewed")
        session.flush()
    session.add(SavedMethod(stripe_method_id=spare, removed_at=now, **facts))
    session.flush()
    return twin.id


def _locked(session: Session, user_id: int, public_id: str) -> SavedMethod:
    """One of a person's own methods, all of theirs held. Raises :class:`RecordNotFound`."""
    mine = session.scalars(
        sa.select(SavedMethod)
        .where(SavedMethod.user_id == user_id, SavedMethod.removed_at.is_(None))
        .order_by(SavedMethod.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    found = next((one for one in mine if one.public_id == public_id), None)
    if found is None:
        raise RecordNotFound("method")
    return found


def rename(session: Session, *, user_id: int, public_id: str, label: str) -> None:
    """Call a method ``label`` (40 letters at most; empty takes the name away). Commits."""
    method = _locked(session, user_id, public_id)
    method.label = " ".join(label.split())[:40]
    record(session, Tag.METHOD_CHANGED, actor_user_id=user_id, subject=public_id, what="name")
    session.commit()


def make_default(session: Session, *, user_id: int, public_id: str) -> None:
    """Offer this method first from now on. Commits."""
    method = _locked(session, user_id, public_id)
    _set_default(session, user_id, method)
    record(session, Tag.METHOD_CHANGED, actor_user_id=user_id, subject=public_id, what="default")
    session.commit()


def _set_default(session: Session, user_id: int, method: SavedMethod) -> None:
    session.execute(sa.update(SavedMethod).where(SavedMethod.user_id == user_id).values(is_default=False))
    session.execute(sa.update(SavedMethod).where(SavedMethod.id == method.id).values(is_default=True))


def remove(session: Session, *, user_id: int, public_id: str) -> None:
    """Take a method away from its owner's list; commits. Stripe is told after that, by :func:`detach_due`.

    Autopay, which stands above this module, sees ``removed_at`` when it next wants to charge. The one saved last
    becomes the default in place of a default that goes.
    """
    method = _locked(session, user_id, public_id)
    _take_off(session, method)
    record(session, Tag.METHOD_REMOVED, actor_user_id=user_id, subject=public_id)
    session.commit()


def _take_off(session: Session, method: SavedMethod) -> None:
    """Take a method off its owner's list, in the caller's transaction, which holds all of theirs."""
    was_default = method.is_default
    method.removed_at, method.is_default = clock.now(), False
    session.flush()
    if was_default:
        heir = session.scalars(
            sa.select(SavedMethod)
            .where(SavedMethod.user_id == method.user_id, SavedMethod.removed_at.is_(None))
            .order_by(SavedMethod.id.desc())
            .limit(1)
        ).first()
        if heir is not None:
            _set_default(session, method.user_id, heir)


def detach_due(session: Session, gateway: StripeGateway, *, user_id: int | None = None) -> int:
    """Have Stripe let go of removed methods, all or one person's; returns how many it let go of.

    One that Stripe refuses to let go of keeps no other from its turn. Raises :class:`StripeAway`.
    """
    theirs = sa.true() if user_id is None else SavedMethod.user_id == user_id
    rows = session.execute(
        sa.select(SavedMethod.id, SavedMethod.stripe_method_id)
        .where(SavedMethod.removed_at.is_not(None), SavedMethod.detached_at.is_(None), theirs)
        .order_by(SavedMethod.removed_at)
    ).all()
    session.commit()
    done = 0
    for row in rows:
        try:
            _detach(gateway, row.stripe_method_id)
        except StripeAway:
            raise
        except (StripeRefused, StripeUnreachable) as error:
            log.error("method.not_detached", method=row.id, error=str(error))
            continue
        session.execute(
            sa.update(SavedMethod)
            .where(SavedMethod.id == row.id, SavedMethod.detached_at.is_(None))
            .values(detached_at=clock.now())
        )
        session.commit()
        done += 1
    return done


def collect_due(session: Session, gateway: StripeGateway) -> int:
    """Collect what was agreed on payments that are over; returns how many were.

    One about which Stripe refuses to answer keeps no other from its turn. Raises :class:`StripeAway`.
    """
    over = (Payment.kept_at.is_(None), Payment.state.in_(sorted(FINAL)))
    agreed = session.scalars(sa.select(Payment.id).where(Payment.keep_method, *over)).all()
    undone = session.scalars(
        sa.select(Payment.id)
        .join(Consent, Consent.subject == Payment.public_id)
        .where(
            Consent.kind == ConsentKind.SAVE_METHOD,
            Consent.given_at > clock.now() - _WISHES_COUNT,
            ~Payment.keep_method,
            *over,
        )
    ).all()
    session.commit()
    done = 0
    for payment_id in sorted({*agreed, *undone}):
        try:
            done += collect(session, gateway, payment_id=payment_id)
        except StripeAway:
            raise
        except (StripeRefused, StripeUnreachable) as error:
            session.rollback()
            log.error("method.not_collected", payment=payment_id, error=str(error))
    return done


def refresh_method(session: Session, gateway: StripeGateway, *, stripe_method_id: str) -> bool:
    """Project Stripe's method onto ours: networks renew cards, and Stripe's dashboard can let go of one. Commits.

    False for a method that nobody keeps here.
    """
    known = session.scalar(sa.select(SavedMethod.id).where(SavedMethod.stripe_method_id == stripe_method_id))
    session.commit()
    if known is None:
        return False
    method = gateway.methods.retrieve(stripe_method_id)
    mine = sa.select(SavedMethod.user_id).where(SavedMethod.id == known).scalar_subquery()
    held = session.scalars(
        sa.select(SavedMethod)
        .where(SavedMethod.user_id == mine, sa.or_(SavedMethod.removed_at.is_(None), SavedMethod.id == known))
        .order_by(SavedMethod.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    saved = next(one for one in held if one.id == known)
    if saved.removed_at is None and saved.stripe_method_id == stripe_method_id:
        if not method.customer_id:
            _take_off(session, saved)
            saved.detached_at = saved.removed_at
            record(session, Tag.METHOD_REMOVED, subject=saved.public_id, by="stripe")
        else:
            saved.last4, saved.expires_on = method.last4[:4], method.expires_on
    session.commit()
    return True
