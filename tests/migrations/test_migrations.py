"""The schema: up, down and up again with data, and what the database itself refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account
from portal.accounts.states import STATES
from portal.audit.models import AuditEvent
from portal.auth.models import User
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.models import Charge, Claim, Entry, Hold, Posting
from portal.db import normal_url
from portal.documents.kinds import DocumentKind
from portal.documents.models import Document
from portal.documents.store import store
from portal.ledger.adapters.embedded.models import LedgerLine, LedgerTransaction
from portal.migrate import MIGRATIONS, downgrade, upgrade
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.booking import book
from portal.payments.kinds import BookingKind, ConsentKind
from portal.payments.models import Booking, BookingPart, Consent, DebitReturn, Payment, PaymentShare, StripeCustomer
from portal.payments.state import PaymentState
from portal.plans.kinds import ChangeKind, Frequency, PlanState
from portal.plans.models import ClauseState, Plan, PlanChange, PlanClause
from portal.refunds.models import Refund
from portal.refunds.state import RefundReason, RefundState
from portal.remittances.models import RemittanceFile
from portal.tables import metadata
from tests.conftest import Clinic, Database
from tests.databases import Backend

#: SQLite tells nobody what an index over an expression is over, so there such an index is compared on PostgreSQL only.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]

APPEND_ONLY = (
    Entry,
    AuditEvent,
    LedgerTransaction,
    LedgerLine,
    Booking,
    BookingPart,
    Consent,
    DebitReturn,
    PlanChange,
    PlanClause,
    Document,
)


@pytest.fixture
def empty(backend: Backend) -> Iterator[str]:
    """A database that no migration has touched."""
    url = backend.copy(backend.template("bare", lambda url: looked_at(url, lambda _connection: None)))
    yield url
    backend.drop(url)


def looked_at(url: str, look: Callable[[sa.Connection], Any]) -> Any:
    """What ``look`` says of the database; no connection stays open."""
    engine = sa.create_engine(normal_url(url))
    with engine.connect() as connection:
        found = look(connection)
    engine.dispose()
    return found


def tables(url: str) -> set[str]:
    found = looked_at(url, lambda connection: set(sa.inspect(connection).get_table_names()))
    return found - {"alembic_version"}


def differences(url: str) -> list[Any]:
    """What autogenerate would write: how the tables differ from the models."""

    def compare(connection: sa.Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [
            change
            for change in compare_metadata(context, metadata)
            if not (change[0] == "remove_table" and change[1].name == "alembic_version")
        ]

    found: list[Any] = looked_at(url, compare)
    return found


def leftovers(url: str) -> list[str]:
    """Triggers and functions of ours that are there."""

    def look(connection: sa.Connection) -> list[str]:
        if connection.dialect.name == "sqlite":
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        else:
            query = "SELECT proname FROM pg_proc WHERE proname = 'refuse_change'"
        return list(connection.execute(sa.text(query)).scalars())

    found: list[str] = looked_at(url, look)
    return found


def test_up_down_and_up_again(empty: str) -> None:
    assert tables(empty) == set()
    upgrade(empty)
    assert tables(empty) == set(metadata.tables)
    assert differences(empty) == []
    assert leftovers(empty) != []
    downgrade(empty, "base")
    assert (tables(empty), leftovers(empty)) == (set(), [])
    upgrade(empty)
    assert differences(empty) == []


def test_every_check_of_the_models_is_in_the_database(database: Database) -> None:
    """Autogenerate does not look at checks, and SQLite loses them when a table is rebuilt carelessly."""

    def look(connection: sa.Connection) -> dict[str, set[str | None]]:
        inspector = sa.inspect(connection)
        return {name: {one["name"] for one in inspector.get_check_constraints(name)} for name in metadata.tables}

    wanted = {
        name: {
            format_constraint(one)
            for one in table.constraints
            if isinstance(one, sa.CheckConstraint)
        }
        for name, table in metadata.tables.items()
    }
    assert sum(len(names) for names in wanted.values()) > 20
    assert looked_at(database.url, look) == wanted


def format_constraint(constraint: sa.CheckConstraint) -> str:
    """A constraint's name as the naming convention writes it."""
    return str(DefaultDialect().identifier_preparer.format_constraint(constraint))


