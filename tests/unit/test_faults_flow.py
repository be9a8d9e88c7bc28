"""What directions and packets do, decided without a socket."""

from ipaddress import IPv4Address
from random import Random

import pytest

from regions.errors import TopologyError
from regions.faults.flow import Change, Flow, composed, distance_ms
from regions.faults.packets import Packets
from regions.faults.possible import possible
from regions.faults.route import address_behind, base_flows, check, hops, through_relays
from regions.faults.shaper import QUEUE_S, Shaper
from regions.topology import FaultSettings, LinkMode
from regions.topology_file import builtin_topology, parse_topology

US_EU, EU_US = ("us", "eu"), ("eu", "us")
TWO = '[[regions]]\nname = "us"\n[[regions]]\nname = "eu"\n'


def test_of_two_faults_the_later_delay_counts_and_a_cut_stays() -> None:
    base = {US_EU: Flow(delay_ms=45), EU_US: Flow(delay_ms=45)}
    flows = composed(
        base,
        [
            ([US_EU, EU_US], Change(delay_ms=80, loss=0.1)),
            ([US_EU], Change(cut=True)),
            ([US_EU, EU_US], Change(delay_ms=120, cut=False)),
        ],
    )
    assert flows[US_EU] == Flow(cut=True, delay_ms=120, loss=0.1)
    assert flows[EU_US] == Flow(delay_ms=120, loss=0.1)
    assert composed(base, []) == base


def test_a_change_says_which_value_is_wrong() -> None:
    assert Change(delay_ms=40, loss=0.5).problem() is None
    assert Change(loss=1.5).problem() == "loss: 1.5 is not in 0 to 1"
    assert Change(delay_ms=-1).problem() == "delay_ms: -1 is not in 0 to 60000"
    assert Change(rate_kbit=1).problem() == "rate_kbit: 1 is not in 8 to 100000000"


def test_distances_are_those_of_real_cables() -> None:
    """Measured round trips: Ashburn to Frankfurt about 90 ms, to Singapore about 215 ms."""
    us, eu, ap = (39.04, -77.49), (50.11, 8.68), (1.35, 103.82)
    assert 2 * distance_ms(us, eu) == pytest.approx(90, rel=0.1)
    assert 2 * distance_ms(us, ap) == pytest.approx(215, rel=0.1)
    assert distance_ms(us, eu) == distance_ms(eu, us)


def test_delay_and_jitter_never_change_the_order() -> None:
    shaper = Shaper(Random(7))
    shaper.flow = Flow(delay_ms=40, jitter_ms=30)
    arrivals = [shaper.arrival_s(100, at / 1000, drops=True) for at in range(1000)]
    known = [arrival for arrival in arrivals if arrival is not None]
    assert len(known) == 1000
    assert known == sorted(known)
    assert all(0.04 <= arrival - at / 1000 <= 0.0701 for at, arrival in enumerate(known))
    assert max(arrival - at / 1000 for at, arrival in enumerate(known)) > 0.06
    shaper.flow = Flow()
    soon = shaper.arrival_s(100, 1.0, drops=True)
    assert soon == known[-1]  # not before what went ahead of it


def test_a_rate_sends_one_piece_after_the_other_and_drops_what_would_wait_too_long() -> None:
    shaper = Shaper(Random(7))
    shaper.flow = Flow(rate_kbit=80)  # 10,000 bytes a second
    assert [shaper.arrival_s(1_000, 0.0, drops=True) for _ in range(5)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5]
    )
    assert shaper.arrival_s(1_000, 0.0, drops=True) == pytest.approx(QUEUE_S + 0.1)
    assert shaper.arrival_s(1_000, 0.0, drops=True) is None
    # Bytes of a TCP stream can't be left out: they wait.
    assert shaper.arrival_s(1_000, 0.0, drops=False) == pytest.approx(QUEUE_S + 0.2)


def test_loss_is_the_share_of_packets_that_was_asked_for() -> None:
    shaper = Shaper(Random(7))
    shaper.flow = Flow(loss=0.2)
    lost = sum(shaper.arrival_s(1, float(at), drops=True) is None for at in range(10_000))
    assert 1_900 < lost < 2_100
    assert all(shaper.arrival_s(1, 1e6 + at, drops=False) is not None for at in range(100))


def packet(source: str, target: str) -> bytes:
    """An IPv4 header with these addresses."""
    return bytes(12) + IPv4Address(source).packed + IPv4Address(target).packed


