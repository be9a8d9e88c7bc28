"""Fixtures of the system tests: real worlds in directories of their own."""

from collections.abc import Iterator

import pytest

from tests.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions with two edges each, shared by the tests of a module."""
    running = World(tmp_path_factory.mktemp("world") / "state")
    running.launch()
    try:
        yield running
        assert running.end() == 0
        assert running.leftovers() == []
    finally:
        running.clean()


@pytest.fixture(scope="module")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions of NATS alone, without edges."""
    topology = "\n".join(f'[[regions]]\nname = "{name}"' for name in ("us", "eu", "ap"))
    running = World(tmp_path_factory.mktemp("bare") / "state", topology)
    running.launch()
    try:
        yield running
        assert running.end() == 0
        assert running.leftovers() == []
    finally:
        running.clean()
