"""The sandbox's commands, for the ``portal`` group: ``demo``, ``demo-reset`` and what the demo starts itself."""

from __future__ import annotations

import os
from pathlib import Path

import click

DATA_DIR = Path("var/demo")

_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DATA_DIR,
    show_default=True,
    help="Where the demo keeps its databases and logs.",
)


@click.command("demo")
@click.option(
    "--port",
    type=click.IntRange(1024, 65533),
    default=8080,
    show_default=True,
    help="The portal's port; the two after it are taken too.",
)
@_data_dir
def demo(port: int, data_dir: Path) -> None:
    """Start the portal with a demo clinic, its worker and a Stripe stand-in on this machine."""
    from portal.sandbox.demo import CannotStart, run_demo

    try:
        code = run_demo(port, data_dir)
    except CannotStart as error:
        raise click.ClickException(str(error)) from None
    raise SystemExit(code)


@click.command("demo-reset")
@_data_dir
def demo_reset(data_dir: Path) -> None:
    """Forget everything the demo has stored."""
    from portal.sandbox.demo import CannotStart, reset_demo

    try:
        removed = reset_demo(data_dir)
    except CannotStart as error:
        raise click.ClickException(str(error)) from None
    click.echo("The demo starts over next time." if removed else "There is no demo to reset.")


@click.command("sandbox-serve", hidden=True)
@click.option("--port", type=int, required=True)
@click.option("--smtp-port", type=int, required=True)
@click.option("--webhook-url", required=True)
@_data_dir
def sandbox_serve(port: int, smtp_port: int, webhook_url: str, data_dir: Path) -> None:
    """Serve the Stripe stand-in and the mail page, and take the portal's mail."""
    from portal.queue import open_queue
    from portal.sandbox import clock
    from portal.sandbox.mail import Mailbox, mail_page, start_smtp
    from portal.sandbox.stripe import StandIn
    from portal.sandbox.stripe.server import serve

    open_queue(redis_url="", path=os.environ["QUEUE_PATH"])

    standin = StandIn(
        data_dir / "stripe.sqlite",
        webhook_url=webhook_url,
        webhook_secret=os.environ["STRIPE_WEBHOOK_SECRET"],
        base_url=f"http://127.0.0.1:{port}",
        # The portal follows this clock, so the signatures must carry its time.
        signature_clock=lambda: standin.now().timestamp(),
        on_advance=lambda ahead: clock.pass_on(data_dir / "clock", ahead),
    )
    mailbox = Mailbox(data_dir / "mail.sqlite")
    stop_smtp = start_smtp(mailbox, smtp_port)
    try:
        serve("127.0.0.1", port, standin=standin, blueprints=[mail_page(mailbox)])
    finally:
        stop_smtp()
        standin.close()


@click.group("sandbox")
def sandbox() -> None:
    """Try the portal out against a simulated world."""


@sandbox.command()
@click.option("--days", type=click.IntRange(min=5), default=365, show_default=True, help="How long it goes on.")
@click.option("--plans", type=click.IntRange(min=1), default=200, show_default=True, help="How many plans begin.")
@click.option("--seed", type=int, default=None, help="The same seed, the same world. Otherwise drawn, and printed.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Leave the databases here afterwards.")
def simulate(days: int, plans: int, seed: int | None, keep: Path | None) -> None:
    """Live through a year of payment plans in which everything goes wrong, and count the cents.

    Patients, insurers and banks act, Stripe, mail and webhooks fail, and the worker is killed. Exit code 1 when
    anything is off at the end. See docs/simulation.md.
    """
    from portal.sandbox.simulation.command import run

    raise SystemExit(run(days=days, plans=plans, seed=seed, keep=keep))


COMMANDS: list[click.Command] = [demo, demo_reset, sandbox, sandbox_serve]
