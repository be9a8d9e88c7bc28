"""What an operation would do: its orders, who moves where, and what speaks against it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from regions.errors import OperationError
from regions.operations.entry import Against, Coming, Objection, Plan, Request, Stage, scope_of
from regions.steering.fleet import Outlook
from regions.steering.health import EdgeKey
from regions.topology import Topology
from relay.core.orders import FULL_WEIGHT, Order, Orders, Ramp, wrong_with
from relay.core.steering import State, Verdict, Whence, shares

FULL = 0.8  # of its room: no operation fills a region or an edge further
PACE = 0.5  # of what the others let in is asked of them: their own clients come back, too
LEAST_S = 10.0  # over which clients are spread
KNOWN_S = 10.0  # in which edges that live have heard of an order: they look once a second
MARGIN_S = 30.0  # beyond a drain's window
HOME_S = 60.0  # over which clients come home by themselves, where nothing is said


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a fleet."""

    topology: Topology
    outlook: Outlook
    orders: Orders
    now_ms: int
    reached: int  # regions whose NATS answers
    unknown: Sequence[EdgeKey] = field(default=())  # edges that are not heard now


def make_plan(request: Request, sight: Sight) -> Plan:
    """What would be done.

    Raises:
        OperationError: what is asked for makes no sense, or there is no such region or edge.
    """
    return _Planner(request, sight).plan()


