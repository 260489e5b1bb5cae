"""Results as Markdown."""

from lib import measure, sets


def contenders(result):
    names = [n for n in sets.NAMES if any(n in r for r in result["rounds"])]
    yield "| contender | wall s: median (min..max) | CPU s client / source / target | largest process MB |"
    yield "|---|--:|--:|--:|"
    for name in names:
        samples = [r[name] for r in result["rounds"] if name in r]
        cpu = " / ".join(f"{measure.median([s[k] for s in samples]):.2f}"
                         for k in ("client", "source", "target"))
        wall = measure.spread([s["wall"] for s in samples])
        yield f"| {sets.NAMES[name]} | {wall} | {cpu} | {max(s['rss_mb'] for s in samples):.0f} |"


def promises(result):
    yield "| promise | measured: median (min..max) | limit | |"
    yield "|---|--:|--:|---|"
    for bound in sets.bounds(result["set"], result["rounds"]):
        limit = "" if bound.limit is None else f"{'<=' if bound.at_most else '>='} {bound.limit}"
        yield f"| {bound.text} | {measure.spread(bound.values)} | {limit} | {sets.verdict(bound)} |"


def markdown(result):
    title = sets.SETS[result["set"]].title
    what = "a smoke run" if result["quick"] else f"{len(result['rounds'])} interleaved rounds"
    lines = [f"**{title[0].upper()}{title[1:]}** ({what}, {result['cores']} cores, commit"
             f" {result['commit']}, {result['when']})", ""]
    lines += contenders(result)
    lines.append("")
    lines += promises(result)
    return "\n".join(lines) + "\n"
