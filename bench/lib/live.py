"""What bench/live has measured, in words."""

import os
import subprocess
import time

from lib import measure

ROWS = (("seconds", "seconds of a verification", 1), ("fences", "fences", 0), ("again", "fences tried again", 0),
        ("held_ms", "longest hold-up of apply, ms", 1), ("without", "applied a second without", 0),
        ("during", "applied a second during", 0), ("ratio", "during / without", 2))


def describe(scale):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    commit = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], text=True,
                            stdout=subprocess.PIPE, check=False).stdout.strip()
    return {"set": "live", "when": time.strftime("%Y-%m-%d %H:%M"), "commit": commit, "cores": os.cpu_count(),
            "scale": scale, "rates": {}}


def title(rate):
    return f"{rate} transactions/s" if rate != "0" else "as many transactions as go"


def bounds(result):
    """What was promised: text, values, limit, whether it is the most."""
    for rate, rounds in result["rates"].items():
        yield (f"apply held up at a time ({title(rate)}): ms", [r["held_ms"] for r in rounds],
               200, True)
        yield (f"applied a second during a verification, against without, {title(rate)}",
               [r["ratio"] for r in rounds], 0.7, False)


def verdict(values, limit, is_most):
    """A hold-up counts by the longest of all rounds, a rate by its median."""
    met = max(values) <= limit if is_most else measure.median(values) >= limit
    return "met" if met else "NOT MET"


def markdown(result):
    lines = [f"**A verification of a job that follows**: scale {result['scale']} ({result['cores']} cores, commit"
             f" {result['commit']}, {result['when']}); none called a row different that was not", "",
             "| | " + " | ".join(title(rate) for rate in result["rates"]) + " |",
             "|---|" + "--:|" * len(result["rates"])]
    for key, words, digits in ROWS:
        cells = [measure.spread([r[key] for r in rounds], digits) for rounds in result["rates"].values()]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    lines += ["", "| promise | measured: median (min..max) | limit | |", "|---|--:|--:|---|"]
    for text, values, limit, is_most in bounds(result):
        lines.append(f"| {text} | {measure.spread(values)} | {'<=' if is_most else '>='} {limit} |"
                     f" {verdict(values, limit, is_most)} |")
    return "\n".join(lines) + "\n"
