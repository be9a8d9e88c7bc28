"""What a load takes: more of it never takes less, and a lost region's users have room."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.sizing.costs import COSTS
from regions.sizing.demand import Demand, DemandError, shares_of
from regions.sizing.sizing import CONNECTIONS, FULL, FULL_CONNECTIONS, size

DEMANDS = st.builds(
    Demand,
    users=st.integers(1, 2_000_000),
    rooms=st.integers(10_000, 1_000_000),
    each=st.integers(1, 5),
    rate=st.floats(0, 2_000),
    size=st.integers(0, 1_000),
    shares=st.sampled_from([shares_of("1"), shares_of("3"), shares_of("us=50,eu=30,ap=20")]),
    opens=st.floats(0, 500),
    window_ms=st.sampled_from([0.0, 10.0, 50.0]),
)


@given(DEMANDS)
def test_no_edge_is_asked_for_more_than_it_can_do(demand: Demand) -> None:
    found = size(demand, COSTS)
    for region in found.regions:
        assert region.edge.cpu <= FULL
        assert region.edge.connections <= CONNECTIONS * FULL_CONNECTIONS
        assert region.edges * region.edge.connections >= region.users_most
        assert region.edge.fds > region.edge.connections
    lost = max(found.regions, key=lambda region: region.users)
    rest = sum(region.users_most for region in found.regions if region is not lost)
    assert len(found.regions) == 1 or rest >= demand.users - len(found.regions)


@given(DEMANDS, st.floats(1, 4))
def test_more_users_never_take_fewer_edges(demand: Demand, times: float) -> None:
    more = replace(demand, users=math.ceil(demand.users * times))
    assert size(more, COSTS).edges >= size(demand, COSTS).edges


@given(DEMANDS)
def test_a_window_never_takes_more(demand: Demand) -> None:
    gathered = replace(demand, window_ms=50.0)
    assert size(gathered, COSTS).edges <= size(replace(demand, window_ms=0.0), COSTS).edges


def test_deliveries_and_disks() -> None:
    demand = Demand(100_000, 1_000, rate=100, size=200, shares=shares_of("3"), kept_s=3_600)
    found = size(demand, COSTS)
    assert (found.members, found.delivered_per_s) == (100, 10_000)
    stored = 200 + COSTS.stored_bytes
    assert found.stream_gib == pytest.approx(100 / 3 * stored * 3_600 / 1024**3)
    assert {region.name: region.disk_gib for region in found.regions} == {
        name: pytest.approx(100 * stored * 3_600 / 1024**3) for name in ("r1", "r2", "r3")
    }
    assert [region.users_most for region in found.regions] == [50_000] * 3
    assert size(replace(demand, spare=False), COSTS).regions[0].users_most == 33_334


def test_what_every_edge_must_hear_can_be_too_much() -> None:
    with pytest.raises(DemandError, match="more rooms"):
        size(Demand(1_000_000, 1, rate=20_000), COSTS)


@pytest.mark.parametrize("text", ["0", "33", "", "us", "us=0", "us=x", "us=1,us=2", "us=nan", "=1"])
def test_regions_that_are_none(text: str) -> None:
    with pytest.raises(DemandError):
        shares_of(text)


def test_shares_sum_up_to_one() -> None:
    assert shares_of("us=50, eu=30,ap=20") == {"us": 0.5, "eu": 0.3, "ap": 0.2}
    assert shares_of("2") == {"r1": 0.5, "r2": 0.5}
