"""What other features may join: read-only columns of users."""

import sqlalchemy as sa

from portal.auth.models import User
from portal.db import joinable


class UserColumns(sa.TypedColumns):
    """What others may ask of a user."""

    id: sa.Named[int]
    display_name: sa.Named[str]
    active: sa.Named[bool]


USER = joinable(User, UserColumns)
