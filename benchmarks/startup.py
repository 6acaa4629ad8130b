"""How long imports of the command line take, and of libraries for bars and tables: a new process for each.

python benchmarks/startup.py --repeat 7
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

IMPORTS = ("click", "click, tqdm", "click, rich.progress, rich.table", "spikeprep_cli.main")


def seconds(modules: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    rounds = [
        [seconds(modules) for modules in IMPORTS] for _ in range(repeat)
    ]  # interleaved: load hits all alike
    for modules, times in zip(IMPORTS, zip(*rounds, strict=True), strict=True):
        print(f"{modules}: median {1e3 * statistics.median(times):.0f} ms, least {1e3 * min(times):.0f} ms")


if __name__ == "__main__":
    main()
