"""Runs the services of a compose file in what a container is made of, without an engine.

Each service has a network namespace on the bridges of its networks, a mount namespace with a root
of its own (read-only, with its secrets, configs and volumes where the file says), a process
namespace in which it is process 1, and the file's user without any capability. Images are stood
for by this machine's programs: `BIN` is a directory of them. Needs root, Linux and iproute2.
"""

import contextlib
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
SHOWN = ("/usr", "/etc/ssl", "/etc/alternatives")  # of this machine, read-only in every container
LINKS = ("bin", "sbin", "lib", "lib64")
ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"

VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")

Service = Mapping[str, Any]


def why_not() -> str | None:
    """Why containers can't be stood for here; None: they can."""
    if os.geteuid() != 0:
        return "network and mount namespaces need root"
    for program in ("ip", "unshare", "setpriv", "chroot"):
        if shutil.which(program) is None:
            return f"there is no `{program}`"
    return None


class Engine:
    """What runs a compose file.

    Args:
        document: the file.
        project: the directory in which it stands.
        work: a directory for roots and logs.
        programs: name -> the program that the images have under it.
    """

    def __init__(
        self, document: Mapping[str, Any], project: Path, work: Path, programs: Mapping[str, Path]
    ) -> None:
        self._document = document
        self._project = project
        self._work = work
        self._tag = f"jrc{os.getpid()}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment: dict[str, str] = {}  # of who runs it
        self._stopped: set[str] = set()
        self._names = list(document["services"])
        self._bin = work / "bin"
        self._bin.mkdir(parents=True)
        for name, path in programs.items():
            (self._bin / name).symlink_to(path)

    # --- what a user does ----------------------------------------------------------------------

    def up(self, services: Sequence[str] | None = None) -> None:
        """Start all services that belong to no profile, or these."""
        wanted = services or [
            name for name, each in self._document["services"].items() if "profiles" not in each
        ]
        for name in wanted:
            self.running[name] = self._start(name)

    def run(
        self, service: str, command: Sequence[str], timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in place of a service's own, as `docker compose run` does."""
        argv = self._argv(service, [*self._spec(service)["entrypoint"], *command])
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)

    def healthy(self, service: str) -> bool:
        """Whether a service's own check of its health says so."""
        kind, *command = self._spec(service)["healthcheck"]["test"]
        assert kind == "CMD"
        try:
            return self.inside(service, command).returncode == 0
        except ProcessLookupError:
            return False

    def inside(self, service: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a service that runs, as `docker compose exec` does."""
        pid = str(self.first(service))
        argv = [
            "nsenter",
            "-t",
            pid,
            "-m",
            "-n",
            "-p",
            "-r",
            "-w",
            *self._confined(service, command),
        ]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    def put(self, service: str, path: str, data: bytes) -> None:
        """Write a file in a service that runs, where it may write."""
        there = Path(f"/proc/{self.first(service)}/root{path}")
        there.write_bytes(data)
        there.chmod(0o644)

    def address(self, service: str, network: str) -> str:
        """Where a service is, in a network."""
        return f"10.79.{self._networks().index(network)}.{self._names.index(service) + 2}"

    def alive(self, service: str) -> bool:
        """Whether it runs."""
        return self.running[service].poll() is None

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the first process of a service."""
        os.kill(self.first(service), number)

    def wait(self, service: str, timeout_s: float) -> int:
        """Wait for the end of a service; its exit code."""
        return self.running[service].wait(timeout_s)

    def log(self, service: str) -> str:
        """What it has said."""
        return (self._work / f"{service}.log").read_text(errors="replace")

    def tend(self) -> list[str]:
        """Start what has ended again, where its restart policy says so; the names."""
        ended = [
            name
            for name, process in self.running.items()
            if process.poll() is not None
            and self._spec(name).get("restart") == "unless-stopped"
            and name not in self._stopped
        ]
        for name in ended:
            self.running[name] = self._start(name)
        return ended

    def stop(self, service: str, grace_s: float | None = None) -> int:
        """End a service as `docker compose stop` does; its exit code, -9 if it had to be killed.

        `grace_s`: how long it has; as its file says without.
        """
        self._stopped.add(service)
        spec = self._spec(service)
        process = self.running[service]
        self.kill(service, signal.Signals[spec.get("stop_signal", "SIGTERM")])
        try:
            return process.wait(grace_s or float(spec["stop_grace_period"].removesuffix("s")))
        except subprocess.TimeoutExpired:
            self.kill(service)
            process.wait(10)
            return -9

    # --- before and after ----------------------------------------------------------------------

    def __enter__(self) -> "Engine":
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            self._switch()
            for name in self._names:
                self._connect(name)
                self._furnish(name)
            stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._close()

    def _close(self) -> None:
        for name, process in self.running.items():
            # With process 1 goes the namespace. That its parent ends is not told to it: it has
            # changed its user since.
            with contextlib.suppress(ProcessLookupError):
                self.kill(name)
            process.wait(10)
        known = subprocess.run(["ip", "-j", "netns"], capture_output=True, check=False).stdout
        for each in json.loads(known or b"[]"):
            if each["name"].startswith(f"{self._tag}-"):
                _ip("netns", "del", each["name"])

    # --- how it is made ------------------------------------------------------------------------

    def _spec(self, service: str) -> Service:
        spec: Service = self._document["services"][service]
        return spec

    def _networks(self) -> list[str]:
        return list(self._document["networks"])

    def _joined(self, service: str) -> dict[str, list[str]]:
        """The networks of a service, and what else it is called there."""
        given = self._spec(service)["networks"]
        if isinstance(given, list):
            return {name: [] for name in given}
        return {name: (each or {}).get("aliases", []) for name, each in given.items()}

    def _space(self, service: str) -> str:
        return f"{self._tag}-{service}"

    def _switch(self) -> None:
        switch = self._space("switch")
        _ip("netns", "add", switch)
        for at in range(len(self._networks())):
            _ip("-n", switch, "link", "add", f"br{at}", "type", "bridge")
            _ip("-n", switch, "link", "set", f"br{at}", "up")

    def _connect(self, service: str) -> None:
        space, switch = self._space(service), self._space("switch")
        _ip("netns", "add", space)
        _ip("-n", space, "link", "set", "lo", "up")
        for network in self._joined(service):
            at, number = self._networks().index(network), self._names.index(service)
            _ip("-n", space, "link", "add", f"eth{at}", "type", "veth",
                "peer", "name", f"v{number}-{at}", "netns", switch)  # fmt: skip
            _ip("-n", switch, "link", "set", f"v{number}-{at}", "master", f"br{at}", "up")
            _ip(
                "-n",
                space,
                "addr",
                "add",
                f"{self.address(service, network)}/24",
                "dev",
                f"eth{at}",
            )
            _ip("-n", space, "link", "set", f"eth{at}", "up")
        for key, value in self._spec(service).get("sysctls", {}).items():
            path = f"/proc/sys/{key.replace('.', '/')}"
            _ran("ip", "netns", "exec", space, "sh", "-c", f"echo {value} > {path}")

    def _furnish(self, service: str) -> None:
        base = self._work / service
        base.mkdir()
        hosts = ["127.0.0.1 localhost"]
        mine = self._joined(service)
        for other in self._names:
            for network, aliases in self._joined(other).items():
                if network in mine:
                    names = " ".join((other, *aliases))
                    hosts.append(f"{self.address(other, network)} {names}")
        (base / "hosts").write_text("\n".join(hosts) + "\n")
        uid, _, gid = self._spec(service)["user"].partition(":")
        for volume in self._volumes(service).values():
            volume.mkdir(exist_ok=True)
            os.chown(volume, int(uid), int(gid))  # as the image's directory is

    def _volumes(self, service: str) -> dict[str, Path]:
        """Target -> directory, of the named volumes."""
        return {
            target: self._work / f"volume-{source}"
            for source, target, *_ in self._mounted(service)
            if not source.startswith(".")
        }

    def _binds(self, service: str) -> dict[str, Path]:
        """Target -> directory, of what is beside the compose file and only read."""
        found: dict[str, Path] = {}
        for source, target, *how in self._mounted(service):
            if source.startswith("."):
                assert how == ["ro"]
                found[target] = self._project / source
        return found

    def _mounted(self, service: str) -> list[list[str]]:
        return [text.split(":") for text in self._spec(service).get("volumes", [])]

    def _files(self, service: str) -> Iterator[tuple[Path, str]]:
        """What is mounted: where it is, and where it is wanted."""
        for kind in ("secrets", "configs"):
            for each in self._spec(service).get(kind, []):
                source = self._document[kind][each["source"]]["file"]
                yield self._project / source, each["target"]

    def _start(self, service: str) -> subprocess.Popen[bytes]:
        spec = self._spec(service)
        argv = self._argv(service, [*spec["entrypoint"], *spec["command"]])
        with (self._work / f"{service}.log").open("ab") as log:
            return subprocess.Popen(
                argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def _argv(self, service: str, command: Sequence[str]) -> list[str]:
        script = "\n".join(
            [*self._mounts(service), f"exec {shlex.join(self._chrooted(service, command))}"]
        )
        enter = ["ip", "netns", "exec", self._space(service)]
        return [
            *enter,
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-euc",
            script,
        ]

    def _mounts(self, service: str) -> Iterator[str]:
        """The lines that make the root of a container."""
        root = self._work / service / "root"
        root.mkdir(exist_ok=True)
        yield f"mount -t tmpfs tmpfs {root}"
        for target in self._spec(service).get("tmpfs", []):  # first: this tree may be beneath one
            yield f"mkdir -p {root}{target} && mount -t tmpfs -o mode=1777 tmpfs {root}{target}"
        for path in (*SHOWN, str(REPOSITORY), sys.base_prefix, str(self._bin)):
            if Path(path).is_dir():
                yield f"mkdir -p {root}{path} && mount --rbind {path} {root}{path}"
        for name in LINKS:
            if Path(f"/{name}").is_symlink():
                yield f"ln -s usr/{name} {root}/{name}"
        yield f"mkdir -p {root}/proc {root}/dev {root}/etc"
        yield f"mount -t proc proc {root}/proc"
        for device in ("null", "zero", "random", "urandom"):
            yield f"touch {root}/dev/{device} && mount --bind /dev/{device} {root}/dev/{device}"
        yield f"printf {shlex.quote(ACCOUNTS)} > {root}/etc/passwd"
        yield f"cp {self._work / service / 'hosts'} {root}/etc/hosts"
        yield f"echo 'hosts: files' > {root}/etc/nsswitch.conf"
        yield f"echo 'nameserver 127.0.0.11' > {root}/etc/resolv.conf"  # nobody answers there
        yield f"[ ! -e /etc/ld.so.cache ] || cp /etc/ld.so.cache {root}/etc/"
        for place, volume in self._volumes(service).items():
            yield f"mkdir -p {root}{place} && mount --bind {volume} {root}{place}"
        for place, directory in self._binds(service).items():
            yield f"mkdir -p {root}{place} && mount --bind {directory} {root}{place}"
            yield f"mount -o remount,bind,ro {root}{place}"
        for source, target in self._files(service):
            yield f"mkdir -p {root}{Path(target).parent} && touch {root}{target}"
            yield f"mount --bind {source} {root}{target}"
            yield f"mount -o remount,bind,ro {root}{target}"
        if self._spec(service).get("read_only"):
            yield f"mount -o remount,ro {root}"

    def _chrooted(self, service: str, command: Sequence[str]) -> list[str]:
        return ["chroot", str(self._work / service / "root"), *self._confined(service, command)]

    def _confined(self, service: str, command: Sequence[str]) -> list[str]:
        """A command as the file's user, with nothing but the file's environment."""
        spec = self._spec(service)
        uid, _, gid = spec["user"].partition(":")
        assert spec["cap_drop"] == ["ALL"]
        assert spec["security_opt"] == ["no-new-privileges:true"]
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = min(spec["ulimits"]["nofile"]["soft"], hard)
        path = f"{self._bin}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin"
        environment = {"PATH": path, **spec.get("environment", {})}
        given = {name: VARIABLE.sub(self._variable, text) for name, text in environment.items()}
        return [
            "setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs",
            "prlimit", f"--nofile={files}:{files}", "env", "-i",
            *(f"{name}={value}" for name, value in given.items()), *command,
        ]  # fmt: skip

    def _variable(self, found: re.Match[str]) -> str:
        return self.environment.get(found[1]) or found[2]

    def first(self, service: str) -> int:
        """The process that is number 1 in its service: the child of `unshare`.

        Raises:
            ProcessLookupError: it does not run.
        """
        outer = self.running[service]
        while outer.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
                if children:
                    return int(children[0])
            time.sleep(0.02)
        raise ProcessLookupError(f"{service} does not run: {self.log(service)[-2000:]}")


def _ip(*arguments: str) -> None:
    _ran("ip", *arguments)


def _ran(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
