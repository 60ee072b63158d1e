"""What reconciling found, for a person at a terminal."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from portal.money import Money

_NAMES = {
    "mirror_cents": "Balances here (mirror)",
    "ledger_cents": "Balances in the back office",
    "in_transit_cents": "On its way to the back office",
    "settling_cents": "Taken by Stripe just now, being settled",
    "captures_cents": "Taken, less given back (booked here)",
    "posted_cents": "Posted to the back office",
    "stripe_cents": "Held by Stripe for us",
    "difference_cents": "Differs",
}
_PAYOUTS = {
    "gross_cents": "Payments less refunds and disputes",
    "fee_cents": "Stripe's fees",
    "net_cents": "Paid out",
    "difference_cents": "Does not fit",
}


def tell(result: dict[str, Any], console: Console) -> None:
    """Print the totals, the accounts that differ, and each exception with what to do about it."""
    heading = f"All accounts ({len(result['accounts'])}), as of {result['as_of']}"
    console.print(_figures(heading, _NAMES, result["total"]))
    if result["since"]:
        console.print(
            f"Stripe was asked about each payment that moved since {result['since']}; "
            "--since all asks about every one there ever was."
        )
    payouts = result["payouts"]
    console.print(_figures(f"Stripe's payouts ({payouts['count']})", _PAYOUTS, payouts))
    differing = [row for row in result["accounts"] if row["difference_cents"]]
    if differing:
        table = Table("Account", title="Accounts that differ", title_justify="left")
        for name in ("Here", "Back office", "Booked", "Posted", "Stripe", "Differs"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in differing:
            names = ("mirror", "ledger", "captures", "posted", "stripe", "difference")
            table.add_row(escape(row["account"] or "(none)"), *[str(Money(row[f"{name}_cents"])) for name in names])
        console.print(table)
    for one in [*result["exceptions"], *payouts["exceptions"]]:
        where = f"{one['account']}: " if one.get("account") else ""
        kind = one["kind"].replace("_", " ")
        console.print(f"[bold]{escape(where + kind)}[/bold], {Money(one['difference_cents'])} ({escape(one['key'])})")
        console.print(f"  {escape(one['suggestion'])}")
    if result["agrees"]:
        console.print("[green]Everything agrees, to the cent.[/green]")
    else:
        console.print("[red]The books differ.[/red]")


def _figures(title: str, names: dict[str, str], figures: dict[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, words in names.items():
        table.add_row(words, str(Money(figures[name])))
    return table
