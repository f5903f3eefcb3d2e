"""Runs `edgekit` commands, each in a fork of one process that has imported everything once.

Started as a program: one JSON request a line on stdin, one JSON answer a line on stdout. A child has limits of its own,
because what it reads may make native code crash, hang or take all memory.
"""

import json
import os
import resource
import signal
import sys
import time

MEMORY = 12 << 30
"""Bytes of address space; torch alone maps several GiB."""
CRASHED = 250
"""The exit code of a child that a Python exception ended: none of edgekit's own."""


def child(argv: list[str], folder: str) -> None:
    """Become the command: fresh folder, files for its streams, then its exit code. Does not return."""
    os.setsid()
    os.chdir(os.path.join(folder, "cwd"))
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ["TMPDIR"] = os.path.join(folder, "tmp")
    os.environ["EDGEKIT_CACHE"] = os.path.join(folder, "cache")
    os.environ["XDG_CONFIG_HOME"] = os.path.join(folder, "cwd", "config")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    code = CRASHED
    try:
        from edgekit.cli import main

        code = main(argv)
    except BaseException:  # noqa: BLE001 - what escapes is the finding; Python would print it as well
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """The child's wait status; None where it was still running after `seconds` and was killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def serve() -> None:
    import onnx_ir  # noqa: F401
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401
    import PIL.Image  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch.export

    import edgekit.cli
    import edgekit.pipeline  # noqa: F401

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(request["argv"], request["folder"])
        status = wait(pid, request["seconds"])
        answer = {"hung": status is None, "code": None, "signal": None}
        if status is not None and os.WIFSIGNALED(status):
            answer["signal"] = os.WTERMSIG(status)
        elif status is not None:
            answer["code"] = os.WEXITSTATUS(status)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
