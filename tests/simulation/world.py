"""A simulated world: regions of NATS, links, mirrors, edges and clients, from one plan."""

import random
from collections import Counter
from itertools import combinations

from relay.bus import copies
from relay.config import EdgeConfig, NatsConfig, RegionConfig, TokenKey
from relay.core import names
from relay.core.grants import Act, RoomGrant
from relay.core.tokens import mint
from relay.edge.edge import rules_of
from tests.simulation.clients import Client
from tests.simulation.edges import SimEdge
from tests.simulation.library_client import LibraryClient
from tests.simulation.links import Link
from tests.simulation.loop import Scheduler
from tests.simulation.mirrors import Pump
from tests.simulation.nats import WALL0_S, System
from tests.simulation.plan import LINKS_S, PLACES, ClientPlan, Plan
from tests.simulation.raw_client import RawClient
from tests.simulation.streams import Stream, stamp
from tests.simulation.truth import Truth
from tests.simulation.view import View

KEY = TokenKey("sim", "HS256", "5a" * 32)
SESSION_KEY, CURSOR_KEY = "11" * 32, "22" * 32
DOUBT_S = 15.0  # after NATS lost events: its edges are not killed or stopped meanwhile
_tokens: dict[tuple[str, tuple[str, ...]], str] = {}


