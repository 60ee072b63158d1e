"""Each agreement has the clauses of the law that it has to have: in text, PDF and mail, and kept with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask_babel import force_locale

from portal.accounts.service import set_home_state
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind
from portal.billing.service import NewEntry, write_entries
from portal.documents.models import Document
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.models import Consent
from portal.plans.agreeing.agreement import agreement, paragraphs
from portal.plans.agreeing.clause_states import leave_out, left_out, left_out_rows, put_back
from portal.plans.changing.amending import cancel
from portal.plans.desk.clause_worklist import agreements_without, agreements_without_count
from portal.plans.errors import ReasonMissing
from portal.plans.kinds import ChangeKind, Frequency
from portal.plans.models import PlanClause
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.clauses import MARKS
from portal.plans.rules.policy import shipped_clauses
from portal.plans.rules.schedule import Rhythm
from portal.plans.rules.terms import ParagraphKind
from tests.unit.documents.test_render import text_of
from tests.unit.plans.conftest import PlanWorld
from tests.unit.plans.test_agreement import terms
from tests.unit.plans.test_agreement_document import elements, judge, outline
from tests.unit.plans.test_another_method import choose_another
from tests.unit.plans.test_by_staff import accept, by_staff, offer
from tests.unit.plans.test_clauses import CALIFORNIA, clause

TITLE = "Notice that the law of California requires"


def squeezed(text: str) -> str:
    """Without the white space, which a PDF breaks its lines with."""
    return "".join(text.split())


def latest(world: PlanWorld) -> tuple[str, str, str]:
    """The text that was agreed to last, the words of its PDF, and its copy."""
    world.session.rollback()
    change = next(one for one in reversed(world.changes()) if one.consent_id is not None)
    return (
        world.session.get_one(Consent, change.consent_id).text,
        text_of(world.session.get_one(Document, change.document_id).content),
        str(
            world.session.scalars(
                sa.select(Notification.body)
                .where(Notification.key == f"plan/{world.plan().public_id}/copy/{change.version}")
            ).one()
        ),
    )


def kept(world: PlanWorld) -> list[PlanClause]:
    """What is kept with the latest agreement."""
    change = next(one for one in reversed(world.changes()) if one.consent_id is not None)
    return list(world.session.scalars(sa.select(PlanClause).where(PlanClause.consent_id == change.consent_id)))


def live_in(world: PlanWorld, state: str | None) -> None:
    set_home_state(world.session, world.account_id, state, actor_user_id=world.user_id)
    world.session.commit()


def without(world: PlanWorld) -> list[tuple[str, list[str]]]:
    """The plans that the desk lists, with what their agreements lack."""
    found = agreements_without(world.session, conditions=world.conditions, limit=25)
    assert len(found) == agreements_without_count(world.session, conditions=world.conditions)
    world.session.rollback()
    return [(one.plan.public_id, [missing.id for missing in one.missing]) for one in found]


def _take_out(world: PlanWorld) -> int:
    charge_id = next(line.charge_id for line in world.lines() if line.on_plan)
    world.wanted(ChangeRequest(ChangeKind.LINES_REMOVED, charges={charge_id: Money.zero()}))
    return charge_id


def _offer_in_its_place(world: PlanWorld) -> None:
    offer(world, replaces=True, each=Money(2_500))
    accept(world)


def _paused_and_gone_on(world: PlanWorld) -> None:
    by_staff(world, ChangeRequest(ChangeKind.PAUSED, until=world.today + timedelta(days=30)))
    world.wanted(ChangeRequest(ChangeKind.RESUMED))


#: Every way to a new agreement besides the first, which each of them begins with.
WAYS: dict[str, Callable[[PlanWorld], Any]] = {
    "set up": lambda _world: None,
    "offered in its place": _offer_in_its_place,
    "amount": lambda world: world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(6_000))),
    "day": lambda world: world.wanted(ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 20))),
    "skip": lambda world: world.wanted(ChangeRequest(ChangeKind.SKIPPED)),
    "taken out": _take_out,
    "added": lambda world: world.wanted(
        ChangeRequest(ChangeKind.LINES_ADDED, charges={_take_out(world): Money.zero()})
    ),
    "gone on": _paused_and_gone_on,
    "method": choose_another,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", [None, "CA"], ids=["unknown", "California"])
def test_every_agreement_has_the_clause_in_text_document_and_mail(
    world: PlanWorld, way: str, state: str | None
) -> None:
    live_in(world, state)
    world.enrol()
    before = world.session.scalar(sa.select(sa.func.count(Consent.id)).where(Consent.kind == "plan"))
    WAYS[way](world)
    for place in latest(world):
        assert squeezed(CALIFORNIA) in squeezed(place)
        assert squeezed(TITLE) in squeezed(place)
    text, _document, mail = latest(world)
    assert CALIFORNIA in text.split("\n\n")
    assert CALIFORNIA in mail.split("\n\n")
    (row,) = kept(world)
    (shipped,) = shipped_clauses()
    assert (row.clause, row.digest, row.words) == (shipped.id, shipped.digest, CALIFORNIA)
    assert row.places == "agreement document mail"
    agreed = world.session.scalars(sa.select(Consent.id).where(Consent.kind == "plan")).all()
    assert set(world.session.scalars(sa.select(PlanClause.consent_id))) == set(agreed)
    assert len(agreed) > (before or 0) or way == "set up"
    assert without(world) == []


def test_who_is_known_to_live_elsewhere_has_none(world: PlanWorld) -> None:
    live_in(world, "TX")
    world.enrol()
    assert all("1785.27" not in place for place in latest(world))
    assert kept(world) == []
    assert without(world) == []


def several(world: PlanWorld) -> None:
    """An invented law of two states that has no place in the mail beside the shipped one."""
    everywhere = ["agreement", "document", "mail"]
    added = (clause(places=everywhere[:2]), clause(id="ny-only", states=["NY"], places=everywhere))
    world.policy = replace(world.policy, clauses=(*shipped_clauses(), *added))


def test_several_clauses_each_in_its_places(world: PlanWorld) -> None:
    several(world)
    world.enrol()
    text, document, mail = latest(world)
    other = "Nobody may take your house for this."
    assert TITLE in text
    assert text.count("Notice that the law of Oregon, Washington requires") == 1
    assert CALIFORNIA in text
    assert text.count(other) == 2
    assert squeezed(document).count(squeezed(other)) == 2
    assert CALIFORNIA in mail
    assert other in mail.split("\n\n")  # New York's, which has a place there
    assert "Oregon" not in mail
    assert {one.clause: one.places for one in kept(world)} == {
        "ca-credit-reporting": "agreement document mail",
        "or-wa-collection": "agreement document",
        "ny-only": "agreement document mail",
    }


def test_a_known_state_has_its_own_alone(world: PlanWorld) -> None:
    several(world)
    live_in(world, "WA")
    world.enrol()
    assert [one.clause for one in kept(world)] == ["or-wa-collection"]
    assert "1785.27" not in latest(world)[0]


def test_a_clause_in_the_document_alone_is_not_in_the_text(world: PlanWorld) -> None:
    only = clause(places=["document"], words={"en": "Read this in the PDF."})
    world.policy = replace(world.policy, clauses=(only,))
    world.enrol()
    text, document, mail = latest(world)
    assert squeezed("Read this in the PDF.") in squeezed(document)
    assert "in the PDF" not in text + mail
    assert [one.clause for one in kept(world)] == [only.id]


def test_in_spanish_both_stand_everywhere_with_the_mark(world: PlanWorld) -> None:
    several(world)
    with force_locale("es"):
        world.enrol()
    text, document, mail = latest(world)
    (shipped,) = shipped_clauses()
    ours = dict(shipped.translations)["es"]
    for place in (text, document, mail):
        found = squeezed(place)
        english, mark, spanish = (found.index(squeezed(one)) for one in (CALIFORNIA, MARKS["es"], ours))
        assert english < mark < spanish
    assert text.split("\n\n").index(CALIFORNIA) + 2 == text.split("\n\n").index(ours)
    assert text.count(MARKS["es"]) == 1  # the other's Spanish words are the law's own
    assert "Nadie le puede quitar la casa por esto." in text
    words = {one.clause: one.words for one in kept(world)}
    assert words["ca-credit-reporting"].split("\n") == [CALIFORNIA, MARKS["es"], ours]


def test_each_part_says_its_language(world: PlanWorld) -> None:
    found = terms(5_000, clauses=shipped_clauses())
    with force_locale("es"):
        shown = paragraphs(found, clinic="A clinic", phone="")
    by_text = {one.text: one for one in shown}
    assert by_text[CALIFORNIA].language == "en"
    assert by_text[MARKS["es"]].language == ""  # the page's own
    assert [one.kind for one in shown][-4:] == [ParagraphKind.TITLE, *[ParagraphKind.LAW] * 3]
    assert all(one.language == "" for one in paragraphs(found, clinic="A clinic", phone=""))


def test_the_clause_comes_before_the_disclosure_which_stands_apart(world: PlanWorld) -> None:
    shown = paragraphs(terms(*(5_000,) * 5, clauses=shipped_clauses()), clinic="A clinic", phone="")
    assert [one.kind for one in shown][-4:] == [
        ParagraphKind.TITLE,
        ParagraphKind.LAW,
        ParagraphKind.TITLE,
        ParagraphKind.ROWS,
    ]


def test_the_documents_parts_are_tagged_with_their_language(world: PlanWorld) -> None:
    with force_locale("es"):
        made = agreement(terms(5_000, clauses=shipped_clauses()), clinic="A clinic", phone="")
    tagged = [str(one["/Lang"]) for one in elements(made.document) if "/Lang" in one]
    assert "en" in tagged
    assert ("/H2", TITLE) in outline(made.document)
    judge(made.document, language="es")


# What is listed at the desk.


def made_before(world: PlanWorld) -> str:
    """A plan whose agreement was made by a portal that knew of no clause."""
    policy = world.policy
    world.policy = replace(policy, clauses=())
    world.enrol()
    world.policy = policy
    return world.plan().public_id


@pytest.mark.parametrize("state", [None, "CA"], ids=["unknown", "California"])
def test_an_agreement_made_before_is_listed_until_a_new_one_is_agreed_to(
    world: PlanWorld, state: str | None
) -> None:
    live_in(world, state)
    plan = made_before(world)
    assert without(world) == [(plan, ["ca-credit-reporting"])]
    offer(world, replaces=True, each=Money(2_500))
    (listed,) = agreements_without(world.session, conditions=world.conditions, limit=25)
    assert (listed.plan.public_id, listed.offered, listed.home_state) == (plan, True, state)
    accept(world)
    assert without(world) == []


def test_a_change_that_is_agreed_to_mends_it_and_one_of_the_staff_does_not(world: PlanWorld) -> None:
    plan = made_before(world)
    by_staff(world, ChangeRequest(ChangeKind.SKIPPED))
    assert without(world) == [(plan, ["ca-credit-reporting"])]
    world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(6_000)))
    assert without(world) == []


def test_who_turns_out_to_live_there_is_listed(world: PlanWorld) -> None:
    live_in(world, "TX")
    world.enrol()
    plan = world.plan().public_id
    assert without(world) == []
    live_in(world, "CA")
    assert without(world) == [(plan, ["ca-credit-reporting"])]
    live_in(world, None)
    assert without(world) == [(plan, ["ca-credit-reporting"])]
    live_in(world, "NV")
    assert without(world) == []


def test_other_words_of_a_clause_are_another_clause(world: PlanWorld) -> None:
    several(world)
    world.enrol()
    assert without(world) == []
    reworded = [replace(one, words=(("en", "Other words."),)) if one.id == "ny-only" else one
                for one in world.policy.clauses]  # fmt: skip
    world.policy = replace(world.policy, clauses=tuple(reworded))
    assert without(world) == [(world.plan().public_id, ["ny-only"])]


def test_an_agreement_older_than_the_law_lacks_nothing(world: PlanWorld) -> None:
    world.enrol()
    world.later(days=3)
    new = clause(since=world.today - timedelta(days=1))
    world.policy = replace(world.policy, clauses=(*world.policy.clauses, new))
    assert without(world) == []
    same_day = replace(new, since=world.today - timedelta(days=3))
    world.policy = replace(world.policy, clauses=(*shipped_clauses(), same_day))
    assert without(world) == [(world.plan().public_id, [new.id])]


def test_a_plan_that_is_over_and_an_offer_are_not_listed(world: PlanWorld) -> None:
    made_before(world)
    cancel(
        world.session,
        plan_id=world.plan().id,
        actor_user_id=world.user_id,
        by_staff=False,
        conditions=world.conditions,
    )
    offer(world)
    assert without(world) == []


def over_without(world: PlanWorld) -> list[tuple[str, list[str], int]]:
    """The ended plans that the desk lists, with what they lack and the cents that are owed."""
    found = agreements_without(world.session, conditions=world.conditions, limit=25, ended=True)
    assert len(found) == agreements_without_count(world.session, conditions=world.conditions, ended=True)
    world.session.rollback()
    return [(one.plan.public_id, [missing.id for missing in one.missing], one.owed.cents) for one in found]


def end_it(world: PlanWorld) -> None:
    cancel(
        world.session,
        plan_id=world.plan().id,
        actor_user_id=world.user_id,
        by_staff=False,
        conditions=world.conditions,
    )


def test_an_ended_plan_without_is_listed_while_its_bills_are_owed(world: PlanWorld) -> None:
    plan = made_before(world)
    lines = [line for line in world.lines() if line.on_plan]
    owed = sum(line.sums.due.cents for line in lines)
    assert over_without(world) == []  # it runs, and is on the other list
    end_it(world)
    assert over_without(world) == [(plan, ["ca-credit-reporting"], owed)]
    live_in(world, "TX")
    assert over_without(world) == []
    live_in(world, "CA")
    assert over_without(world) == [(plan, ["ca-credit-reporting"], owed)]
    # Of one line nothing is due any more: the others still are.
    first = lines[0]
    world.adjust(first.charge_id, -first.sums.due.cents)
    left = owed - first.sums.due.cents
    assert over_without(world) == [(plan, ["ca-credit-reporting"], left)]
    for line in lines[1:]:
        world.adjust(line.charge_id, -line.sums.due.cents)
    assert over_without(world) == []


def test_bills_that_a_later_plan_took_up_are_owed_by_its_agreement(world: PlanWorld) -> None:
    made_before(world)
    end_it(world)
    assert len(over_without(world)) == 1
    offer(world)  # only offered: nothing is agreed to yet
    assert len(over_without(world)) == 1
    accept(world)
    assert (over_without(world), without(world)) == ([], [])
    end_it(world)
    assert over_without(world) == []


def test_a_bill_that_was_taken_out_and_put_back_is_owed_once(world: PlanWorld) -> None:
    policy = world.policy
    world.policy = replace(policy, clauses=())
    world.enrol()
    WAYS["added"](world)
    world.policy = policy
    owed = sum(line.sums.due.cents for line in world.lines() if line.on_plan)
    end_it(world)
    assert over_without(world) == [(world.plan().public_id, ["ca-credit-reporting"], owed)]


def test_what_an_insurer_decides_anew_is_not_owed_meanwhile(world: PlanWorld) -> None:
    plan = made_before(world)
    lines = [line for line in world.lines() if line.on_plan]
    end_it(world)
    owed = sum(line.sums.due.cents for line in lines)
    for line in lines:
        again = NewEntry(
            account_id=world.account_id,
            charge_id=line.charge_id,
            kind=EntryKind.ADJUSTMENT,
            insurer=Money(100),
            patient=Money.zero(),
            source="test",
            source_id=f"again/{line.charge_id}",
        )
        write_entries(world.session, [again])
        world.session.commit()
        owed -= line.sums.due.cents
        assert over_without(world) == ([(plan, ["ca-credit-reporting"], owed)] if owed else [])


def test_an_ended_plan_that_has_the_clause_is_not_listed(world: PlanWorld) -> None:
    world.enrol()
    end_it(world)
    assert over_without(world) == []


def test_the_list_goes_by_pages(world: PlanWorld) -> None:
    made_before(world)
    assert agreements_without(world.session, conditions=world.conditions, limit=25, offset=25) == []
    assert agreements_without_count(world.session, conditions=world.conditions) == 1
    world.policy = replace(world.policy, clauses=())
    assert without(world) == []


# Taking a state away.


def marks(world: PlanWorld, tag: Tag) -> list[dict[str, Any]]:
    world.session.rollback()
    rows = world.session.scalars(sa.select(AuditEvent).where(AuditEvent.tag == tag).order_by(AuditEvent.id))
    return [{"by": one.actor_user_id, **one.facts} for one in rows]


def test_a_state_that_is_taken_away_stands_where_it_is_known_only(world: PlanWorld) -> None:
    plan = made_before(world)
    assert leave_out(world.session, "CA", reason=" We treat nobody from there. ", staff_user_id=world.user_id)
    assert left_out(world.session) == {"CA"}
    assert without(world) == []
    live_in(world, "CA")
    assert without(world) == [(plan, ["ca-credit-reporting"])]
    world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(6_000)))
    assert [one.clause for one in kept(world)] == ["ca-credit-reporting"]
    assert CALIFORNIA in latest(world)[0]
    live_in(world, None)
    world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(7_000)))
    assert kept(world) == []
    assert "1785.27" not in "".join(latest(world))


def test_taking_away_and_putting_back_are_audited_with_the_reason(world: PlanWorld) -> None:
    assert leave_out(world.session, "CA", reason=" We treat nobody from there. ", staff_user_id=world.user_id)
    assert not leave_out(world.session, "CA", reason="Again.", staff_user_id=world.user_id)
    (row,) = left_out_rows(world.session)
    assert (row.state_named, row.reason, row.put_back_at) == ("California", "We treat nobody from there.", None)
    assert put_back(world.session, row.public_id, staff_user_id=world.user_id)
    assert not put_back(world.session, row.public_id, staff_user_id=world.user_id)
    assert left_out(world.session) == set()
    (row,) = left_out_rows(world.session)
    assert row.put_back_at is not None
    assert row.put_back_by == row.by != ""
    away = {"by": world.user_id, "state": "CA", "reason": "We treat nobody from there."}
    assert marks(world, Tag.CLAUSE_STATE_LEFT_OUT) == [away]
    assert marks(world, Tag.CLAUSE_STATE_PUT_BACK) == [{"by": world.user_id, "state": "CA"}]
    world.enrol()
    assert [one.clause for one in kept(world)] == ["ca-credit-reporting"]


def test_no_state_is_taken_away_without_a_reason(world: PlanWorld) -> None:
    with pytest.raises(ReasonMissing):
        leave_out(world.session, "CA", reason="  ", staff_user_id=world.user_id)
    with pytest.raises(ValueError, match="not a state"):
        leave_out(world.session, "XX", reason="None.", staff_user_id=world.user_id)
    assert left_out_rows(world.session) == []


def test_where_somebody_lives_is_audited_when_it_changes(world: PlanWorld) -> None:
    live_in(world, "CA")
    live_in(world, "CA")
    live_in(world, None)
    assert marks(world, Tag.ACCOUNT_STATE_CHANGED)[-2:] == [
        {"by": world.user_id, "before": "", "after": "CA"},
        {"by": world.user_id, "before": "CA", "after": ""},
    ]
    with pytest.raises(ValueError, match="not a state"):
        set_home_state(world.session, world.account_id, "XX")