def test_a_packet_is_known_by_its_addresses_and_a_cut_is_one_direction() -> None:
    addresses = {"us": IPv4Address("198.18.0.17"), "eu": IPv4Address("198.18.0.33")}
    packets = Packets(addresses, Random(7))
    there, back = packet("198.18.0.17", "198.18.0.33"), packet("198.18.0.33", "198.18.0.17")
    packets.set(US_EU, Flow(delay_ms=40))
    assert packets.arrival_s(there, 1.0) == pytest.approx(1.04)
    assert packets.arrival_s(back, 1.0) == 1.0
    packets.set(US_EU, Flow(cut=True))
    assert packets.arrival_s(there, 2.0) is None
    assert not packets.arrives(there)  # it was under way when the cut came
    assert packets.arrival_s(back, 2.0) == 2.0
    assert packets.arrives(back)
    assert packets.arrival_s(packet("198.18.0.17", "198.18.0.99"), 2.0) is None
    assert packets.arrival_s(b"\x60" + bytes(39), 2.0) is None  # IPv6, which has no route here
    assert packets.arrival_s(b"", 2.0) is None


def test_every_address_of_every_link_gets_a_relay_of_its_own() -> None:
    topology = builtin_topology("three-by-three")
    names = [hop.listener for hop in hops(topology)]
    assert len(names) == len(set(names)) == 9
    assert names[:3] == ["us-eu-1", "us-eu-2", "us-eu-3"]
    ports = {f"wan/{name}": 7000 + number for number, name in enumerate(names)}
    relayed = through_relays(topology, ports)
    assert relayed.via("us", "eu") == ("127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002")
    assert relayed.via("eu", "us") == ()
    leafs = {f"eu-n{number}/leaf": 7100 + number for number in (1, 2, 3)}
    second = list(hops(topology))[1]
    assert address_behind(topology, second, leafs) == ("127.0.0.1", 7102)


def test_a_link_that_was_led_elsewhere_is_relayed_to_there_and_dialled_from_its_side() -> None:
    topology = parse_topology(
        TWO + '[[links]]\nfrom = "eu"\nto = "us"\nvia = ["10.0.0.1:7422"]\n', "w.toml"
    )
    (hop,) = hops(topology)
    assert (hop.source, hop.target) == ("eu", "us")
    assert address_behind(topology, hop, {}) == ("10.0.0.1", 7422)
    assert through_relays(topology, {"wan/eu-us-1": 7000}).dials("eu", "us")


def test_with_wan_every_direction_has_the_delay_of_its_distance() -> None:
    text = (
        '[faults]\nlinks = "relay"\nwan = true\n'
        '[[regions]]\nname = "us"\nlat = 39.04\nlon = -77.49\n'
        '[[regions]]\nname = "eu"\nlat = 50.11\nlon = 8.68\n'
    )
    flows = base_flows(parse_topology(text, "w.toml"))
    assert set(flows) == {US_EU, EU_US}
    assert flows[US_EU] == flows[EU_US]
    assert 40 < flows[US_EU].delay_ms < 50
    assert base_flows(parse_topology(TWO, "w.toml"))[US_EU] == Flow()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'[faults]\nlinks = "relay"\n{TWO}netns = "x"\n', "can't have a `netns` of its own"),
        (f'[faults]\nlinks = "netns"\n{TWO}bind = "10.0.0.1"\n', "leave `bind` out"),
        (
            f'[faults]\nlinks = "netns"\n{TWO}[[links]]\nfrom = "us"\nto = "eu"\nvia = ["h:1"]\n',
            "there is no `via`",
        ),
    ],
)
def test_what_does_not_fit_the_mode_of_the_links_is_said(text: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said):
        check(parse_topology(text, "w.toml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[faults]\nlinks = "tunnel"\n', r"faults.links: Invalid enum value 'tunnel'"),
        ("[faults]\nwan = true\n", r"faults.wan: direct links have no delay"),
        ("[faults]\ndisk_mb = 3\n", r"faults.disk_mb: 3 is not in 16 to 65536"),
        ("[supervisor]\nhung_s = 0.1\n", r"supervisor.hung_s: 0.1 is below 1"),
        ("[supervisor]\nrestart_hung_s = 2\n", r"supervisor.restart_hung_s: 2 is below hung_s"),
        ("[faults]\nlink = 1\n", r"faults.link: unknown key; did you mean 'links'\?"),
    ],
)
def test_wrong_settings_for_faults_are_named(text: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said):
        parse_topology(text + TWO, "w.toml")


@pytest.mark.parametrize(
    ("links", "regions", "not_possible"),
    [
        ("direct", 2, {"cut", "one-way", "stall", "delay", "rate", "loss"}),
        ("relay", 2, {"loss"}),
        ("netns", 2, {"stall"}),
        ("relay", 1, {"cut", "one-way", "stall", "delay", "rate", "loss"}),
    ],
)
def test_what_is_not_possible_says_what_to_do(
    links: LinkMode, regions: int, not_possible: set[str]
) -> None:
    found = possible(FaultSettings(links), regions=regions, own_nats=True, no_disks=None)
    why_not: dict[str, str] = {one.fault: one.why_not for one in found if one.why_not is not None}
    assert set(why_not) == not_possible | {"fill-disk"} | ({"wedge"} if regions == 1 else set())
    assert "jetrelay up --small-disks" in why_not["fill-disk"]
    if regions > 1:
        assert all("jetrelay up --links" in why_not[name] for name in not_possible)
