"""An emulated arm64 board with a file system and a shell of its own, for the SSH and adb tests.

User, mount, host name and process namespaces, an overlay over a BusyBox, and a private binfmt_misc that starts arm64
programs in qemu: `uname -m` says aarch64, and nothing of the host can be written.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from edgekit.devices.cores import CORES, write_tree
from edgekit.devices.debian import unpack
from edgekit.environment import cache_dir

NEEDED = ("qemu-aarch64", "unshare", "nsenter", "apt-get")
APPLETS = [
    "sh",
    "cat",
    "cp",
    "mv",
    "rm",
    "mkdir",
    "ls",
    "echo",
    "uname",
    "head",
    "sed",
    "kill",
    "sleep",
    "tar",
    "test",
    "[",
    "wc",
    "true",
    "false",
    "chmod",
    "sha256sum",
    "ps",
    "printf",
    "env",
    "dd",
    "touch",
    "grep",
    "cut",
    "dirname",
]
BOOT_TIMEOUT_S = 10.0
# P keeps argv[0], by which BusyBox knows what it is; F opens the emulator at registration.
BINFMT = (
    r":edgekit-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:POCF"
)
BOOT = r"""
set -e
mount -t tmpfs tmpfs "$STATE"
mkdir "$STATE/upper" "$STATE/work" "$STATE/system"
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$STATE/upper,workdir=$STATE/work,userxattr" "$STATE/system"
mount -t proc proc "$STATE/system/proc"
mount --bind "$TREE/proc/cpuinfo" "$STATE/system/proc/cpuinfo"
mount --rbind /dev "$STATE/system/dev"
mount --bind "$TREE/sys" "$STATE/system/sys"
mount -t tmpfs -o size=1m tmpfs "$STATE/system/small"
for folder in /lib64 /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu; do  # the emulator is a program of the host
  mkdir -p "$STATE/system$folder" && mount --bind -o ro "$folder" "$STATE/system$folder"
done
hostname board
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' "$BINFMT" > /proc/sys/fs/binfmt_misc/register
echo booted
exec sleep infinity
"""


def missing() -> str:
    """Why no board can be had here; empty when it can."""
    absent = [tool for tool in NEEDED if shutil.which(tool) is None]
    return f"{', '.join(absent)} missing" if absent else ""


def root_file_system() -> Path:
    """A folder with an arm64 BusyBox as its whole system, made once."""
    root = cache_dir().absolute() / "test-board"
    if not root.is_dir():
        part = root.with_name(f"{root.name}-{os.getpid()}")
        part.mkdir(parents=True)
        unpack(["busybox-static"], part / "package")
        for folder in ("bin", "dev", "proc", "sys", "tmp", "root", "small", "etc", "data/local/tmp"):
            (part / folder).mkdir(parents=True)
        shutil.move(next(f for f in (part / "package").rglob("bin/busybox") if f.is_file()), part / "bin" / "busybox")
        shutil.rmtree(part / "package")
        for applet in APPLETS:
            (part / "bin" / applet).symlink_to("busybox")
        (part / "etc" / "os-release").write_text('PRETTY_NAME="Emulated board"\n')
        part.rename(root)
    return root


class Board:
    """Boots on construction; `enter` is the argv prefix that runs a program inside."""

    def __init__(self, state: Path, core: str = "cortex-a72") -> None:
        qemu = shutil.which("qemu-aarch64")
        tree = state / "tree"
        write_tree(CORES[core], tree)
        (state / "overlay").mkdir()
        self.environment = {
            "ROOT": str(root_file_system()),
            "STATE": str(state / "overlay"),
            "TREE": str(tree),
            "BINFMT": BINFMT.format(qemu=qemu),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        self._process = subprocess.Popen(
            ["unshare", "-Urmupf", "--kill-child", "--", "/bin/sh", "-c", BOOT],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"booted\n":
            assert self._process.stderr is not None
            self._process.kill()
            raise RuntimeError(f"the board does not boot: {self._process.stderr.read().decode()}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        init = children.read_text().split()[0]
        inside = ["nsenter", "-t", init, "-U", "-m", "-u", "-p", "--preserve-credentials", "--"]
        clean = ["/usr/bin/env", "-i", f"QEMU_CPU={core}", "PATH=/bin", "HOME=/root", "LANG=C"]
        self.enter = [*inside, *clean, "/usr/sbin/chroot", f"{state}/overlay/system"]
        self.init = init

    def shell(self, script: str) -> str:
        """What a script prints on the board."""
        done = subprocess.run([*self.enter, "/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        return done.stdout

    def processes(self, word: str) -> int:
        """How many processes of the board have `word` in their command line; waits a little for dying ones."""
        for _ in range(20):
            found = [line for line in self.shell("ps").splitlines() if word in line and "ps" not in line.split()]
            if not found:
                return 0
            time.sleep(0.1)
        return len(found)

    def power_off(self) -> None:
        os.kill(int(self.init), signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
