"""The closing table of a simulated year."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from portal.money import Money
from portal.sandbox.simulation.year import Year

#: So many of the things that are off are told in words.
_TOLD = 25


def tell(year: Year, console: Console) -> None:
    """Print the table, and what is off."""
    found = year.judgment
    table = Table(title=f"Seed {year.seed}: {year.days} days and {year.days_after} after them", show_header=False)
    table.add_column("What")
    table.add_column("How many", justify="right")
    for state, count in sorted(found.plans.items()):
        table.add_row(f"Plans: {state}", f"{count:,}")
    table.add_section()
    lost, twice = found.events["lost"], found.events["came twice"] + found.events["refused"]
    for name, count in (
        ("Installments charged", found.installments),
        ("Declines", found.declines),
        ("Retries", found.retries),
        ("Worker’s turns", year.turns),
        ("Workers killed", year.kills.total()),
        ("Workers overtaken by another or by a patient", year.held),
        ("Spells of bad weather (Stripe, mail, endpoint)", found.spells),
        ("Requests to Stripe that met a fault", found.faults),
        ("Webhook events lost for good", lost),
        ("Webhook events refused or sent again", twice),
        ("Changes by insurers, office and banks", found.changes.total()),
        ("Acts of patients and staff", found.acts.total()),
        ("Mails sent", found.mails),
    ):
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("Charged", str(Money(found.charged)))
    table.add_row("Given back", str(Money(found.returned)))
    table.add_section()
    for name, count in (
        ("Cents lost", found.lost),
        ("Cents unexplained", found.unexplained),
        ("Installments charged twice", found.doubles),
        ("Cents taken above what was due", found.above_due),
        ("Charges without a notice in time", found.unannounced),
        ("Notices and reminders after having paid", found.told_after_paid),
        ("Reconcile, difference in cents", found.difference),
        ("Other things that are off", len(found.notes)),
    ):
        table.add_row(name, f"{count:,}", style="red" if count else "")
    table.add_section()
    table.add_row("Seconds, by the clock on the wall", f"{year.wall_seconds:,.0f}")
    table.add_row("Seconds of the processors", f"{year.cpu_seconds:,.0f}")
    console.print(table)
    for heading, counts in (("Changes", found.changes), ("Acts", found.acts), ("Died", year.kills)):
        words = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        console.print(f"{heading}: {words}.", style="dim", markup=False)
    for note in found.notes[:_TOLD]:
        console.print(note, style="red", markup=False)
    if len(found.notes) > _TOLD:
        console.print(f"... and {len(found.notes) - _TOLD} more", style="red")
    console.print("Something is off." if found.wrong else "Nothing is off.")
