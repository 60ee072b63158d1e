"""What other features may join: read-only columns of accounts and patients."""

import sqlalchemy as sa

from portal.accounts.models import Account, Patient
from portal.db import joinable


class AccountColumns(sa.TypedColumns):
    """What others may ask of an account."""

    id: sa.Named[int]
    public_id: sa.Named[str]
    ref: sa.Named[str]
    guarantor_name: sa.Named[str]
    home_state: sa.Named[str | None]


class PatientColumns(sa.TypedColumns):
    """What others may ask of a patient."""

    id: sa.Named[int]
    account_id: sa.Named[int]
    given_name: sa.Named[str]
    family_name: sa.Named[str]


ACCOUNT = joinable(Account, AccountColumns)
PATIENT = joinable(Patient, PatientColumns)
