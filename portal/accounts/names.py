"""People's names as they are compared. Pure."""


def in_any_case(family_name: str, given_name: str) -> tuple[str, str]:
    """A name that equals itself in any letter case. Asked here: SQLite's ``lower`` knows A to Z only."""
    return family_name.casefold(), given_name.casefold()
