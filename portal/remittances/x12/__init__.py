"""A streaming reader of X12 835 remittances (005010X221A1 and 004010X091A1). Pure: no database, no web.

``segments`` cuts bytes into segments, ``loops`` turns segments into the parts of ``model``, ``remittance``
reads a file one transaction at a time, ``balancing`` says what does not add up, ``inspect`` sums it up.
"""
