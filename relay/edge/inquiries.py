"""Answers operators who ask this edge, about its clients say: a few at a time, in slices.

What may be asked on which subject is `relay.core.inquiry`'s; who may publish there, NATS's.
"""

import asyncio
import logging
from functools import partial

from relay.bus.connection import Headers
from relay.core.inquiry import (
    KICK_CODES,
    LONGEST_TRACE_S,
    TEXT,
    Ask,
    Client,
    Clients,
    Kick,
    Peek,
    Question,
    Room,
    Rooms,
    Settings,
    Stop,
    Trace,
    decode_ask,
    decode_question,
)
from relay.core.inquiry_answers import Answer, Kicked, Refused, SettingsTold, bounded
from relay.core.limits import TokenBucket
from relay.core.masking import handle_of
from relay.core.names import (
    EVERY_EDGE,
    AnswerKind,
    InquiryKind,
    inquiry_answer_subject,
    inquiry_subject,
)
from relay.core.query import QueryError
from relay.edge import clock, tracing
from relay.edge.answering import Answers
from relay.edge.connection import ClientConnection
from relay.edge.departures import Departures
from relay.edge.edge import Edge
from relay.edge.settings import settings_of
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.inquiries")

ASKED_PER_S, ASKED_BURST = 5.0, 20.0
WAITING = 16  # questions that are not answered yet; more are not even refused
TRACES = 4  # at once
TOLD = "closed by an operator"  # to the client
ANSWERED: dict[InquiryKind, AnswerKind] = {"ask": "told", "see": "shown", "act": "told"}


