"""What `edgekit bench` adds to an inference, against the interpreter called in a bare loop: ratios from one process.

    python benchmarks/bench_overhead.py build/mobilenet_v3_small/tflite-fp32 [--pairs 400]

`loop` is what the runner's timed loop costs when the inference is nothing, as a share of this model's inference. For
`pairs` that loop and a bare loop of the same interpreter take turns, a few inferences each, and the ratio of their wall
times is the median over all pairs; on a busy machine its interval says how much it is worth. At most 1 % is allowed for
a model of a millisecond.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.subject import subject_of
from edgekit.bundle.files import read_bundle
from edgekit.devices import runner

RUNS, NOTHING_RUNS = 20, 100_000
ALLOWED = 0.01


def loop_ms(options: argparse.Namespace) -> float:
    """CPU milliseconds per inference of the runner's loop and a call of nothing."""
    chosen = argparse.Namespace(**{**vars(options), "runs": NOTHING_RUNS})
    start = time.process_time()
    runner.time_runs(lambda: None, chosen)
    return (time.process_time() - start) / NOTHING_RUNS * 1e3


def bare_ms(invoke: Any) -> float:
    start = time.perf_counter()
    for _ in range(RUNS):
        invoke()
    return (time.perf_counter() - start) / RUNS * 1e3


def timed_ms(invoke: Any, options: argparse.Namespace) -> float:
    start = time.perf_counter()
    runner.time_runs(invoke, options)
    return (time.perf_counter() - start) / RUNS * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--pairs", type=int, default=400)
    arguments = parser.parse_args()
    subject = subject_of(read_bundle(arguments.bundle))
    words = {
        "runtime": str(subject.runtime.session),
        "model": str(subject.file),
        "sha256": subject.sha256,
        "runs": str(RUNS),
    }
    given = [word for key, value in words.items() for word in (f"--{key}", value)]
    options = runner.parse([*given, "--inputs", "", "--outputs", ""])
    loaded = runner.open_session(options)
    loaded.write_input(subject.inputs)
    invoke = loaded.prepare()
    bare, ratios = [], []
    for index in range(arguments.pairs):
        first = bare_ms(invoke) if index % 2 else None  # neither is always the first
        timed = timed_ms(invoke, options)
        bare.append(bare_ms(invoke) if first is None else first)
        ratios.append(timed / bare[-1] - 1)
    random = np.random.default_rng(0)
    low, high = np.quantile(np.median(random.choice(ratios, (2000, len(ratios))), axis=1), [0.025, 0.975])
    model_ms, own_ms = statistics.median(bare), loop_ms(options)
    print(f"{subject.name}: {model_ms:.3f} ms; loop {own_ms / model_ms:.3%} ({own_ms * 1e3:.2f} us)")
    print(f"pairs {statistics.median(ratios):+.2%} ({low:+.2%} to {high:+.2%}); {ALLOWED:.0%} allowed")


if __name__ == "__main__":
    main()