def test_the_comparison_sees_a_difference(database: Database) -> None:
    def alter(connection: sa.Connection) -> None:
        connection.execute(sa.text('ALTER TABLE "user" ADD COLUMN surprise INTEGER'))
        connection.commit()

    looked_at(database.url, alter)
    assert [change[0] for change in differences(database.url)] == ["remove_column"]


def revisions() -> list[str]:
    """Every revision, the first one first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def counts(url: str) -> dict[str, int]:
    def count(connection: sa.Connection) -> dict[str, int]:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }

    found: dict[str, int] = looked_at(url, count)
    return found


def test_the_history_is_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert (len(script.get_heads()), len(script.get_bases())) == (1, 1)


def test_payments_of_the_first_schema_keep_their_money(clinic: Clinic, session: Session, database: Database) -> None:
    """What was paid, what is open and who the customer is, as the first version wrote it."""
    account_id, charge_id = session.execute(sa.select(Entry.account_id, Entry.charge_id).limit(1)).one()
    user_id = session.scalars(sa.select(User.id).order_by(User.id).limit(1)).one()
    session.close()
    downgrade(database.url, "0002")

    def write(connection: sa.Connection) -> None:
        old = sa.MetaData()
        old.reflect(connection, only=["payment", "allocation", "stripe_customer", "stripe_event"])
        now = clock.now()

        def put(table: str, **row: Any) -> None:
            connection.execute(sa.insert(old.tables[table]).values(**row))

        put("stripe_customer", account_id=account_id, key="c" * 32, customer_id="cus_1", created_at=now)
        for number, state in enumerate(("succeeded", "open"), start=1):
            put(
                "payment",
                id=number,
                public_id=str(number) * 32,
                account_id=account_id,
                user_id=user_id,
                amount_cents=100 * number,
                currency="USD",
                state=state,
                method="",
                failure_code="",
                created_at=now,
                requested_at=now,
                checked_at=now,
                settled_at=now if state == "succeeded" else None,
            )
            put("allocation", payment_id=number, charge_id=charge_id, amount_cents=100 * number)
        put("stripe_event", id="evt_1", type="t", object_id="", intent_id="", received_at=now, next_try_at=now, tries=0)
        connection.commit()

    looked_at(database.url, write)
    upgrade(database.url)
    found = looked_at(
        database.url,
        lambda connection: (
            connection.execute(
                sa.select(Payment.id, Payment.source, Payment.customer_id, Payment.confirmed_at.is_not(None)).order_by(
                    Payment.id
                )
            ).all(),
            connection.execute(
                sa.select(PaymentShare.payment_id, PaymentShare.amount, PaymentShare.is_open).order_by(
                    PaymentShare.payment_id
                )
            ).all(),
            connection.execute(sa.select(Booking.key, Booking.amount)).all(),
            connection.execute(sa.select(BookingPart.charge_id, BookingPart.amount)).all(),
            connection.execute(
                sa.select(StripeCustomer.account_id, StripeCustomer.user_id, StripeCustomer.customer_id)
            ).all(),
        ),
    )
    assert [tuple(row) for row in found[0]] == [(1, "patient", "cus_1", True), (2, "patient", "cus_1", False)]
    assert [tuple(row) for row in found[1]] == [(1, Money(100), False), (2, Money(200), True)]
    assert [tuple(row) for row in found[2]] == [("1" * 32, Money(100))]
    assert [tuple(row) for row in found[3]] == [(charge_id, Money(100))]
    assert [tuple(row) for row in found[4]] == [(account_id, None, "cus_1")]
    assert differences(database.url) == []


def test_debits_that_came_back_before_they_were_kept_are_kept(
    clinic: Clinic, session: Session, database: Database
) -> None:
    """What failed and what was taken back of bank debits, and nothing else; they count from then on."""
    account_id = session.scalars(sa.select(Entry.account_id).limit(1)).one()
    user_id, now = session.scalars(sa.select(User.id).order_by(User.id).limit(1)).one(), clock.now()
    session.close()
    downgrade(database.url, "0014")

    def write(connection: sa.Connection) -> None:
        old = sa.MetaData()
        old.reflect(connection, only=["payment", "dispute", "audit_event"])
        for number, (state, kind, confirmed, code) in enumerate(
            [
                ("canceled", "us_bank_account", now, "insufficient_funds"),
                ("canceled", "us_bank_account", now, ""),  # on its way, and ended without a word
                ("canceled", "us_bank_account", None, ""),  # given up before it went anywhere
                ("canceled", "us_bank_account", None, "payment_method_microdeposit_failed"),
                ("canceled", "card", None, "insufficient_funds"),
                ("succeeded", "us_bank_account", now, ""),  # taken back later
                ("succeeded", "card", now, ""),
            ],
            start=1,
        ):
            row = {
                "id": 100 + number,
                "public_id": f"{number:032}",
                "account_id": account_id,
                "user_id": user_id,
                "source": "autopay",
                "amount_cents": 100,
                "currency": "USD",
                "state": state,
                "method": "",
                "method_kind": kind,
                "failure_code": code,
                "created_at": now,
                "checked_at": now,
                "confirmed_at": confirmed,
                "keep_method": False,
                "action": "",
                "receipt_email": "",
            }
            connection.execute(sa.insert(old.tables["payment"]).values(**row))
        ended = {
            "at": now - timedelta(days=3),
            "tag": "payments.payment.canceled",
            "account_id": account_id,
            "subject": f"{1:032}",
            "facts": {},
        }
        connection.execute(sa.insert(old.tables["audit_event"]).values(**ended))
        disputed = [(106, 2, "debit_not_authorized"), (106, 1, "bank_cannot_process"), (107, 2, "fraudulent")]
        for number, days, reason in disputed:
            dispute = {
                "public_id": f"{number + 10 * days:032}",
                "stripe_dispute_id": f"dp_{number}_{days}",
                "payment_id": number,
                "stripe_charge_id": "",
                "amount_cents": 100,
                "reason": reason,
                "state": "lost",
                "opened_at": now,
                "withdrawn_at": now - timedelta(days=days),
                "checked_at": now,
            }
            connection.execute(sa.insert(old.tables["dispute"]).values(**dispute))
        connection.commit()

    looked_at(database.url, write)
    upgrade(database.url)
    found = looked_at(
        database.url,
        lambda connection: connection.execute(
            sa.select(DebitReturn.payment_id, DebitReturn.code, DebitReturn.returned_at).order_by(
                DebitReturn.payment_id
            )
        ).all(),
    )
    assert [tuple(row) for row in found] == [
        (101, "insufficient_funds", now - timedelta(days=3)),
        (102, "unknown", now),
        (106, "debit_not_authorized", now - timedelta(days=2)),
    ]


def test_the_last_step_down_and_up_with_data(clinic: Clinic, database: Database) -> None:
    """What the older tables hold survives; with one revision only, all of it goes and comes back empty."""
    before = counts(database.url)
    assert before["entry"] > 20
    steps = revisions()
    previous = steps[-2] if len(steps) > 1 else "base"
    clinic.session.close()
    downgrade(database.url, previous)
    left = tables(database.url)
    if previous == "base":
        assert left == set()
    upgrade(database.url)
    assert differences(database.url) == []
    after = counts(database.url)
    assert {name: after[name] for name in left} == {name: before[name] for name in left}


def test_refunds_that_staff_entered_by_hand_are_not_looked_for(
    clinic: Clinic, session: Session, database: Database, paid: None
) -> None:
    """The desk told them to, before refunds were looked for in Stripe's list. Nobody is told, and nothing is booked."""
    payment_id, staff = session.scalars(sa.select(Payment.id)).one(), clinic.user_id("staff@example.com")
    session.close()
    downgrade(database.url, "0014")
    downgrade(database.url, "-1")

    def write(connection: sa.Connection) -> None:
        old = sa.MetaData()
        old.reflect(connection, only=["balance_movement"], resolve_fks=False)
        now = clock.now()
        for number, (handled, gross) in enumerate([(now, -700), (now, 700), (None, -300)], start=1):
            connection.execute(
                sa.insert(old.tables["balance_movement"]).values(
                    public_id=str(number) * 32, stripe_id=f"txn_{number}", kind="refund", gross_cents=gross,
                    fee_cents=0, net_cents=gross, source_id="re_seen" if handled else "re_open", created_at=now,
                    available_on=now.date(), match="none", payment_id=payment_id, exception="refund_unknown",
                    handled_at=handled, handled_by=staff if handled else None, handled_note="by hand",
                )
            )  # fmt: skip
        connection.commit()

    looked_at(database.url, write)
    upgrade(database.url)
    found = looked_at(
        database.url,
        lambda connection: connection.execute(
            sa.select(Refund.stripe_refund_id, Refund.state, Refund.amount, Refund.payment_id, Refund.handled_by)
        ).all(),
    )
    assert [tuple(row) for row in found] == [("re_seen", RefundState.WITHDRAWN, Money(700), payment_id, staff)]
    assert differences(database.url) == []


