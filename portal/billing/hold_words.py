"""Why a charge is on hold, in words."""

from flask_babel import lazy_gettext as _l

from portal.billing.kinds import HoldReason

#: Every reason needs words here; the form's test compares the two lists.
HOLD_REASONS = {
    HoldReason.CHECK: _l("Our safety check found something"),
    HoldReason.STAFF: _l("We need to look into this charge"),
    HoldReason.SHARE_ABOVE_REMITTANCE: _l("The patient’s share is above what the insurer’s remittance says"),
    HoldReason.CHARGEBACK: _l("The patient’s bank called a payment of this charge back"),
    HoldReason.REFUNDED: _l("A payment of this charge was refunded: is it still owed?"),
    HoldReason.NEXT_PAYER: _l("Another insurer has yet to decide"),
    HoldReason.DECISION_UNMATCHED: _l("A later decision could not be matched with the charges of this visit"),
}
#: What a person can choose: the safety check places its own holds, and takes them off.
CHOSEN_REASONS = {reason: words for reason, words in HOLD_REASONS.items() if reason is not HoldReason.CHECK}