class Inquiries:
    """The edge's side of them. It costs nothing while nobody asks.

    Args:
        edge: it.
        departures: who went from it.
    """

    def __init__(self, edge: Edge, departures: Departures) -> None:
        self._edge = edge
        self._departures = departures
        self._answers = Answers(edge, departures)
        self._regions = {region.name for region in edge.config.regions}
        self._rate = TokenBucket.full(ASKED_PER_S, ASKED_BURST, clock.now().mono_s)
        self._turn = asyncio.Lock()  # to look through everything
        self._tasks = Tasks("inquiries")
        self._at_work: set[tuple[str, int]] = set()  # asker and question
        self._traces: dict[tuple[str, int], tracing.Trace] = {}  # likewise
        self.asked = 0
        self.refused = 0
        self.kicked = 0

    @property
    def totals(self) -> dict[str, tuple[str, float]]:
        """Name -> (help, total), for `/metrics`."""
        return {
            "inquiries": ("Questions of operators.", self.asked),
            "inquiries_refused": ("Of them not answered, or refused.", self.refused),
            "kicked": ("Connections that operators closed.", self.kicked),
        }

    @property
    def levels(self) -> dict[str, tuple[str, float]]:
        """Name -> (help, value now), likewise."""
        return {"traces": ("Connections whose frames an operator sees.", len(self._traces))}

    async def start(self) -> None:
        """Begin to hear questions."""
        region, name = self._edge.config.region, self._edge.config.edge
        for kind in ANSWERED:
            for edge in (name, EVERY_EDGE):
                subject = inquiry_subject(kind, region, edge)
                await self._edge.bus.work.listen(subject, partial(self._hear, kind))

    async def close(self) -> None:
        """End what is at work."""
        await self._tasks.close()

    # --- who asks ------------------------------------------------------------------------------

    def _hear(
        self, kind: InquiryKind, _subject: str, _reply: str, _headers: Headers, data: bytes
    ) -> None:
        self._edge.check_fence()  # who was stopped meanwhile closes its clients first
        self.asked += 1
        try:
            ask = decode_ask(data)
        except ValueError:
            self.refused += 1
            return
        question = decode_question(kind, ask.question)
        if isinstance(question, Stop):
            self._stop(ask.asker, question)
            return
        if (ask.asker, ask.number) in self._at_work:
            return  # it is asked again, since the answer takes time
        waiting = len(self._at_work) - len(self._traces)
        if ask.region not in self._regions or waiting >= WAITING:
            self.refused += 1
            return
        self._at_work.add((ask.asker, ask.number))
        self._tasks.spawn(self._answer(kind, ask, question), kind)

    async def _answer(self, kind: InquiryKind, ask: Ask, question: Question | Refused) -> None:
        if len(ask.by) > TEXT:
            question = Refused(f"by: {TEXT} characters are the most")
        if not isinstance(question, Refused) and self._rate.take(clock.now().mono_s) > 0:
            question = Refused("too many questions: ask again", busy=True)
        try:
            answer = await self._found(kind, ask, question)
            if answer is not None:
                await self._tell(kind, ask, answer)
        except BusError as error:
            _log.info("a question is not answered: %s", error)
        finally:
            self._at_work.discard((ask.asker, ask.number))

    async def _tell(self, kind: InquiryKind, ask: Ask, answer: Answer) -> None:
        if isinstance(answer, Refused):
            self.refused += 1
        config, where = self._edge.config, ANSWERED[kind]
        subject = inquiry_answer_subject(where, ask.region, ask.asker, ask.number)
        data = bounded(config.region, config.edge, self._edge.epoch, answer)
        await self._edge.bus.inbox.send(subject, data, "")

    # --- what is asked -------------------------------------------------------------------------

    async def _found(
        self, kind: InquiryKind, ask: Ask, question: Question | Refused
    ) -> Answer | None:
        """The answer; None: it was told as it came."""
        try:
            match question:
                case Refused():
                    return question
                case Clients():
                    async with self._turn:
                        return await self._answers.clients(question)
                case Rooms():
                    async with self._turn:
                        return await self._answers.rooms(question)
                case Peek():
                    return await self._peek(kind, ask, question)
                case Client():
                    return self._answers.client(question)
                case Room():
                    return self._answers.room(question)
                case Settings():
                    return SettingsTold(settings=settings_of(self._edge.config))
                case Kick():
                    return self._kick(ask, question)
                case Trace():
                    return await self._trace(kind, ask, question)
                case Stop():
                    return None  # it was done when it was heard
        except QueryError as error:
            return Refused(str(error))

    async def _peek(self, kind: InquiryKind, ask: Ask, question: Peek) -> Answer:
        payloads = kind == "see"
        if payloads:
            _log.info("%r reads the newest events of room %r", ask.by, question.room)
        try:
            async with self._turn:
                return await self._answers.peek(question, payloads=payloads)
        except BusError as error:
            return Refused(f"the room's history can't be read now: {error}", busy=True)

    def _kick(self, ask: Ask, question: Kick) -> Answer:
        if question.code not in KICK_CODES:
            return Refused(f"code: one of {', '.join(map(str, KICK_CODES))}")
        if not question.why or len(question.why) > TEXT:
            return Refused(f"why: 1 to {TEXT} characters")
        found = self._answers.find(question.session)
        if not isinstance(found, ClientConnection):
            return found
        grants, handle = found.session.grants, handle_of(found.session.session_id)
        assert grants is not None, "a session that is found has shown who it is"
        _log.warning(
            "%r closes session %s of user %s (tenant %s) with %d: %r",
            ask.by, handle, grants.user, grants.tenant, question.code, question.why,
        )  # fmt: skip
        self.kicked += 1
        found.close(question.code, TOLD)
        return Kicked(session=handle, tenant=grants.tenant, user=grants.user, code=question.code)

    # --- traces --------------------------------------------------------------------------------

    async def _trace(self, kind: InquiryKind, ask: Ask, question: Trace) -> Answer | None:
        found = self._answers.find(question.session)
        if not isinstance(found, ClientConnection):
            return found
        if len(self._traces) >= TRACES:
            return Refused(f"{TRACES} clients are traced here already", busy=True)
        if any(each.connection is found for each in self._traces.values()):
            return Refused("it is traced already", busy=True)
        key = (ask.asker, ask.number)
        trace = tracing.Trace(
            found,
            self._departures,
            partial(self._tell, kind, ask),
            min(max(question.for_s, 0.0), LONGEST_TRACE_S),
            payloads=kind == "see",
        )
        self._traces[key] = trace
        _log.info(
            "%r traces session %s%s",
            ask.by,
            handle_of(found.session.session_id),
            ", payloads too" if kind == "see" else "",
        )
        try:
            await trace.run()
        finally:
            del self._traces[key]
        return None

    def _stop(self, asker: str, question: Stop) -> None:
        trace = self._traces.get((asker, question.number))
        if trace is not None:
            trace.stop()