def test_what_waits_for_its_payment_is_not_sent_by_an_older_version(
    clinic: Clinic, session: Session, database: Database, paid: None
) -> None:
    now, payment_id = clock.now(), session.scalars(sa.select(Payment.id)).one()
    session.add(
        Refund(
            payment_id=payment_id, amount=Money(10), reason=RefundReason.REQUESTED, state=RefundState.WAITING,
            send_on=now.date(), created_at=now, checked_at=now, stripe_refund_id="pyr_1",
        )
    )  # fmt: skip
    session.commit()
    session.close()
    downgrade(database.url, "0014")
    downgrade(database.url, "-1")
    left = looked_at(database.url, lambda one: one.execute(sa.text("SELECT count(*) FROM refund")).scalar_one())
    assert left == 0
    upgrade(database.url)
    assert differences(database.url) == []


@pytest.fixture
def paid(clinic: Clinic, session: Session) -> None:
    """A payment that was agreed to and booked, so that no table of what is written once is empty."""
    payment = session.execute(sa.select(Entry.account_id, Entry.charge_id).limit(1)).one()
    user_id, now = session.scalars(sa.select(User.id).order_by(User.id).limit(1)).one(), clock.now()
    row = Payment(
        account_id=payment.account_id,
        user_id=user_id,
        amount=Money(100),
        state=PaymentState.SUCCEEDED,
        created_at=now,
        checked_at=now,
    )
    agreed = Consent(
        user_id=user_id, kind=ConsentKind.SAVE_METHOD, version="1", language="en", text="Keep it.", given_at=now
    )
    plan = Plan(
        account_id=payment.account_id,
        user_id=user_id,
        state=PlanState.DECLINED,
        frequency=Frequency.MONTHLY,
        day=1,
        each=Money(100),
        checked_at=now,
    )
    session.add_all([row, agreed, plan])
    session.flush()
    session.add(
        PlanChange(
            plan_id=plan.id, version=1, kind=ChangeKind.CANCELED, left=Money(0), schedule=[], changed_at=now
        )
    )
    session.add(DebitReturn(payment_id=row.id, code="no_account", presented_at=now, returned_at=now))
    session.add(
        PlanClause(consent_id=agreed.id, clause="one", digest="0" * 64, places="agreement", words="Exactly this.")
    )
    store(session, kind=DocumentKind.STATEMENT, content=b"%PDF", account_id=payment.account_id)
    book(
        session,
        kind=BookingKind.PAYMENT,
        payment_id=row.id,
        home_account_id=row.account_id,
        subject=row.public_id,
        parts=[Part(payment.charge_id, Money(100))],
        at=clock.now(),
    )
    session.commit()


