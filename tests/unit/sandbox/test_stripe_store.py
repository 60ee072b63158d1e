"""The stand-in's file survives a killed process, with every request whole or absent."""

import signal
import subprocess
import sys
from pathlib import Path

import stripe

from portal.sandbox.stripe import StandIn, StandInHTTPClient

from .conftest import HOOK, confirm, create

ROOT = Path(__file__).resolve().parents[3]
PAYING = """
import sys
from pathlib import Path
import stripe
from portal.sandbox.stripe import StandIn, StandInHTTPClient
standin = StandIn(Path(sys.argv[1]), webhook_url=sys.argv[2], spec_path=Path("/nonexistent"))
client = stripe.StripeClient(standin.secret_key, http_client=StandInHTTPClient(standin))
for n in range(100000):
    made = client.v1.payment_intents.create({"amount": 1000 + n, "currency": "usd",
        "allowed_payment_method_types": ["card"]}, {"idempotency_key": f"create-{n}"})
    client.v1.payment_intents.confirm(made.id, {"payment_method": "pm_card_visa", "return_url": "http://x.test"},
        {"idempotency_key": f"confirm-{n}"})
    print(made.id, flush=True)
"""


def test_a_killed_process_leaves_a_consistent_store(tmp_path: Path) -> None:
    path = tmp_path / "stripe.sqlite"
    paying = subprocess.Popen(
        [sys.executable, "-c", PAYING, str(path), HOOK], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert paying.stdout is not None
    answered = [paying.stdout.readline().strip() for _ in range(40)]
    paying.send_signal(signal.SIGKILL)
    rest = [line.strip() for line in paying.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    paying.wait()
    paying.stdout.close()

    standin = StandIn(path, webhook_url=HOOK)
    intents = standin.every("payment_intent", 100_000)
    charges = {one["id"]: one for one in standin.every("charge", 100_000)}
    moved = {one["source"]: one for one in standin.every("balance_transaction", 100_000)}
    succeeded = [one for one in intents if one["status"] == "succeeded"]
    # Whatever was answered is there, and at most one request more was done without its answer being read.
    assert {*answered, *rest} <= {one["id"] for one in succeeded}
    assert len(succeeded) - len({*answered, *rest}) <= 1
    for one in succeeded:
        charge = charges[one["latest_charge"]]
        assert charge["amount"] == one["amount"] == one["amount_received"] == moved[charge["id"]]["amount"]
    assert len(charges) == len(moved) == len(succeeded)
    types = [one["type"] for one in standin.every("event", 100_000)]
    assert types.count("payment_intent.succeeded") == len(succeeded)
    assert types.count("payment_intent.created") == len(intents)
    assert len(standin.deliveries(100_000)) == len(types)
    client = stripe.StripeClient(standin.secret_key, http_client=StandInHTTPClient(standin))
    # The key of an answered request still replays it, in the new process.
    assert create(client, "create-0", amount=1000).id == answered[0]
    assert len(standin.every("payment_intent", 100_000)) == len(intents)
    assert len(standin.every("webhook_endpoint")) == 1
    standin.close()


def test_a_reopened_store_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "stripe.sqlite"
    first = StandIn(path)
    client = stripe.StripeClient(first.secret_key, http_client=StandInHTTPClient(first))
    made = create(client)
    first.advance(86_400)
    ahead = first.now()
    first.close()

    second = StandIn(path)
    assert second.now() >= ahead
    client = stripe.StripeClient(second.secret_key, http_client=StandInHTTPClient(second))
    assert confirm(client, made.id).status == "succeeded"
    second.close()
