"""Events: Chronolith beside DuckDB and ClickHouse (and VictoriaLogs where a binary is named), in one run.

    python run.py [--count 10000000] [--runs 5] [--systems chronolith,duckdb,clickhouse] [--commits REPOSITORY] [--out FILE]
"""

import argparse
import math
import os
import pathlib
import platform
import random
import shutil
import statistics
import sys
import time

import commits
import generate
import queries
import systems

LOAD_GOAL, QUERY_GOAL, WORST_GOAL, NEEDLE_GOAL = 0.5, 1.5, 5.0, 0.1


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000_000, help="events to generate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5, help="times each query is asked; the systems take turns")
    parser.add_argument("--systems", default="chronolith,duckdb,clickhouse")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--commits", help="a git repository whose commits are loaded too")
    parser.add_argument("--dir", default="target/events", help="where data goes; a real disk")
    parser.add_argument("--only", help="only queries whose name has this")
    parser.add_argument("--reuse", action="store_true", help="ask the databases of the last run")
    parser.add_argument("--out", help="the report's file, besides stdout")
    return parser.parse_args()


def progress_of(what, total):
    last = [0.0]

    def tell(done, _total=None):
        now = time.monotonic()
        if sys.stderr.isatty() and now - last[0] > 0.5:
            last[0] = now
            print(f"\r{what}: {100 * done // total} %   ", end="", file=sys.stderr)
    return tell


def start(name, directory, threads):
    if name in ("duckdb", "clickhouse"):
        return systems.Embedded(name, directory, threads)
    if name == "chronolith":
        root = pathlib.Path(__file__).resolve().parents[3]
        return systems.Chronolith(directory, os.environ.get("CHRONOLITH", str(root / "target/release/chronolith")), threads)
    if name == "victorialogs":
        return systems.VictoriaLogs(directory, os.environ["VICTORIALOGS"], threads)
    raise SystemExit(f"{name} is not known; systems are chronolith, duckdb, clickhouse, victorialogs")


