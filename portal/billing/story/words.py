"""What the parts of a bill are called, and how they are told in a few sentences."""

from collections.abc import Sequence

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.billing.kinds import HoldReason
from portal.billing.story.picture import SHARES, Part, Row, Split
from portal.money import Money

_NAMES = {
    Part.BILLED: _l("Billed"),
    Part.DISCOUNT: _l("Agreed discount"),
    Part.OTHER_REDUCTION: _l("Taken off for other reasons"),
    Part.INSURER_PAID: _l("Insurance paid"),
    Part.WITH_INSURER: _l("Still with your insurer"),
    Part.SHARE: _l("Your share"),
    Part.DEDUCTIBLE: _l("Deductible"),
    Part.COINSURANCE: _l("Coinsurance"),
    Part.COPAY: _l("Copay"),
    Part.NOT_COVERED: _l("Not covered by your plan"),
    Part.SELF_PAY: _l("Not sent to insurance"),
    Part.OTHER_SHARE: _l("Other parts left to you"),
    Part.PAID: _l("You paid"),
    Part.DUE: _l("You owe"),
}

#: What a part is when it goes the other way.
_TURNED = {
    Part.DISCOUNT: _l("Discount taken back"),
    Part.OTHER_REDUCTION: _l("Added for other reasons"),
    Part.INSURER_PAID: _l("Insurance took money back"),
    Part.WITH_INSURER: _l("Decided for more than was billed"),
    Part.PAID: _l("Money that went back to you"),
    Part.DUE: _l("We owe you"),
}

#: The kinds of a share within a sentence: "$60.00 is your deductible".
_SHARE_WORDS = {
    Part.DEDUCTIBLE: _l("%(amount)s for your deductible"),
    Part.COINSURANCE: _l("%(amount)s of coinsurance"),
    Part.COPAY: _l("a copay of %(amount)s"),
    Part.NOT_COVERED: _l("%(amount)s that your plan does not cover"),
    Part.SELF_PAY: _l("%(amount)s that was not sent to insurance"),
    Part.OTHER_SHARE: _l("%(amount)s for other reasons"),
}


def part_name(kind: Part, amount: Money) -> str:
    """What a part is called; ``amount`` as in :class:`Split`, so below zero is the other way round."""
    names = _TURNED if amount < Money.zero() and kind in _TURNED else _NAMES
    return str(names[kind])


def row_name(row: Row) -> str:
    """What a row of the picture is called: its amount is turned where something is taken off."""
    return part_name(row.kind, -row.amount if row.taken else row.amount)


def _listed(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return _("%(first)s and %(last)s", first=", ".join(parts[:-1]), last=parts[-1])


def in_short(split: Split, payers: Sequence[str]) -> list[str]:
    """From billed to due in a few sentences, for whoever reads nothing else.

    ``payers`` are the insurers that decided, by name. Parts of nothing are not mentioned; plain text, to be escaped.
    """
    zero, told = Money.zero(), [_("%(amount)s was billed.", amount=str(split.billed))]
    payer = payers[0] if len(payers) == 1 else _("Your insurers") if payers else _("Your insurer")
    if split.discount > zero:
        told.append(_("%(amount)s came off as a discount agreed with your plan.", amount=str(split.discount)))
    if split.other_reduction > zero:
        told.append(_("%(amount)s came off for other reasons.", amount=str(split.other_reduction)))
    if split.insurer_paid > zero:
        told.append(_("%(payer)s paid %(amount)s.", payer=payer, amount=str(split.insurer_paid)))
    elif payers and not split.insurer_paid and not split.with_insurer:
        told.append(_("%(payer)s paid nothing.", payer=payer))
    if split.with_insurer > zero:
        told.append(
            _("Your insurer is still deciding about %(amount)s, so that is not yours to pay now.",
              amount=str(split.with_insurer))
        )
    kinds = [
        str(_SHARE_WORDS[kind]) % {"amount": str(split.part(kind))} for kind in SHARES if split.part(kind) > zero
    ]
    if split.share > zero and len(kinds) == 1:
        told.append(_("Your share is %(kinds)s.", kinds=kinds[0]))
    elif split.share > zero:
        told.append(_("Your share is %(amount)s: %(kinds)s.", amount=str(split.share), kinds=_listed(kinds)))
    elif not split.with_insurer:
        told.append(_("Nothing of it is your share."))
    if split.paid > zero:
        told.append(_("You paid %(amount)s.", amount=str(split.paid)))
    if split.due < zero:
        told.append(_("That is more than your share, so we owe you %(amount)s.", amount=str(-split.due)))
    elif split.due > zero:
        told.append(_("So you owe %(amount)s.", amount=str(split.due)))
    else:
        told.append(_("So you owe nothing now."))
    return told


#: Why a line is on hold, where its patient knows what happened; all else is "we are checking this".
_HELD = {
    HoldReason.CHARGEBACK: _l(
        "A bank took back a payment for this. You don’t need to pay it now; we will tell you what comes next."
    ),
    HoldReason.REFUNDED: _l(
        "A payment for this was given back. We are checking what is left to pay. You don’t need to pay it now."
    ),
    HoldReason.NEXT_PAYER: _l(
        "Another insurer may have a part in this and has not decided yet. You don’t need to pay it now."
    ),
}


def why_held(reason: HoldReason | None) -> str:
    """Why a line is on hold and what that asks of its patient; empty where only the general words fit."""
    return str(_HELD.get(reason, "")) if reason is not None else ""
