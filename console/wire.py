"""What comes over NATS, or out of a recording, as events of a feed."""

import msgspec

from console.feed import FeedEvent, FrameHeard, FrameRefused, NewsHeard
from regions.news import decode_news
from relay.core.telemetry import decode_frame


def event_of(subject: str, data: bytes) -> FeedEvent:
    """The event that a message on `tele.…` or `news.…` is; one that can't be used is refused.

    NATS decides by subject who may publish: nothing can speak for another edge, or of another
    region, than its subject names.
    """
    kind, _, rest = subject.partition(".")
    parts = rest.split(".")
    try:
        if kind == "tele":
            frame = decode_frame(data)
            return FrameHeard(frame) if parts == [frame.region, frame.edge] else FrameRefused()
        if kind == "news" and len(parts) == 2:
            news = decode_news(data)
            told = parts[1] == news.__struct_config__.tag
            return NewsHeard(parts[0], news) if told else FrameRefused()
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return FrameRefused()
