"""Which clauses of the law an agreement has to have, and which states a supervisor has taken away."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.queries import home_state
from portal.accounts.states import STATES
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.auth.joins import USER
from portal.plans.errors import ReasonMissing
from portal.plans.models import ClauseState, PlanClause
from portal.plans.rules.clauses import Clause, that_stand
from portal.plans.rules.conditions import Conditions


def clauses_for(session: Session, account_id: int, *, conditions: Conditions) -> tuple[Clause, ...]:
    """The clauses that an agreement with whoever pays an account has to have today."""
    return that_stand(
        conditions.policy.clauses,
        home_state=home_state(session, account_id),
        left_out=left_out(session),
        today=conditions.today,
    )


def keep_clauses(session: Session, consent_id: int, clauses: Iterable[Clause], *, language: str) -> None:
    """Keep with an agreement which clauses stood in it, in the caller's transaction. ``language`` is as in ``es``."""
    session.add_all(
        PlanClause(
            consent_id=consent_id,
            clause=one.id,
            digest=one.digest,
            places=" ".join(one.places),
            words="\n".join(part.text for part in one.parts(language)),
        )
        for one in clauses
    )
    session.flush()


def left_out(session: Session) -> frozenset[str]:
    """The states that are taken away now."""
    return frozenset(session.scalars(sa.select(ClauseState.state).where(ClauseState.put_back_at.is_(None))))


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """A state that was taken away, by whom and why; and who put it back, if somebody did."""

    public_id: str
    state: str
    reason: str
    by: str
    at: datetime
    put_back_by: str
    put_back_at: datetime | None

    @property
    def state_named(self) -> str:
        """Its name."""
        return STATES[self.state]


def left_out_rows(session: Session) -> list[LeftOutRow]:
    """Every state that was ever taken away, the latest first."""
    rows = session.execute(
        sa.select(
            ClauseState.public_id,
            ClauseState.state,
            ClauseState.reason,
            ClauseState.left_out_by,
            ClauseState.left_out_at,
            ClauseState.put_back_by,
            ClauseState.put_back_at,
        ).order_by(ClauseState.id.desc())
    ).all()
    ids = {user_id for row in rows for user_id in (row[3], row[5]) if user_id is not None}
    names = dict(session.execute(sa.select(USER.c.id, USER.c.display_name).where(USER.c.id.in_(ids))).all())
    return [LeftOutRow(*row[:3], names[row[3]], row[4], names.get(row[5] or 0, ""), row[6]) for row in rows]


def leave_out(session: Session, state: str, *, reason: str, staff_user_id: int) -> bool:
    """Take a state away: nobody lives there of whom no state is known; commits. False where it was away already.

    Who is known to live there still gets its clauses. Raises :class:`ReasonMissing`, and ``ValueError`` for no state.
    """
    if state not in STATES:
        raise ValueError(f"not a state: {state!r}")
    if not reason.strip():
        raise ReasonMissing
    row = ClauseState(
        state=state, reason=reason.strip()[:300], left_out_by=staff_user_id, left_out_at=clock.now()
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # a second supervisor, or a second click
        session.rollback()
        return False
    record(
        session,
        Tag.CLAUSE_STATE_LEFT_OUT,
        actor_user_id=staff_user_id,
        subject=row.public_id,
        state=state,
        reason=row.reason,
    )
    session.commit()
    return True


def put_back(session: Session, public_id: str, *, staff_user_id: int) -> bool:
    """Let a state's clauses stand again where no state is known; commits. False where that was so already."""
    done = session.execute(
        sa.update(ClauseState)
        .where(ClauseState.public_id == public_id, ClauseState.put_back_at.is_(None))
        .values(put_back_at=clock.now(), put_back_by=staff_user_id)
        .returning(ClauseState.state)
    ).scalar_one_or_none()
    if done is not None:
        record(
            session, Tag.CLAUSE_STATE_PUT_BACK, actor_user_id=staff_user_id, subject=public_id, state=done
        )
    session.commit()
    return done is not None
