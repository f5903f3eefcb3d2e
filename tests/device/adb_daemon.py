"""The device's side of adb over TCP, for tests: what the real adb client needs, and faults on demand.

Speaks CNXN, OPEN, OKAY, WRTE and CLSE; the services shell, shell,v2 and sync (STAT, LIST, SEND, RECV). Commands run
through an argv prefix, so that they land on the emulated board.
"""

import argparse
import asyncio
import os
import signal
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

MAX_PAYLOAD, VERSION = 256 * 1024, 0x01000001
COMMANDS = ("CNXN", "AUTH", "OPEN", "OKAY", "WRTE", "CLSE")
CODES = {name: int.from_bytes(name.encode(), "little") for name in COMMANDS}
NAMES = {code: name for name, code in CODES.items()}
BANNER = b"device::ro.product.name=board;ro.product.model=Board;ro.product.device=board;features=shell_v2,cmd"
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)


class Stream:
    """One service that the client opened."""

    def __init__(self, connection: "Connection", local: int, remote: int) -> None:
        self.connection, self.local, self.remote = connection, local, remote
        self.received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.acknowledged = asyncio.Event()
        self.buffer = b""
        self.open = True

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), self.connection.max_payload):
            if not self.open:
                return
            self.acknowledged.clear()
            part = data[start : start + self.connection.max_payload]
            await self.connection.send("WRTE", self.local, self.remote, part)
            await self.acknowledged.wait()

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes; EOFError when the client closed the stream."""
        while len(self.buffer) < size:
            data = await self.received.get()
            if data is None:
                raise EOFError
            self.buffer += data
            await self.connection.send("OKAY", self.local, self.remote)
        result, self.buffer = self.buffer[:size], self.buffer[size:]
        return result

    def end(self) -> None:
        self.open = False
        self.acknowledged.set()
        self.received.put_nowait(None)

    async def close(self) -> None:
        if self.open:
            self.open = False
            await self.connection.send("CLSE", self.local, self.remote)
        self.connection.streams.pop(self.local, None)


class Connection:
    """One client."""

    def __init__(self, device: "Device", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.device, self.reader, self.writer = device, reader, writer
        self.max_payload, self.checksums = 4096, True
        self.streams: dict[int, Stream] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.next = 1

    async def send(self, name: str, first: int, second: int, data: bytes = b"") -> None:
        check = sum(data) & 0xFFFFFFFF if self.checksums else 0
        code = CODES[name]
        header = struct.pack("<6I", code, first, second, len(data), check, code ^ 0xFFFFFFFF)
        self.writer.write(header + data)
        await self.writer.drain()

    async def serve(self) -> None:
        try:
            while True:
                header = struct.unpack("<6I", await self.reader.readexactly(24))
                data = await self.reader.readexactly(header[3])
                if header[0] ^ 0xFFFFFFFF != header[5] or header[0] not in NAMES:
                    return
                await self.handle(NAMES[header[0]], header[1], header[2], data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in list(self.streams.values()):
                stream.end()
            self.writer.close()

    async def handle(self, name: str, first: int, second: int, data: bytes) -> None:
        stream = self.streams.get(second)
        if name in ("CNXN", "AUTH"):  # this device trusts everybody
            if name == "CNXN":
                self.max_payload = min(second, MAX_PAYLOAD)
                self.checksums = min(first, VERSION) < VERSION
            await self.send("CNXN", VERSION, MAX_PAYLOAD, BANNER)
        elif name == "OPEN":
            await self.open_service(first, data.rstrip(b"\0").decode())
        elif name == "WRTE" and stream is None:
            await self.send("CLSE", 0, first)
        elif stream is not None and name == "OKAY":
            stream.acknowledged.set()
        elif stream is not None and name == "WRTE":
            stream.received.put_nowait(data)
        elif stream is not None and name == "CLSE":
            self.streams.pop(second)
            stream.end()

    async def open_service(self, remote: int, destination: str) -> None:
        service = self.device.service(destination)
        if service is None:
            await self.send("CLSE", 0, remote)
            return
        stream = self.streams[self.next] = Stream(self, self.next, remote)
        self.next += 1
        await self.send("OKAY", stream.local, remote)
        task = asyncio.ensure_future(self.guarded(service, stream))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def guarded(self, service: Callable[[Stream], Awaitable[None]], stream: Stream) -> None:
        try:
            await service(stream)
        except (EOFError, ConnectionError):
            pass
        finally:
            with suppress(ConnectionError):
                await stream.close()


class Device:
    """The services. File transfers run programs on the board, so that no path leaves it."""

    def __init__(self, prefix: list[str]) -> None:
        self.prefix = prefix

    def service(self, destination: str) -> Callable[[Stream], Awaitable[None]] | None:
        if destination == "sync:":
            return self.sync
        kind, _, command = destination.partition(":")
        name, *options = kind.split(",")
        if name not in ("shell", "exec"):
            return None
        return lambda stream: self.shell(stream, command, "v2" in options)

    async def start(self, *argv: str, stderr: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.prefix,
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    async def shell(self, stream: Stream, command: str, v2: bool) -> None:
        stderr = asyncio.subprocess.PIPE if v2 else asyncio.subprocess.STDOUT
        process = await self.start("/bin/sh", "-c", command, stderr=stderr)
        feeding = asyncio.ensure_future(self.feed(stream, process, v2))
        turn = asyncio.Lock()

        async def pump(pipe: asyncio.StreamReader | None, kind: int) -> None:
            while pipe is not None and (data := await pipe.read(32768)):
                async with turn:
                    await stream.write(struct.pack("<BI", kind, len(data)) + data if v2 else data)

        await asyncio.gather(pump(process.stdout, STDOUT), pump(process.stderr, STDERR))
        code = await process.wait()
        feeding.cancel()
        if v2:
            await stream.write(struct.pack("<BIB", EXIT, 1, code if code >= 0 else 128 - code))

    async def feed(self, stream: Stream, process: asyncio.subprocess.Process, v2: bool) -> None:
        assert process.stdin is not None
        try:
            while True:
                kind, size = struct.unpack("<BI", await stream.read(5)) if v2 else (STDIN, 1)
                data = await stream.read(size)
                if kind == STDIN:
                    process.stdin.write(data)
                    await process.stdin.drain()
                elif kind == CLOSE_STDIN:
                    process.stdin.close()
        except (EOFError, ConnectionError, OSError):
            if process.returncode is None:  # the client went away, as a phone's daemon sees it
                os.killpg(process.pid, signal.SIGHUP)

    async def sync(self, stream: Stream) -> None:
        while True:
            request, size = struct.unpack("<4sI", await stream.read(8))
            argument = (await stream.read(size)).decode()
            if request == b"STAT":
                await self.stat(stream, argument)
            elif request == b"SEND":
                await self.receive(stream, *argument.rsplit(",", 1))
            elif request == b"RECV":
                await self.give(stream, argument)
            else:
                return

    async def output(self, *argv: str) -> tuple[int, bytes, bytes]:
        process = await self.start(*argv)
        stdout, stderr = await process.communicate()
        return process.returncode or 0, stdout, stderr

    async def stat(self, stream: Stream, path: str) -> None:
        script = (
            'if [ -d "$1" ]; then echo 16877 0; elif [ -f "$1" ]; then echo 33188 $(wc -c < "$1"); else echo 0 0; fi'
        )
        _, stdout, _ = await self.output("/bin/sh", "-c", script, "stat", path)
        mode, size = map(int, stdout.split())
        await stream.write(b"STAT" + struct.pack("<3I", mode, size, 0))

    async def receive(self, stream: Stream, path: str, mode: str) -> None:
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        process = await self.start("/bin/sh", "-c", script, "receive", path, oct(int(mode) & 0o777)[2:])
        assert process.stdin is not None
        while True:
            kind, size = struct.unpack("<4sI", await stream.read(8))
            if kind == b"DONE":
                break
            data = await stream.read(size)
            with suppress(ConnectionError):
                process.stdin.write(data)
                await process.stdin.drain()
        process.stdin.close()
        _, stderr = await process.communicate()
        if process.returncode == 0:
            await stream.write(b"OKAY" + bytes(4))
        else:
            await self.refuse(stream, stderr)

    async def give(self, stream: Stream, path: str) -> None:
        code, data, stderr = await self.output("/bin/cat", path)
        if code:
            await self.refuse(stream, stderr)
            return
        parts = [data[start : start + 65536] for start in range(0, len(data), 65536)]
        await stream.write(b"".join(b"DATA" + struct.pack("<I", len(p)) + p for p in parts) + b"DONE" + bytes(4))

    async def refuse(self, stream: Stream, stderr: bytes) -> None:
        reason = stderr.strip().rpartition(b": ")[2] or b"failed"
        await stream.write(b"FAIL" + struct.pack("<I", len(reason)) + reason)


async def serve(port: int, prefix: list[str]) -> None:
    """Listen until killed; the port that was taken is printed."""
    device = Device(prefix)
    server = await asyncio.start_server(lambda r, w: Connection(device, r, w).serve(), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("prefix", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, options.prefix))
    sys.exit(0)