@pytest.mark.usefixtures("paid")
@pytest.mark.parametrize("model", APPEND_ONLY, ids=lambda model: model.__tablename__)
@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_database_refuses_to_change_what_was_written(session: Session, model: Any, act: str) -> None:
    table = model.__table__
    count = session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    if not count:
        pytest.fail(f"the demo clinic has no {table.name}")
    column = next(column for column in table.columns if not column.primary_key)
    statement = sa.delete(table) if act == "delete" else sa.update(table).values({column: column})
    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(statement)
    session.rollback()
    assert session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == count


def test_what_is_not_append_only_can_be_changed(clinic: Clinic, session: Session) -> None:
    session.execute(sa.update(Account).values(guarantor_name="Other Sample"))
    session.commit()


def test_postgresql_refuses_truncate_too(clinic: Clinic, session: Session) -> None:
    if session.get_bind().dialect.name != "postgresql":
        pytest.skip("SQLite has no TRUNCATE")
    for model in APPEND_ONLY:
        with pytest.raises(DBAPIError, match="append-only"):
            session.execute(sa.text(f"TRUNCATE {model.__tablename__} CASCADE"))
        session.rollback()


@pytest.fixture
def entry(clinic: Clinic, session: Session) -> Callable[..., Entry]:
    """``entry(...)``: an entry that the database takes, with some columns changed."""
    charge_id, account_id = session.execute(sa.select(Entry.charge_id, Entry.account_id).limit(1)).one()

    def make(**changed: Any) -> Entry:
        facts: dict[str, Any] = {
            "kind": EntryKind.ADJUSTMENT,
            "amount": Money(-100),
            "insurer": Money(-100),
            "patient": Money(0),
            "stated": Money(100),
            "group_code": "CO",
            "reason_code": "45",
            "source": "test",
            "source_id": "one",
            "revision": 1,
            "created_at": clock.now(),
        }
        return Entry(account_id=account_id, charge_id=charge_id, **{**facts, **changed})

    return make


