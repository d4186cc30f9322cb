"""Runs the property tests again and again, each round with another seed.

    python tests/fuzz.py 60           minutes; prints the seed of each round, and what failed

What failed is run again with `pytest -m hypothesis --hypothesis-seed=SEED`; put the input that
hypothesis prints into the tests as a case. docs/audits.md has the last result.
"""

import random
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def one_round(seed: int) -> tuple[int, str]:
    """Run every property test once; how many ran, and what pytest said where one failed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--unit", "-m", "hypothesis", f"--hypothesis-seed={seed}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    ran = re.search(r"^unit\s+(\d+)", done.stdout, re.MULTILINE)
    return int(ran[1]) if ran else 0, done.stdout + done.stderr if done.returncode else ""


def main() -> int:
    """Run rounds for as many minutes as the command line says; 1 where something failed."""
    until = time.monotonic() + 60 * float(sys.argv[1])
    rounds = tests = failed = 0
    while rounds == 0 or time.monotonic() < until:
        seed = random.randrange(10**9)
        ran, said = one_round(seed)
        rounds, tests, failed = rounds + 1, tests + ran, failed + bool(said)
        print(f"seed {seed}: {ran} tests, {'FAILED' if said else 'passed'}", flush=True)
        if said or not ran:
            print(said or "no test ran", flush=True)
            failed += not said
    print(f"{rounds} rounds, {tests} tests, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
