"""What a block of instructions costs on a core: LLVM's models of the cores, asked through llvm-mca.

A block is priced once and for all: prices are kept by core, LLVM version and the block's instructions.
"""

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from edgekit.bench.blocks import WORD_BYTES, Words
from edgekit.devices.device import missing_tool
from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError

OLDEST_LLVM, NEWEST_LLVM = 19, 40
PACKAGE = "llvm-19"
RULES = 2
"""Which rules below made a price; another number is another price."""

TIMEOUT_S = 300
AT_ONCE = 200
FEWER, MORE = 20, 40
"""Rounds of a block, one after the other; the difference between the two is the steady state."""

TRIPLE = "-triple=aarch64"
FEATURES = "-mattr=+v8.2a,+dotprod,+fullfp16,+lse,+rdm,+crc,+aes,+sha2"
JUMPS = re.compile(r"^((?:b|bl|b\.\w+|cbz|cbnz|tbz|tbnz)\s.*?)#-?\d+$")
WRITTEN_BACK = re.compile(r"^(.*\[(?:x\d+|sp)\]), (?:#-?\d+|x\d+)$|^(.*\[(?:x\d+|sp)(?:, #-?\d+)?\])!$")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A core as llvm-mca knows it.

    Args:
        mcpu: the model's name; the nearest relative where LLVM has none of the core.
        in_order: whether instructions start in the order of the program.
        ports: a model whose ports are nearer to the core's, where `mcpu` has more of them than the core.
    """

    mcpu: str
    in_order: bool
    ports: str | None = None


@dataclass(frozen=True, slots=True)
class Llvm:
    """The two programs, and their version."""

    mc: str
    mca: str
    version: str


@cache
def find_llvm() -> Llvm:
    """llvm-mca and llvm-mc, of one version, 19 or newer; EK609 with what to install."""
    found = ""
    for suffix in ("", *(f"-{major}" for major in range(NEWEST_LLVM, OLDEST_LLVM - 1, -1))):
        mc, mca = shutil.which(f"llvm-mc{suffix}"), shutil.which(f"llvm-mca{suffix}")
        if mc is None or mca is None:
            continue
        version = re.search(r"LLVM version (\d+)\.([\d.]+)", _output([mca, "--version"]))
        if version and int(version[1]) >= OLDEST_LLVM:
            return Llvm(mc, mca, f"{version[1]}.{version[2]}")
        found = version[0] if version else "one that does not say its version"
    if found:
        what = f"{found} is too old to price instructions: {OLDEST_LLVM} or newer"
        raise EdgekitError("EK609", what=what, where="llvm-mca", fix=f"apt-get install {PACKAGE}")
    raise missing_tool("llvm-mca", PACKAGE, "--metric cycles")


def made_with(pipeline: Pipeline) -> str:
    """What decides prices: results made with something else are not compared."""
    return f"{pipeline.mcpu} {find_llvm().version} {RULES}"


def price(pipeline: Pipeline, blocks: Iterable[Words]) -> dict[Words, float]:
    """Cycles of each block.

    Raises:
        EdgekitError: EK609 without llvm-mca, EK611 when it fails, EK702 when the cache cannot be written.
    """
    llvm, wanted = find_llvm(), list(dict.fromkeys(blocks))
    key = made_with(pipeline)
    with _kept() as kept:
        known = {words: cycles for words in wanted if (cycles := _look_up(kept, key, words)) is not None}
        missing = [words for words in wanted if words not in known]
        for start in range(0, len(missing), AT_ONCE):
            priced = _ask(llvm, pipeline, missing[start : start + AT_ONCE])
            kept.executemany("INSERT OR IGNORE INTO prices VALUES (?, ?, ?)", _rows(key, priced))
            kept.commit()
            known |= priced
    return known


def is_loop(words: Words) -> bool:
    """Whether a block ends with a conditional jump to its own start (Arm ARM, DDI 0487, section C4.1.65)."""
    last = words[-1]
    if last & 0xFF000010 == 0x54000000 or last >> 25 & 0x3F == 0x1A:  # B.cond, CBZ, CBNZ
        bits = 19
    elif last >> 25 & 0x3F == 0x1B:  # TBZ, TBNZ
        bits = 14
    else:
        return False
    offset = last >> 5 & (1 << bits) - 1
    if offset >> bits - 1:
        offset -= 1 << bits
    return offset == 1 - len(words)


def _ask(llvm: Llvm, pipeline: Pipeline, blocks: Sequence[Words]) -> dict[Words, float]:
    """Prices from llvm-mca.

    A core that starts instructions in order runs a block as long as its steady state takes, and no shorter than its
    ports: it cannot begin what comes behind. One out of order overlaps a block with its neighbours, so that only a loop
    waits for its own results, and anything else costs what its ports and its dispatch take.
    """
    texts = _disassemble(llvm, {word for words in blocks for word in words})
    lines: list[str] = []
    for index, words in enumerate(blocks):
        body = [texts[word] for word in words if word in texts]
        if pipeline.in_order:
            body = [_without_write_back(text) for text in body]
        lines += [f"# LLVM-MCA-BEGIN {index}", *body, "# LLVM-MCA-END"]
    fewer, more = (_simulate(llvm, pipeline.mcpu, lines, rounds) for rounds in (FEWER, MORE))
    ports = _simulate(llvm, pipeline.ports, lines, FEWER) if pipeline.ports else more
    return {
        words: _price(pipeline, words, *(found.get(i) for found in (fewer, more, ports)))
        for i, words in enumerate(blocks)
    }


def _price(pipeline: Pipeline, words: Words, fewer: Any, more: Any, ports: Any) -> float:
    """Cycles of one execution, from three summaries; None where a block has nothing that LLVM has a price for."""
    if not (fewer and more and ports):
        return float(len(words))
    steady = (more["TotalCycles"] - fewer["TotalCycles"]) / (MORE - FEWER)
    if pipeline.in_order:
        return float(max(steady, ports["BlockRThroughput"]))
    dispatched = more["TotaluOps"] / MORE / max(1, more["DispatchWidth"])
    return float(steady if is_loop(words) else max(more["BlockRThroughput"], dispatched))


def _without_write_back(text: str) -> str:
    """An access that does not move its base register.

    The address unit does that on the side. LLVM's in-order simulation counts it as a result that has to wait for all
    that began earlier, and would let every such load stall behind the multiply-accumulates before it.
    """
    found = WRITTEN_BACK.match(text)
    return (found[1] or found[2]) if found else text


def _disassemble(llvm: Llvm, words: Iterable[int]) -> dict[int, str]:
    """Assembler text of each instruction that LLVM knows."""
    encoded = [",".join(f"{byte:#04x}" for byte in word.to_bytes(WORD_BYTES, "little")) for word in sorted(words)]
    command = [llvm.mc, "--disassemble", TRIPLE, FEATURES, "--show-encoding"]
    found = {}
    for line in _output(command, "\n".join(encoded)).splitlines():
        text, separator, encoding = line.partition("// encoding: [")
        if separator:
            bytes_ = bytes(int(byte, 16) for byte in encoding.rstrip("]").split(","))
            found[int.from_bytes(bytes_, "little")] = JUMPS.sub(r"\1.", text.strip())
    return found


def _simulate(llvm: Llvm, mcpu: str, lines: Sequence[str], rounds: int) -> dict[int, Any]:
    """llvm-mca's summary of each region by its number; one that holds nothing it can simulate is left out."""
    command = [llvm.mca, f"-m{TRIPLE[1:]}", f"-mcpu={mcpu}", FEATURES, f"-iterations={rounds}", "--json"]
    command += ["-skip-unsupported-instructions=lack-sched", "-"]
    try:
        regions = json.loads(_output(command, "\n".join(lines) + "\n"))["CodeRegions"]
        return {int(region["Name"]): region["SummaryView"] for region in regions if region["SummaryView"]["TotaluOps"]}
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(f"llvm-mca {llvm.version} printed something else: {error}") from error