def refused(session: Session, *rows: Any) -> str:
    """The name of what the database refuses the rows by; fails when it takes them."""
    session.add_all(rows)
    with pytest.raises(IntegrityError) as error:
        session.flush()
    session.rollback()
    return str(error.value.orig)


def test_an_entry_as_it_should_be_is_taken(session: Session, entry: Callable[..., Entry]) -> None:
    session.add(entry())
    session.add(entry(revision=2))
    session.add(entry(kind=EntryKind.SHARE_MOVED, group_code="PR", amount=Money(0), patient=Money(100), revision=3))
    session.flush()


def test_a_contractual_amount_is_never_the_patients(session: Session, entry: Callable[..., Entry]) -> None:
    wrong = entry(amount=Money(0), patient=Money(100))
    assert "contractual_is_not_the_patients" in refused(session, wrong)


def test_an_entrys_two_sides_are_its_amount(session: Session, entry: Callable[..., Entry]) -> None:
    assert "buckets_add_up" in refused(session, entry(amount=Money(-99)))


def test_an_entry_comes_from_its_source_once(session: Session, entry: Callable[..., Entry]) -> None:
    assert "source" in refused(session, entry(), entry(patient=Money(0)))


@pytest.mark.parametrize("kind", ["gift", ""])
def test_what_an_entry_can_be_is_a_closed_list(session: Session, clinic: Clinic, kind: str) -> None:
    row = dict(session.execute(sa.select(Entry.__table__).limit(1)).mappings().one())
    row.update(kind=sa.literal_column(f"'{kind}'"), source_id="other", source="test")
    del row["id"]
    with pytest.raises(IntegrityError, match="entrykind"):
        session.execute(sa.insert(Entry.__table__).values(row))


@pytest.fixture
def payment(clinic: Clinic, session: Session) -> Callable[..., Payment]:
    """``payment(state)``: a payment on the clinic's first account."""
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
    user_id = session.scalars(sa.select(User.id).order_by(User.id).limit(1)).one()

    def make(state: PaymentState, **changed: Any) -> Payment:
        now = clock.now()
        facts: dict[str, Any] = {"account_id": account_id, "amount": Money(100), **changed}
        return Payment(user_id=user_id, state=state, created_at=now, checked_at=now, **facts)

    return make