class _Planner:
    def __init__(self, request: Request, sight: Sight) -> None:
        self._request = request
        self._sight = sight
        self._outlook = sight.outlook
        names = [each.name for each in self._outlook.regions]
        if request.region not in names:
            raise OperationError(f"no region {request.region!r}: there are {', '.join(names)}")
        self._edges = [key for key in self._outlook.edges if key.region == request.region]
        if request.edge and request.edge not in {key.edge for key in self._edges}:
            known = ", ".join(key.edge for key in self._edges) or "none"
            raise OperationError(f"no edge {request.edge!r} in {request.region}: there are {known}")
        self._objections: list[Objection | str] = []
        self._notes: list[str] = []

    def plan(self) -> Plan:
        request = self._request
        match request.verb:
            case "cordon":
                plan = self._cordon()
            case "uncordon":
                plan = self._uncordon()
            case "drain" | "evacuate":
                plan = self._drain()
            case "weight":
                plan = self._weigh()
            case "ramp":
                plan = self._ramp()
            case "return":
                plan = self._return()
        if plan.nothing:
            return plan
        for wrong in (wrong_with(order) for stage in plan.stages for order in stage.orders):
            if wrong:
                raise OperationError(wrong)
        total = len(self._sight.topology.regions)
        if 2 * self._sight.reached <= total:
            self._object(
                "unreached",
                "",
                f"{self._sight.reached} of {total} regions answer: in the others somebody else may "
                "be at work, and what is ordered here is heard there only later",
                total - self._sight.reached,
            )
        return plan

    def _object(self, kind: Against, about: str, text: str, figure: float = 0.0) -> None:
        self._objections.append(Objection(kind, about, text, figure))

    # --- what is wanted ------------------------------------------------------------------------

    def _order(self, edge: str = "") -> Order:
        """What stands for the region or one of its edges, as it would be said again now."""
        request = self._request
        known = self._sight.orders.of(request.region, edge)
        return Order(
            region=request.region,
            edge=edge,
            at_ms=0,
            by=request.by,
            why=request.why,
            cordoned=known is not None and known.cordoned,
            drain_s=None if known is None else known.drain_s,
            own=bool(edge) and (edge == request.edge or (known is not None and known.own)),
            weight=None if known is None else known.weight,
            ramp=None if known is None else known.ramp,
        )

    def _open(self, edge: str = "") -> Order:
        """Nothing is wanted of it any more, but its weight."""
        weight = None if edge else self._order().weight
        request = self._request
        return Order(
            region=request.region, edge=edge, at_ms=0, by=request.by, why=request.why,
            weight=weight,
        )  # fmt: skip

    def _stands(self, order: Order) -> bool:
        """Whether it is already so."""
        known = self._sight.orders.of(order.region, order.edge)
        return order.idle if known is None else known.same(order)

    def _stage(self, text: str, orders: Sequence[Order]) -> list[Stage]:
        """Orders that edges only have to hear of; none where they stand."""
        lacking = [order for order in orders if not self._stands(order)]
        return [Stage(text, lacking, "known", KNOWN_S)] if lacking else []

    def _finish(self, stages: list[Stage], **more: Any) -> Plan:
        return Plan(stages, objections=self._objections, notes=self._notes, **more)

    # --- verbs ---------------------------------------------------------------------------------

    def _cordon(self) -> Plan:
        request = self._request
        order = self._order(request.edge)
        wanted = _with(order, cordoned=True)
        stages = self._stage(f"nobody new is sent to {request.scope}", [wanted])
        if stages:
            self._keep_one_open(but_edge=request.edge)
        if stages and not self._others_take(request.edge):
            self._newcomers(cordoned=request.why or "an operator wants it so")
        return self._finish(stages)

    def _others_take(self, but_edge: str) -> bool:
        """Whether other edges of its region take what would come to this one. Some may be full."""
        others = [
            key
            for key in self._edges
            if but_edge and key.edge != but_edge and self._outlook.edges[key].admits
        ]
        for key in others:
            taken = self._held(key) / max(1, self._outlook.room(key))
            if taken > FULL:
                self._object(
                    "full",
                    key.edge,
                    f"{key.edge} would get more of the new clients, and is {taken:.0%} full: "
                    f"{FULL:.0%} is the most",
                    taken,
                )
        return bool(others)

    def _uncordon(self) -> Plan:
        request = self._request
        orders = [self._open(request.edge)]
        if not request.edge:
            orders += self._opened_edges()
        stages = self._stage(f"{request.scope} is open", orders)
        if stages and not request.edge:
            self._somebody_there()
            self._comes_back(0.0)
        if not request.edge:
            self._note_weight()
        return self._finish(stages)

    def _weigh(self) -> Plan:
        request = self._request
        if request.edge:
            raise OperationError("a weight is of a region, and 0 to 100")
        wanted = _with(self._order(), weight=request.weight)
        takes = f"{request.weight} %" if request.weight is not None else "what the topology says"
        stages = self._stage(f"{request.region} takes {takes}", [wanted])
        if stages and request.weight == 0:
            self._keep_one_open()
        if stages and request.weight != 0:
            self._object_to_closed()
        if stages:
            told = self._sight.topology.region(request.region).weight
            self._newcomers(weight=told if request.weight is None else request.weight)
        return self._finish(stages)

    def _ramp(self) -> Plan:
        request = self._request
        if request.edge:
            raise OperationError("a ramp is of a region")
        known = self._sight.orders.of(request.region)
        ramp = None if known is None else known.ramp
        if ramp is not None and (ramp.over_s, ramp.share(self._sight.now_ms) < 1) == (
            request.over_s, True,
        ):  # fmt: skip
            return self._finish([])  # it goes on
        ramp = Ramp(self._sight.now_ms, request.over_s)
        text = f"{request.region} takes more and more, all after {request.over_s:g} s"
        stages = [Stage(text, [_with(self._order(), ramp=ramp)], "known", KNOWN_S)]
        self._object_to_closed()
        self._keep_one_open()
        self._newcomers(ramp=0.0)
        return self._finish(stages, takes_s=request.over_s)

    def _return(self) -> Plan:
        request = self._request
        if request.edge:
            raise OperationError("a region returns; an edge is opened with `uncordon`")
        closed = [order for order in self._opened_edges() if not self._stands(order)]
        stages = []
        if closed:
            stages.append(
                Stage(f"the edges of {request.region} are open", closed, "ready", MARGIN_S)
            )
        order = self._sight.orders.of(request.region)
        self._note_weight()
        if closed or (order is not None and order.cordoned):
            ramp = Ramp(self._sight.now_ms, request.over_s)
            wanted = _with(self._open(), ramp=ramp)
            text = f"{request.region} takes more and more, all after {request.over_s:g} s"
            stages.append(Stage(text, [wanted], "known", KNOWN_S))
        if stages:
            self._somebody_there()
            self._comes_back(request.over_s)
        return self._finish(stages, takes_s=request.over_s if stages else 0.0)

    def _opened_edges(self) -> list[Order]:
        """The edges are open with their region, but those that somebody closed for themselves."""
        opened = []
        for key in self._edges:
            order = self._sight.orders.of(*key)
            if order is None or order.idle or not order.own:
                opened.append(self._open(key.edge))
                continue
            if order.cordoned and order.drain_s is not None and scope_of(order.run) != key.edge:
                order = _with(self._order(key.edge), drain_s=None)
                opened.append(order)
            what = "cordoned" if order.drain_s is None else "drained"
            self._notes.append(
                f"{key.edge} stays {what}, by {order.by} ({order.reason}): `jetrelay ctl uncordon "
                f"{key.edge}` opens it"
            )
        if not opened:
            region = self._request.region
            self._object("closed", region, f"no edge of {region} would be open")
        return opened

    def _drain(self) -> Plan:
        request = self._request
        if request.verb == "evacuate" and request.edge:
            raise OperationError("a region is evacuated; an edge is drained")
        keys = self._to_drain()
        moves = sum(self._held(key) for key in keys)
        coming = self._coming(keys, moves, 1.0)
        within_s = request.within_s
        if within_s is None:
            within_s = max(
                [
                    LEAST_S,
                    *(c.per_s / (PACE * c.admitted_per_s) for c in coming if c.admitted_per_s),
                ]
            )
            within_s = float(math.ceil(within_s))
        drains = [
            order
            for key in keys
            if not self._stands(order := _with(self._order(key.edge), drain_s=within_s))
            or self._held(key)
        ]
        stages = []
        if not request.edge:
            wanted = _with(self._order(), cordoned=True, ramp=None)
            stages += self._stage(f"nobody new is sent to {request.region}", [wanted])
        if drains:
            names = ", ".join(order.edge for order in drains)
            stages.append(
                Stage(f"the clients of {names} go elsewhere", drains, "gone", within_s + MARGIN_S)
            )
        if not stages:
            return self._finish(stages)
        self._keep_one_open(but_edge=request.edge)
        coming = self._coming(keys, moves, max(within_s, 1.0))
        for each in coming:
            if each.connections and each.taken > FULL:
                self._object(
                    "full",
                    each.name,
                    f"{each.name} would be {each.taken:.0%} full, and {FULL:.0%} is the most",
                    each.taken,
                )
            if each.connections and each.admitted_per_s and each.per_s > each.admitted_per_s:
                self._object(
                    "fast",
                    each.name,
                    f"{each.per_s:,.0f}/s would come to {each.name}, which lets in "
                    f"{each.admitted_per_s:,.0f}/s: over {within_s:g} s is too fast",
                    each.per_s / each.admitted_per_s,
                )
        self._note_closed()
        for key in keys:
            if key in self._sight.unknown:
                self._notes.append(f"{key.edge} is not heard: it does so when it is back")
        return self._finish(stages, moves=moves, coming=coming, takes_s=within_s)

    def _to_drain(self) -> list[EdgeKey]:
        """The edges that are meant: of a region, those that are not drained for themselves."""
        if self._request.edge:
            return [key for key in self._edges if key.edge == self._request.edge]
        keys = []
        for key in self._edges:
            order = self._drained(key)
            if order is not None and order.own and scope_of(order.run) == key.edge:
                self._notes.append(f"{key.edge} is drained already, by {order.by} ({order.reason})")
            else:
                keys.append(key)
        return keys

    # --- what it does --------------------------------------------------------------------------

    def _coming(self, keys: Sequence[EdgeKey], moves: int, within_s: float) -> list[Coming]:
        region = self._request.region
        stay = [key for key in self._edges if key not in keys and self._outlook.edges[key].admits]
        if stay:
            return self._to_neighbours(stay, moves, within_s)
        others = self._coming_anyway()
        found = []
        for each in self._outlook.if_left(region, moves, within_s).arrivals:
            more, more_per_s = others.get(each.region, (0, 0.0))
            found.append(
                Coming(
                    each.region, each.connections, each.after + more, each.room,
                    each.per_s + more_per_s, each.admitted_per_s,
                )
            )  # fmt: skip
        return found

    def _coming_anyway(self) -> dict[str, tuple[int, float]]:
        """Region -> the clients that other operations still send there, and how many a second."""
        found: dict[str, tuple[int, float]] = {}
        emptied = self._request.region
        for region in self._outlook.regions:
            if region.name == emptied:
                continue
            mine = [key for key in self._outlook.edges if key.region == region.name]
            going = {key: order for key in mine if (order := self._drained(key)) is not None}
            left = sum(self._held(key) for key in going)
            if not left or any(self._outlook.edges[key].admits for key in mine):
                continue  # else its own edges take them
            rest_s = max(
                (order.drain_s or 0.0) - (self._sight.now_ms - order.at_ms) / 1000
                for order in going.values()
            )
            rest_s = max(rest_s, 1.0)
            for each in self._outlook.if_left(region.name, left, rest_s, emptied).arrivals:
                more, per_s = found.get(each.region, (0, 0.0))
                found[each.region] = more + each.connections, per_s + each.per_s
        return found

    def _drained(self, key: EdgeKey) -> Order | None:
        """The order by which an edge is drained now."""
        order = self._sight.orders.of(*key)
        return order if order is not None and order.drain_s is not None else None

    def _to_neighbours(self, stay: Sequence[EdgeKey], moves: int, within_s: float) -> list[Coming]:
        limits, found, left = self._sight.topology.limits, [], moves
        for at, key in enumerate(stay):
            part = left // (len(stay) - at)
            left -= part
            after = self._held(key) + part
            found.append(
                Coming(
                    key.edge, part, after, self._outlook.room(key), part / within_s,
                    limits.connections_per_s,
                )
            )  # fmt: skip
        return found

    def _newcomers(self, **changes: Any) -> None:
        """Where new clients go who are near the region, and who would get too full by them."""
        regions = {each.name: each for each in self._outlook.regions}
        mine = regions[self._request.region]
        whence = Whence(mine.place)
        before = {each.region: each.share for each in shares(list(regions.values()), whence)}
        regions[mine.name] = replace(mine, **changes)
        after = {each.region: each.share for each in shares(list(regions.values()), whence)}
        moved = [name for name in regions if abs(after.get(name, 0) - before.get(name, 0)) > 0.005]
        parts = [f"{name} {before.get(name, 0):.0%} → {after.get(name, 0):.0%}" for name in moved]
        if parts:
            self._notes.append(f"new clients near {mine.name} go to: {', '.join(parts)}")
        for name in moved:
            if after.get(name, 0) > before.get(name, 0) and regions[name].taken > FULL:
                self._object(
                    "full",
                    name,
                    f"{name} would get more of the new clients, and is {regions[name].taken:.0%} "
                    f"full: {FULL:.0%} is the most",
                    regions[name].taken,
                )

    def _comes_back(self, over_s: float) -> None:
        """Who comes home to a region that is opened, and how fast at the most."""
        name = self._request.region
        self._newcomers(cordoned="", ramp=1.0, verdict=Verdict(State.OK, "it is open", admits=True))
        away = sum(
            self._outlook.in_region(each.name)
            for each in self._outlook.regions
            if each.name != name
        )
        if not away:
            return
        per_s = away / max(over_s, HOME_S)
        lets_in = len(self._edges) * self._outlook.edge_admits_per_s
        text = (
            f"clients whose home it is come back by themselves: some of the {away:,} that are "
            f"elsewhere, {per_s:,.0f}/s at most"
        )
        if lets_in and per_s > lets_in:
            text += f", and {lets_in:,.0f}/s are let in: the others wait, and try again"
        self._notes.append(text)

    def _note_closed(self) -> None:
        """Who takes nobody of those that move, and why."""
        for each in self._outlook.regions:
            if each.name != self._request.region and not each.verdict.admits:
                self._notes.append(f"{each.name} takes nobody: {each.verdict.reason}")

    def _held(self, key: EdgeKey) -> int:
        """Connections of an edge; those of one that is not heard are elsewhere, or lost."""
        return self._outlook.at_edge(key) or 0

    def _keep_one_open(self, but_edge: str = "") -> None:
        """Somebody must take clients afterwards."""
        region = self._request.region
        others = [
            each
            for each in self._outlook.regions
            if each.name != region and each.verdict.admits and not each.cordoned
            if each.accepts > 0
        ]
        stay = but_edge and any(
            self._outlook.edges[key].admits for key in self._edges if key.edge != but_edge
        )
        if not others and not stay:
            last, kind = (but_edge, "edge") if but_edge else (region, "region")
            self._object("last", last, f"{last} is the last {kind} that takes clients")

    def _object_to_closed(self) -> None:
        """It is to take clients, and nobody is sent there."""
        region, order = self._request.region, self._order()
        if order.cordoned:
            self._object(
                "closed",
                region,
                f"{region} is cordoned, and stays so: `jetrelay ctl return {region}` opens it, and "
                "ramps",
            )

    def _note_weight(self) -> None:
        weight = self._order().weight
        if weight is not None and weight < FULL_WEIGHT:
            region = self._request.region
            self._notes.append(
                f"{region} has weight {weight} still: `jetrelay ctl weight {region} topology` ends "
                "that"
            )

    def _somebody_there(self) -> None:
        heard = [key for key in self._edges if key not in self._sight.unknown]
        if not heard:
            region = self._request.region
            self._object("unheard", region, f"no edge of {region} is heard")


def _with(order: Order, **changes: Any) -> Order:
    return msgspec.structs.replace(order, **changes)