def _output(command: Sequence[str], text: str = "") -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _failed(f"{command[0]} took more than {TIMEOUT_S} s") from error
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "no reason")
        raise _failed(f"{command[0]}: {reason}")
    return done.stdout


def _failed(what: str) -> EdgekitError:
    return EdgekitError(
        "EK611", what=f"cycles cannot be estimated: {what}", where="llvm-mca", fix=f"apt-get install {PACKAGE}"
    )


@contextmanager
def _kept() -> Iterator[sqlite3.Connection]:
    """The prices that are known already."""
    file = cache_dir().absolute() / "prices.sqlite"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=60)) as kept:
            kept.execute(
                "CREATE TABLE IF NOT EXISTS prices (key TEXT, block BLOB, cycles REAL, PRIMARY KEY (key, block))"
            )
            yield kept
    except (OSError, sqlite3.Error) as error:
        raise EdgekitError(
            "EK702",
            what=f"prices cannot be kept: {error}",
            where=str(file),
            fix="remove that file, or set EDGEKIT_CACHE",
        ) from error


def _look_up(kept: sqlite3.Connection, key: str, words: Words) -> float | None:
    row = kept.execute("SELECT cycles FROM prices WHERE key = ? AND block = ?", (key, _encoded(words))).fetchone()
    return None if row is None else float(row[0])


def _rows(key: str, priced: Mapping[Words, float]) -> list[tuple[str, bytes, float]]:
    return [(key, _encoded(words), cycles) for words, cycles in priced.items()]


def _encoded(words: Words) -> bytes:
    return b"".join(word.to_bytes(WORD_BYTES, "little") for word in words)
