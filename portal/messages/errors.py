"""What can be wrong with a message."""


class MessageRefused(ValueError):
    """The message was not sent; its writer still has the text."""


class EmptyBody(MessageRefused):
    """There is nothing to read in it."""


class BodyTooLong(MessageRefused):
    """It is longer than a message may be, by ``over`` characters."""

    def __init__(self, over: int) -> None:
        self.over = over
        super().__init__(f"{over} characters too long")


class TokenSpent(MessageRefused):
    """This showing of the form has sent another message already."""


class NewerMessage(MessageRefused):
    """The patient wrote again after the page was shown, so the answer would not be to all of it."""
