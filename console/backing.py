"""What the console can do besides listening, as whoever starts it provides it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from console.past.moment import Past
from regions.drills.site import Site
from regions.inquiries.asker import Asker
from regions.operations.office import Office
from regions.topology import Topology


@dataclass(frozen=True, slots=True)
class Backing:
    """Each part may be missing: then the console says so, and does the rest.

    Args:
        past: opens the past; None: there is none.
        recorded: whether that is all there is: a recording is looked at.
        office: opens the control plane; None: nothing can be changed from here.
        drills: where drills are run; None: nowhere.
        asker: opens a way to ask edges; None: they are not asked.
        control: the same, with a login that may see payloads and close connections; None: nobody
            may.
        topology: what the fleet is made of.
        by: who acts.
        folder: where exports and pictures go.
    """

    past: Callable[[], AbstractAsyncContextManager[Past]] | None = None
    recorded: bool = False
    office: Callable[[], AbstractAsyncContextManager[Office]] | None = None
    drills: Site | None = None
    asker: Callable[[], AbstractAsyncContextManager[Asker]] | None = None
    control: Callable[[], AbstractAsyncContextManager[Asker]] | None = None
    topology: Topology | None = None
    by: str = ""
    folder: Path = Path()
