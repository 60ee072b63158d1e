"""What limits take for one network."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.web.limits import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "nowhere"),
        ("", "nowhere"),
        ("unix:", "nowhere"),
        ("192.0.2.7:4711", "192.0.2.7"),  # as some proxies write it
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("192.0.2.7:", "nowhere"),
        ("a:1", "nowhere"),
    ],
)
def test_the_network_of_an_address(address: str | None, network: str) -> None:
    assert network_of(address) == network


@given(prefix=st.integers(1, 2**64 - 1), one=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1))
def test_a_subscriber_is_one_network_however_many_addresses_it_uses(prefix: int, one: int, other: int) -> None:
    addresses = [str(IPv6Address((prefix << 64) + low)) for low in (one, other)]
    assert network_of(addresses[0]) == network_of(addresses[1])
    assert network_of(str(IPv6Address(((prefix ^ 1) << 64) + one))) != network_of(addresses[0])