def same(a, b):
    """Whether two answers are equal: numbers within 1e-9 relative, moments by their text up to zone and zeros."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-9)
    except (TypeError, ValueError):
        return moment(a) == moment(b)


def moment(value):
    text = str(value).replace("T", " ").removesuffix("Z").removesuffix("+00:00").removesuffix("+00")
    return text.rstrip("0").rstrip(".") if "." in text else text


def ask(table, running, runs, report):
    """Asks each query of every system in turns; gives the median wall and CPU time by query and system."""
    medians = {}
    for name, template, exact in table:
        taken = {system: [] for system in running}
        answers = {}
        for turn in range(runs + 1):
            for system, db in running.items():
                if system not in queries.WORDS:
                    continue
                try:
                    wall, cpu, rows = db.query(queries.text(system, template))
                except systems.Failed as error:
                    report(f"- {name}: {error}")
                    continue
                answers[system] = rows
                if turn > 0:
                    taken[system].append((wall, cpu))
        medians[name] = {system: tuple(statistics.median(one) for one in zip(*times)) for system, times in taken.items() if times}
        if exact and "chronolith" in answers and "duckdb" in answers and not same(answers["chronolith"], answers["duckdb"]):
            report(f"- **{name}: the answers differ**: {str(answers['chronolith'])[:300]} and {str(answers['duckdb'])[:300]}")
        print(name, {s: f"{1000 * t[0]:.1f} ms" for s, t in medians[name].items()}, file=sys.stderr)
    return medians


def times_table(medians, running, report):
    names = [name for name in running if name in queries.WORDS]
    report("| query | " + " | ".join(f"{n}, ms (CPU ms)" for n in names) + " | wall to DuckDB |")
    report("|---|" + "---:|" * (len(names) + 1))
    ratios = {}
    for query, by in medians.items():
        cells = [f"{1000 * by[n][0]:.1f} ({1000 * by[n][1]:.0f})" if n in by else "-" for n in names]
        if "chronolith" in by and "duckdb" in by:
            ratios[query] = by["chronolith"][0] / by["duckdb"][0]
        report(f"| {query} | " + " | ".join(cells) + (f" | {ratios[query]:.2f} |" if query in ratios else " | - |"))
    return ratios


def geometric(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def needles(path, count, seed):
    """An event's id, a trace's id and a word that few texts have, from the data."""
    rng = random.Random(seed)
    wanted = {"event_id": None, "trace_id": None, "word": None}
    size = os.path.getsize(path)
    with open(path, "rb") as lines:
        while None in wanted.values():
            lines.seek(rng.randrange(size))
            lines.readline()
            line = lines.readline().decode()
            wanted["event_id"] = wanted["event_id"] or field(line, "event_id")
            if '"type":"log"' in line:
                wanted["trace_id"] = wanted["trace_id"] or field(line, "trace_id")
                message = field(line, "message")
                if message.startswith("token of user"):
                    wanted["word"] = message.split()[3]
    return wanted


def field(line, name):
    return line.split(f'"{name}":"', 1)[1].split('"', 1)[0] if f'"{name}":"' in line else None


def load(files, running, report):
    loads = {}
    report("| data | system | events per CPU s | the same until idle | CPU s (until idle) | wall s | MiB on disk | after compaction | B/event |")
    report("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for table, (path, count) in files.items():
        for name, db in running.items():
            before = db.size()
            result = db.load(path, table, progress_of(f"{name}: {table}", count))
            loaded = db.size() - before
            db.compact()
            compact = db.size() - before
            loads[table, name] = count / result["cpu"], compact, count / result["cpu idle"]
            report(f"| {table} | {name} | {count / result['cpu']:,.0f} | {count / result['cpu idle']:,.0f} | {result['cpu']:.1f} ({result['cpu idle']:.1f}) | "
                   f"{result['wall']:.1f} | {loaded / 2**20:,.1f} | {compact / 2**20:,.1f} | {compact / count:.1f} |")
    return loads


def main():
    args = options()
    base = pathlib.Path(args.dir).resolve()
    base.mkdir(parents=True, exist_ok=True)
    out = open(args.out, "w") if args.out else None

    def report(line=""):
        for file in (sys.stdout, out):
            if file:
                print(line, file=file, flush=True)

    path = base / f"events-{args.seed}-{args.count}.ndjson"
    if not path.exists():
        generate.write(path, args.count, args.seed, progress=progress_of("generating", args.count))
    files = {"events": (path, args.count)}
    if args.commits:
        history = base / "commits.ndjson"
        files["commits"] = (history, commits.write(history, args.commits))
    report(f"# Events, {time.strftime('%Y-%m-%d')}, {args.count:,} events ({path.stat().st_size / 2**20:,.0f} MiB of JSON)")
    report(f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, Linux {platform.release()}; Python {platform.python_version()}, "
           + ", ".join(versions(args.systems.split(","))))
    report()
    running = {}
    for name in args.systems.split(","):
        directory = base / name
        if not args.reuse:
            shutil.rmtree(directory, ignore_errors=True)
        running[name] = start(name, directory, args.threads)
    missed = measure(args, files, running, report)
    for db in running.values():
        db.stop()
    return 2 if missed else 0


def versions(names):
    from importlib.metadata import version
    return [f"{name} {version({'clickhouse': 'chdb'}.get(name, name))}" for name in names if name in ("duckdb", "clickhouse")]


def measure(args, files, running, report):
    missed = []

    def goal(what, value, most, ok):
        report(f"- {what}: {value:.2f}, goal {most}: {'reached' if ok else '**missed**'}")
        if not ok:
            missed.append(what)

    if "chronolith" in running:
        report(f"Empty server: ready in {1000 * running['chronolith'].ready_seconds:.0f} ms, "
               f"{running['chronolith'].memory() / 2**20:.0f} MiB resident\n")
    loads = {} if args.reuse else load(files, running, report)
    report()
    chosen = [q for q in queries.QUERIES if not args.only or args.only in q[0]]
    ratios = times_table(ask(chosen, running, args.runs, report), running, report)
    report()
    words = needles(files["events"][0], args.count, args.seed)
    wanted = [(n, fill(t, words), e) for n, t, e in queries.NEEDLES if not args.only or args.only in n]
    needle_ratios = times_table(ask(wanted, running, args.runs, report), running, report)
    report()
    for table in files:
        if (table, "chronolith") in loads and (table, "duckdb") in loads:
            ratio = loads[table, "chronolith"][0] / loads[table, "duckdb"][0]
            goal(f"{table}: events per CPU second to DuckDB's, until the last acknowledgement", ratio, f"at least {LOAD_GOAL}", ratio >= LOAD_GOAL)
            ratio = loads[table, "chronolith"][2] / loads[table, "duckdb"][2]
            report(f"- {table}: the same until merged and idle: {ratio:.2f}")
        if (table, "chronolith") in loads and (table, "clickhouse") in loads:
            ratio = loads[table, "chronolith"][1] / loads[table, "clickhouse"][1]
            goal(f"{table}: bytes on disk to ClickHouse's", ratio, "at most 1", ratio <= 1)
    if ratios:
        mean = geometric(ratios.values())
        goal("queries: geometric mean of wall time to DuckDB's", mean, f"at most {QUERY_GOAL}", mean <= QUERY_GOAL)
        worst = max(ratios, key=ratios.get)
        goal(f"queries: the worst ({worst})", ratios[worst], f"at most {WORST_GOAL}", ratios[worst] <= WORST_GOAL)
    for name, ratio in needle_ratios.items():
        goal(f"needle: {name}", ratio, f"under {NEEDLE_GOAL}", ratio < NEEDLE_GOAL)
    for name, db in running.items():
        report(f"- {name}: {db.memory() / 2**20:,.0f} MiB resident at the end")
    return missed


def fill(template, words):
    for name, word in words.items():
        template = template.replace(f"%{name}%", word)
    return template


if __name__ == "__main__":
    sys.exit(main())
