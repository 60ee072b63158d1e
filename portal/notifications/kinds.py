"""What stands for an address where there is none. Pure."""

#: Whom a message is for that is never sent. It is written where a stranger must not learn by the time an answer takes
#: whether there was somebody to write to; the sender throws it away.
NOBODY = ""
