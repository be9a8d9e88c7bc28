"""The world of these tests, and the encodings."""

from collections.abc import Iterator

import pytest

from tests.raw import Encoding
from tests.world import World, running

TOPOLOGY = """
[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1

[limits]
drain_s = 2.0
"""


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two edges in one region and one in another, with a short drain."""
    with running(tmp_path_factory.mktemp("protocol"), TOPOLOGY) as world:
        yield world


@pytest.fixture(params=["json", "msgpack"])
def encoding(request: pytest.FixtureRequest) -> Encoding:
    return "json" if request.param == "json" else "msgpack"
