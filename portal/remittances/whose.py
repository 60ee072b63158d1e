"""Whose a claim is: its payer, patient, account and visit, by what the claim tells of them."""

from sqlalchemy.orm import Session

from portal.accounts.queries import ref_is_free
from portal.accounts.service import add_patient, find_patient, open_account
from portal.billing.queries import find_visit, payers_of
from portal.remittances.x12.model import Claim, Person, Transaction

#: ``NYSDOH`` is not a name to be written ``Nysdoh``.
_ABBREVIATION = 6


def clip(text: str, length: int) -> str:
    """A feed's text made fit for a column: no NUL bytes (PostgreSQL refuses them), not too long."""
    return text.replace("\x00", "").strip()[:length]


def whose(session: Session, claim: Claim, payer: str) -> tuple[int, int, str]:
    """The account and patient a claim is about, and the back office's number of the visit.

    A patient is known by member id and name, or by the visit's number and name: never by the name alone, so that two
    people of one name are not taken for one.
    """
    ref = visit_ref(claim)
    found = known_patient(session, claim, payer)
    if found is not None:
        return found[0], found[1], ref
    member, family, given = _named(claim)
    account_ref, copy = ref[:60], 1
    while not ref_is_free(session, account_ref):
        copy += 1
        account_ref = f"{ref[:56]}/{copy}"
    account = open_account(session, ref=account_ref, guarantor_name=clip(f"{given} {family}", 120))
    added = add_patient(
        session, account_id=account.id, given_name=given, family_name=family, member_id=member
    )
    return account.id, added.id, ref


def payer_of(transaction: Transaction) -> str:
    """The payer's name as people write it."""
    return clip(_cased(transaction.payer_name), 120)


def provider(transaction: Transaction, claim: Claim) -> str:
    """Who gave the care, as far as the remittance tells: the person on the claim, or who was paid."""
    return clip(_spoken(claim.rendering) if claim.rendering else _cased(transaction.payee_name), 120)


def visit_ref(claim: Claim) -> str:
    """The number a claim's visit is known by here."""
    return clip(claim.patient_control, 80) or "unnumbered"


def _named(claim: Claim) -> tuple[str, str, str]:
    """The patient's member id, family name and given name, as far as the claim tells."""
    person = claim.patient or claim.subscriber
    if person is None:
        return "", "", ""
    return (
        clip(person.identifier, 80),
        clip(_person_cased(person.last), 60),
        clip(_person_cased(person.first), 60),
    )


def known_patient(session: Session, claim: Claim, payer: str) -> tuple[int, int] | None:
    """The account and patient a claim is about where the books have them; see :func:`whose`."""
    member, family, given = _named(claim)
    if member:
        patient = find_patient(session, member_id=member, family_name=family, given_name=given)
        if patient is not None:
            return patient.account_id, patient.id
    ref = visit_ref(claim)
    known = find_visit(session, ref=ref, family_name=family, given_name=given)
    # Another payer knows the same patient by another member id: the visit's number and the name tell. The same payer
    # with another member id means another person.
    if known is not None and not (member and payer in payers_of(session, account_id=known[0], ref=ref)):
        return known
    return None


def _cased(name: str) -> str:
    """A name as people write it; payers shout. A short single word may be an abbreviation and is left alone."""
    return name.title() if name.isupper() and (" " in name or len(name) > _ABBREVIATION) else name


def _person_cased(name: str) -> str:
    return name.title() if name.isupper() else name


def _spoken(person: Person) -> str:
    return " ".join(part for part in (_person_cased(person.first), _person_cased(person.last)) if part)
