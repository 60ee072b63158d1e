"""Everybody whom ``make demo`` names can sign in and sees a page of their own."""

from __future__ import annotations

import pytest

from portal.sandbox.clinic import PASSWORD, SIGN_INS, SignIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, sign_in


@pytest.mark.parametrize("who", SIGN_INS, ids=lambda who: who.email.partition("@")[0])
def test_everybody_can_sign_in(client: JudgingClient, clinic: Clinic, who: SignIn) -> None:
    page = sign_in(client, who.email, PASSWORD)
    assert page.text("h1")


def test_a_wrong_password_does_not(client: JudgingClient, clinic: Clinic) -> None:
    with pytest.raises(AssertionError, match="could not sign in"):
        sign_in(client, SIGN_INS[0].email, "not-the-password")