def token_of(user: str, rooms: tuple[str, ...]) -> str:
    """A token for all rooms; those named are subscribed by themselves."""
    if (user, rooms) not in _tokens:
        can = frozenset({Act.SUBSCRIBE, Act.PUBLISH, Act.HISTORY})
        grants = [RoomGrant(room, can, auto=True) for room in rooms]
        grants.append(RoomGrant("*", can))
        _tokens[user, rooms] = mint(KEY, user, grants, now_s=int(WALL0_S) - 3600, ttl_s=80_000)
    return _tokens[user, rooms]


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        copies.MOST_DELETED = plan.most_deleted  # few worlds have streams of millions
        self.dice = random.Random(plan.seed ^ 0x5EED)
        self.scheduler = Scheduler(random.Random(plan.seed + 1))
        self.faults: Counter[str] = Counter()  # injected, by kind
        self.effects: Counter[str] = Counter()  # what came of them
        self.violations: list[str] = []
        self.unreachable: set[str] = set()
        self.tracing = False
        self.doubtful: dict[str, float] = {}  # region -> when its NATS lost events
        self._numbers = 0
        self.systems = {each.name: self._system(each.name, each.servers) for each in plan.regions}
        self.links: dict[tuple[str, str], Link] = {}
        self.pumps: list[Pump] = []
        self.truth = Truth(self.systems)
        self._connect()
        self.edges: dict[str, SimEdge] = {}  # by address
        self._make_edges()
        cursors = next(iter(self.edges.values()))._rules.cursors
        self.clients = [
            self._client(each, View(each.name, self.truth, cursors, exact=each.kind != "seq"))
            for each in plan.clients
        ]

    def number(self) -> int:
        """A number that nothing else of the run has; also a seed for dice."""
        self._numbers += 1
        return self.plan.seed * 100_003 + self._numbers

    def log(self, text: str) -> None:
        """A line of the trace."""
        if self.tracing:
            print(f"{self.scheduler.now:8.3f} {text}")

    def violated(self, text: str) -> None:
        """A promise was broken."""
        self.violations.append(f"{self.scheduler.now:.3f} s: {text}")
        self.log(f"VIOLATION {text}")

    def in_doubt(self, region: str) -> bool:
        """Whether the gate of a region may still have to repair what its NATS lost."""
        since_s = self.doubtful.get(region)
        return since_s is not None and self.scheduler.now - since_s < DOUBT_S

    def _hole(self, origin: str, seq: int) -> None:
        self.truth.holes.setdefault((origin, seq), self.scheduler.now)

    def _muted(self, origin: str, seq: int) -> None:
        self.truth.muted.add((origin, seq))
        self._hole(origin, seq)

    def effect(self, name: str) -> None:
        """Something went wrong on purpose."""
        self.effects[name] += 1
        self.log(f"  ({name})")

    # --- NATS ----------------------------------------------------------------------------------

    def _system(self, region: str, servers: int) -> System:
        dice = random.Random(self.number())
        return System(self.scheduler, dice, region, servers, self.effect)

    def home_streams(self, region: str) -> None:
        """The streams of one region, as the control plane makes them."""
        system = self.systems[region]
        created = stamp(system.now_s + 1e-6 * self.number())
        events, records = names.events_stream(region), names.records_stream(region)
        log, book = names.log_stream(region), names.book_stream(region)
        system.streams |= {
            events: Stream(
                events, (f"ev.{region}.>",), (f"ev.{region}.", f"live.{region}.{region}."),
                created, {"epoch": "1"},
            ),
            records: Stream(records, (f"rec.{region}.>",), None, created),
            log: Stream(log, (f"log.{region}.>",), None, created),
            book: Stream(book, (f"ops.{region}.>",), None, created),
            names.LEASE_STREAM: Stream(
                names.LEASE_STREAM, (f"slot.{region}.>", f"duty.{region}.>"), None, created,
                last_per_subject=True,
            ),
        }  # fmt: skip

    def mirror(self, region: str, name: str) -> None:
        """An empty mirror."""
        origin = name.partition("_")[2]
        live = (f"ev.{origin}.", f"live.{region}.{origin}.") if name.startswith("EV_") else None
        system = self.systems[region]
        created = stamp(system.now_s + 1e-6 * self.number())
        system.streams[name] = Stream(name, (), live, created)

    def _connect(self) -> None:
        for region, system in self.systems.items():
            system.peers = self.systems
            system.on_stored = self.truth.stored
            system.on_muted = self._muted
            self.home_streams(region)
        for a, b in combinations(sorted(self.systems), 2):
            link = Link(self.scheduler, random.Random(self.number()), (a, b), LINKS_S[a, b])
            self.links[a, b] = link
            self.systems[a].links[b] = self.systems[b].links[a] = link
            for origin, dest in ((a, b), (b, a)):
                for stream_of in (names.events_stream, names.records_stream, names.book_stream):
                    name = stream_of(origin)
                    self.mirror(dest, name)
                    pump = Pump(
                        random.Random(self.number()), self.systems[origin], self.systems[dest],
                        link, name, self.effect, self._hole,
                    )  # fmt: skip
                    self.pumps.append(pump)
                    self.systems[origin].pumps.setdefault(name, []).append(pump)

    # --- edges and clients ---------------------------------------------------------------------

    def _make_edges(self) -> None:
        plan = self.plan
        urls = {
            each.name: [f"ws://{each.name}-{at + 1}/gateway" for at in range(each.edges)]
            for each in plan.regions
        }
        regions = [
            RegionConfig(
                each.name, at, *PLACES[each.name], urls=urls[each.name], nats_servers=each.servers
            )
            for at, each in enumerate(plan.regions)
        ]
        for each in plan.regions:
            for at, url in enumerate(urls[each.name]):
                config = EdgeConfig(
                    region=each.name,
                    edge=f"{each.name}-{at + 1}",
                    host="",
                    port=0,
                    url=url,
                    admin_host="",
                    admin_port=0,
                    nats=NatsConfig([f"sim://{each.name}"]),
                    regions=regions,
                    session_key=SESSION_KEY,
                    cursor_key=CURSOR_KEY,
                    token_keys=[KEY],
                    limits=plan.limits,
                )
                edge = SimEdge(
                    self.scheduler, self.systems, config, rules_of(config), self.number(),
                    self.number,
                )  # fmt: skip
                edge.skew_s = self.dice.uniform(-plan.skew_s, plan.skew_s)
                self.edges[url] = edge

    def _client(self, plan: ClientPlan, view: View) -> Client:
        token = token_of(plan.name, plan.rooms)
        seed = self.number()
        if plan.kind == "library":
            urls = [url for url, edge in self.edges.items() if edge.region == plan.region]
            return LibraryClient(
                self, plan.name, plan.region, view, seed, plan.encoding, tuple(urls), plan.rooms,
                token,
            )  # fmt: skip
        return RawClient(
            self, plan.name, plan.region, view, seed, plan.encoding, self._choose, plan.rooms,
            token, by_seq=plan.kind == "seq",
        )  # fmt: skip

    def _choose(self, dice: random.Random, region: str) -> str:
        near = [url for url, edge in self.edges.items() if edge.region == region]
        return dice.choice(near if dice.random() < 0.6 else list(self.edges))