@pytest.fixture
def share(session: Session, payment: Callable[..., Payment]) -> Callable[..., PaymentShare]:
    """``share(is_open)``: the share of a new payment on the clinic's first account, or on ``ref``'s."""

    def make(is_open: bool, ref: str = "JDC-1001") -> PaymentShare:
        account_id = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
        row = payment(PaymentState.OPEN if is_open else PaymentState.SUCCEEDED)
        session.add(row)
        session.flush()
        return PaymentShare(payment_id=row.id, account_id=account_id, amount=Money(100), is_open=is_open)

    return make


def test_an_account_has_one_open_payment(session: Session, share: Callable[..., PaymentShare]) -> None:
    name = refused(session, share(True), share(True))
    assert "account_id" in name.replace("uq_payment_share_open", "account_id")


def test_payments_that_are_over_may_be_many(session: Session, share: Callable[..., PaymentShare]) -> None:
    session.add_all([share(False), share(False), share(True), share(True, "JDC-1002")])
    session.flush()


def test_a_payment_without_a_person_is_a_guests(session: Session, payment: Callable[..., Payment]) -> None:
    row = payment(PaymentState.OPEN)
    row.user_id = None
    assert "somebody_pays" in refused(session, row)


@pytest.mark.parametrize("cents", [0, -1])
def test_a_payment_is_above_nothing(session: Session, payment: Callable[..., Payment], cents: int) -> None:
    wrong = payment(PaymentState.SUCCEEDED, amount=Money(cents))
    assert "amount_is_positive" in refused(session, wrong)


def test_a_postings_key_is_taken_once(clinic: Clinic, session: Session) -> None:
    account_id, now = session.scalars(sa.select(Account.id).limit(1)).one(), clock.now()

    def posting() -> Posting:
        return Posting(
            key="a" * 32,
            account_id=account_id,
            kind="patient_payment",
            amount=Money(1),
            effective_on=date(2026, 11, 2),
            lines=[],
            created_at=now,
            next_try_at=now,
        )

    assert "key" in refused(session, posting(), posting())


def test_a_file_a_claim_and_a_ledger_key_are_known_once(clinic: Clinic, session: Session) -> None:
    for model, column in ((RemittanceFile, "sha256"), (Claim, "source_key"), (LedgerTransaction, "key")):
        table: Any = model.__table__
        row = dict(session.execute(sa.select(table).limit(1)).mappings().one())
        del row["id"]
        with pytest.raises(IntegrityError, match=column):
            session.execute(sa.insert(table).values(row))
        session.rollback()


def test_a_charge_is_held_for_a_reason_once_at_a_time(clinic: Clinic, session: Session) -> None:
    charge_id = session.scalars(sa.select(Charge.id).order_by(Charge.id).limit(1)).one()
    now = clock.now()

    def hold(**changed: Any) -> Hold:
        return Hold(charge_id=charge_id, reason=HoldReason.STAFF, placed_at=now, **changed)

    session.add_all([hold(released_at=now), hold(released_at=now), hold()])
    session.flush()
    assert "charge_id" in refused(session, hold()).replace("uq_hold_open", "charge_id")


def test_where_somebody_lives_is_a_state_or_unknown(clinic: Clinic, session: Session) -> None:
    assert session.scalar(sa.select(sa.func.count(Account.id)).where(Account.home_state.is_(None)))
    for code in (*STATES, None):
        session.execute(sa.update(Account).values(home_state=code))
    session.rollback()
    for wrong in ("XX", "", "ca", "AE"):
        with pytest.raises(IntegrityError, match="home_state_is_known"):
            session.execute(sa.update(Account).values(home_state=wrong))
        session.rollback()


def test_a_state_is_taken_away_once_at_a_time_and_with_a_reason(clinic: Clinic, session: Session) -> None:
    user_id, now = session.scalars(sa.select(User.id).limit(1)).one(), clock.now()

    def away(state: str = "CA", reason: str = "Nobody.", **changed: Any) -> ClauseState:
        return ClauseState(state=state, reason=reason, left_out_by=user_id, left_out_at=now, **changed)

    session.add_all([away(put_back_at=now), away(put_back_at=now), away(), away("OR")])
    session.commit()
    assert "state" in refused(session, away())
    assert "reason_is_given" in refused(session, away("WA", ""))
    assert "state_is_known" in refused(session, away("XX"))
