"""The embedded back office as the port sees it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import MOVES_NO_MONEY
from portal.db import MoneyType
from portal.ledger.adapters.embedded.models import Book, LedgerLine, LedgerTransaction, ServiceItem
from portal.ledger.port import ClaimDecision, Outcome, PostingAnswer, PostingRequest, Snapshot
from portal.money import Money

#: What the portal posts: its kinds all begin so.
_PORTAL = "patient_"


class UnbalancedPosting(ValueError):
    """Debits and credits differ; nothing was written."""


def post(
    session: Session,
    *,
    key: str,
    kind: str,
    effective_on: date,
    account_ref: str,
    lines: Iterable[tuple[Book, str, Money]],
    noted: Sequence[tuple[str, int]] = (),
) -> LedgerTransaction:
    """Write one balanced transaction in the caller's transaction; ``lines`` are (book, visit ref, debit).

    ``noted`` is what it tells without moving it: (visit ref, cents).

    Raises :class:`UnbalancedPosting`; a known ``key`` fails at the database's unique constraint.
    """
    kept = [line for line in lines if line[2]]
    if Money.total(amount for _book, _ref, amount in kept):
        raise UnbalancedPosting(key)
    transaction = LedgerTransaction(
        key=key,
        digest=_digest(kind, account_ref, [*_written(kept), *noted]),
        kind=kind,
        effective_on=effective_on,
        posted_at=clock.now(),
    )
    session.add(transaction)
    session.flush()
    session.add_all(
        LedgerLine(
            transaction_id=transaction.id, book=book, account_ref=account_ref, visit_ref=ref, amount=amount
        )
        for book, ref, amount in kept
    )
    return transaction


def _written(lines: Iterable[tuple[Book, str, Money]]) -> list[tuple[str, str, int]]:
    return [(book.value, ref, amount.cents) for book, ref, amount in lines if amount]


def _digest(kind: str, account_ref: str, lines: Sequence[tuple[str | int, ...]]) -> str:
    return hashlib.sha256(json.dumps([kind, account_ref, sorted(lines)]).encode()).hexdigest()


def load_service_items(session: Session, items: Mapping[str, str]) -> None:
    """Take the clinic's wordings in; a code that is there gets the new one."""
    for code, description in items.items():
        item = session.get(ServiceItem, code)
        if item is None:
            session.add(ServiceItem(code=code, description=description))
        else:
            item.description = description


class EmbeddedLedger:
    """The port onto the embedded books. Each posting is a transaction of its own, as with a system elsewhere."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def push(self, posting: PostingRequest) -> PostingAnswer:
        """Debit card clearing, credit the patient's receivable, visit by visit; a negative amount the other way.

        What moves no money is noted under its key, and the books stay as they are.
        """
        session = self._session
        lines: list[tuple[Book, str, Money]] = []
        noted: list[tuple[str, int]] = []
        if posting.kind in MOVES_NO_MONEY:
            noted = [(part.visit_ref, part.amount.cents) for part in posting.parts]
        else:
            lines = [(Book.CARD_CLEARING, "", posting.amount)] + [
                (Book.PATIENT_RECEIVABLE, part.visit_ref, -part.amount) for part in posting.parts
            ]
        try:
            transaction = post(
                session,
                key=posting.key,
                kind=posting.kind,
                effective_on=posting.effective_on,
                account_ref=posting.account_ref,
                lines=lines,
                noted=noted,
            )
            ref = str(transaction.id)
            session.commit()
        except UnbalancedPosting:
            session.rollback()
            return PostingAnswer(Outcome.REJECTED, reason="debits and credits differ")
        except IntegrityError:
            session.rollback()
            known = self._known(posting.key)
            wanted = _digest(posting.kind, posting.account_ref, [*_written(lines), *noted])
            if known is None or known[1] != wanted:
                return PostingAnswer(Outcome.REJECTED, reason="the key is taken by another posting")
            return PostingAnswer(Outcome.DUPLICATE, ref=known[0])
        return PostingAnswer(Outcome.POSTED, ref=ref)

    def _known(self, key: str) -> tuple[str, str] | None:
        row = self._session.execute(
            sa.select(LedgerTransaction.id, LedgerTransaction.digest).where(LedgerTransaction.key == key)
        ).first()
        self._session.commit()
        return None if row is None else (str(row.id), row.digest)

    def lookup(self, key: str) -> PostingAnswer | None:
        """What is under a key."""
        known = self._known(key)
        return None if known is None else PostingAnswer(Outcome.POSTED, ref=known[0])

    def snapshots(self) -> dict[str, Snapshot]:
        """Every account's receivables."""
        sums: dict[str, dict[Book, Money]] = {}
        rows = self._session.execute(
            sa.select(
                LedgerLine.account_ref,
                LedgerLine.book,
                sa.type_coerce(sa.func.sum(LedgerLine.amount), MoneyType),
            )
            .where(LedgerLine.book.in_([Book.INSURER_RECEIVABLE, Book.PATIENT_RECEIVABLE]))
            .group_by(LedgerLine.account_ref, LedgerLine.book)
        )
        for ref, book, amount in rows:
            sums.setdefault(ref, {})[book] = amount
        zero = Money.zero()
        return {
            ref: Snapshot(books.get(Book.INSURER_RECEIVABLE, zero), books.get(Book.PATIENT_RECEIVABLE, zero))
            for ref, books in sums.items()
        }

    def received(self) -> dict[str, Money]:
        """What came in under the portal's keys."""
        rows = self._session.execute(
            sa.select(LedgerTransaction.key, sa.type_coerce(sa.func.sum(LedgerLine.amount), MoneyType))
            .join(LedgerLine, LedgerLine.transaction_id == LedgerTransaction.id)
            .where(LedgerTransaction.kind.startswith(_PORTAL, autoescape=True), LedgerLine.book == Book.CARD_CLEARING)
            .group_by(LedgerTransaction.key)
        )
        return dict(rows.all())

    def as_of(self) -> datetime:
        """The books are in this database: now."""
        return clock.now()

    def record_claim(self, decision: ClaimDecision) -> None:
        """Post what the back office's own clerk would enter, in the caller's transaction."""
        visit = decision.visit_ref
        settled = decision.insurer_paid + decision.contractual + decision.other + decision.share
        post(
            self._session,
            key=decision.key,
            kind="remittance",
            effective_on=decision.effective_on,
            account_ref=decision.account_ref,
            lines=[
                (Book.REVENUE, visit, -decision.billed),
                (Book.INSURER_CASH, visit, decision.insurer_paid),
                (Book.CONTRACTUAL_ALLOWANCE, visit, decision.contractual),
                (Book.OTHER_ADJUSTMENT, visit, decision.other),
                (Book.PATIENT_RECEIVABLE, visit, decision.share),
                (Book.INSURER_RECEIVABLE, visit, decision.billed - settled),
            ],
        )

    def wordings(self, codes: Iterable[str]) -> dict[str, str]:
        """The clinic's own wording for the codes that it bills."""
        rows = self._session.execute(
            sa.select(ServiceItem.code, ServiceItem.description).where(ServiceItem.code.in_(list(codes)))
        )
        return dict(rows.all())

    def unbalanced(self) -> int:
        """How many transactions' lines do not sum to zero; anything but 0 is damage."""
        broken = (
            sa.select(LedgerLine.transaction_id)
            .group_by(LedgerLine.transaction_id)
            .having(sa.func.sum(sa.type_coerce(LedgerLine.amount, sa.BigInteger)) != 0)
            .subquery()
        )
        return self._session.execute(sa.select(sa.func.count()).select_from(broken)).scalar_one()
