"""Runs a Dockerfile's steps in a fresh Debian without a container engine: debootstrap, unshare, chroot. Needs root.

Knows FROM debian:SUITE-slim, SHELL, ARG, ENV, WORKDIR, COPY, RUN, USER, ENTRYPOINT and CMD, which is all that docker/
uses; anything else is an error. The host's package sources and certificates are copied in, so that the steps reach what
the host reaches.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

MINUTES = 60
SOURCES = ("etc/apt/sources.list", "etc/apt/sources.list.d/debian.sources")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
FROM_HOST = (*SOURCES, "etc/pip.conf", "etc/resolv.conf", CERTIFICATES)
KEPT_CERTIFICATES = "host-certificates.crt"  # installing ca-certificates writes its own in the usual place
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc")


@dataclass
class Image:
    """A root folder as the steps left it, and how it wants to be started."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    folder: str = "/"
    user: str = "root"
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def start(self, *arguments: str) -> str:
        """What the container prints, as its user in its folder."""
        return self.run(*self.entrypoint, *(arguments or self.command), user=self.user)

    def run(self, *command: str, user: str = "root") -> str:
        """Run one command inside; AssertionError with its output when it fails."""
        inside = f"mount -t proc proc /proc && mount -t tmpfs shm /dev/shm && cd {shlex.quote(self.folder)} && "
        inside += f"exec setpriv --reuid={user} --clear-groups -- " + shlex.join(command)
        binds = " && ".join(
            f"mkdir -p {self.root}{path} && mount --rbind -o ro {path} {self.root}{path}" for path in local_indexes()
        )
        outside = f"mount --make-rprivate / && {binds + ' && ' if binds else ''}"
        outside += f"exec chroot {shlex.quote(str(self.root))} /bin/bash -c {shlex.quote(inside)}"
        environment = {**self.environment, **package_settings(), "HOME": "/root", "LANG": "C.UTF-8"}
        merged = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
        words = [*NAMESPACES, "/bin/bash", "-c", outside]
        done = subprocess.run(words, timeout=30 * MINUTES, stdin=subprocess.DEVNULL, **merged)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-4000:]}"
        return done.stdout


def package_settings() -> dict[str, str]:
    """The host's settings of pip and proxies, and its certificates."""
    given = {key: value for key, value in os.environ.items() if re.fullmatch(r"(?i)(PIP|HTTPS?|NO)_.*", key)}
    return {**given, "PIP_CERT": f"/{KEPT_CERTIFICATES}"}


def local_indexes() -> list[str]:
    """Folders of this host that its pip takes packages from."""
    found = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    named = re.findall(r"(?:file://)?(/opt/[^/'\s\\]+)", found + " ".join(package_settings().values()))
    return sorted({path for path in named if Path(path).is_dir()})


def bootstrap(root: Path, suite: str = "bookworm") -> None:
    """A minimal Debian, from the host's own mirror."""
    listed = "".join(Path("/", name).read_text() for name in SOURCES if Path("/", name).is_file())
    mirror = re.findall(r"^(?:URIs:|deb\b.*?)\s*(https?://\S+)", listed, re.MULTILINE)[:1]
    command = ["debootstrap", "--variant=minbase", suite, str(root), *mirror]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20 * MINUTES)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def build(dockerfile: Path, context: Path, root: Path) -> Image:
    """Run every step of the file in `root`, a fresh Debian of the suite that FROM names."""
    image = Image(root)
    for name in FROM_HOST:
        source = Path("/", name)
        if source.is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / name)
    shutil.copy(Path("/", CERTIFICATES), root / KEPT_CERTIFICATES)
    for config in Path("/etc/apt/apt.conf.d").glob("*artifact*"):
        shutil.copy(config, root / "etc/apt/apt.conf.d")
    for instruction, text in steps(dockerfile):
        step(image, instruction, text, context)
    return image


def steps(dockerfile: Path) -> list[tuple[str, str]]:
    """(INSTRUCTION, its text), continuation lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def step(image: Image, instruction: str, text: str, context: Path) -> None:
    match instruction:
        case "FROM":
            assert text == "debian:bookworm-slim", text
        case "SHELL":
            image.shell = tuple(json.loads(text))
        case "ARG":
            key, _, value = text.partition("=")
            image.environment.setdefault(key, value.strip('"'))
        case "ENV":
            for key, value in (pair.split("=", 1) for pair in shlex.split(text)):
                image.environment[key] = value.replace("$PATH", image.environment["PATH"])
        case "WORKDIR":
            image.folder = text
            Path(f"{image.root}{text}").mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = text
        case "COPY":
            *sources, target = text.split()
            copy(image, sources, target, context)
        case "RUN":
            image.run(*image.shell, text)
        case "ENTRYPOINT":
            image.entrypoint = tuple(json.loads(text))
        case "CMD":
            image.command = tuple(json.loads(text))
        case _:
            raise AssertionError(f"{instruction} is not known here")


def copy(image: Image, sources: list[str], target: str, context: Path) -> None:
    """Files go to or into the target; a folder's contents become the target."""
    inside = Path(f"{image.root}{target}" if target.startswith("/") else f"{image.root}{image.folder}/{target}")
    into = target.endswith("/")
    for name in sources:
        source = context / name
        if source.is_dir():
            shutil.copytree(source, inside, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            continue
        (inside if into else inside.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, inside / source.name if into else inside)
