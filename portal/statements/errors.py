"""What can go wrong with statements, as facts."""


class NothingToAskFor(Exception):
    """Nothing on the account may be asked for now."""
