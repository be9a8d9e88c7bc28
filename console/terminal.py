"""The terminal that the console is drawn on."""

import select

GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


def is_gone(fd: int) -> bool:
    """Whether nobody is at the other end of a terminal, or of a pipe, any more."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & GONE for _, event in poll.poll(0))
