"""The distance of the server and of the simulator to the clairvoyant optimum: `make bound`.

For each load it draws a trace, plays it against a server with one worker and in the simulator, and prints both effective
accuracies next to an upper bound for any policy: with all arrivals known in advance, a linear program chooses the start and
the service time of every request (first come, first served; one worker; accuracy a concave function of the service time).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from server import Server, on

# Mean load as a share of the capacity at full width, CV^2 of the gaps, budget in times of one image at full width.
LOADS = [(0.9, 8, 20), (1.5, 1, 20), (1.5, 8, 20), (2.5, 8, 20), (4.0, 8, 20), (1.5, 8, 5)]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--target", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release")
    options.add_argument("--seconds", type=float, default=6.0, help="length of each trace")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--server", nargs=argparse.REMAINDER, default=[], help="further flags of `anywidth serve`")
    args = options.parse_args()
    print("| load | CV^2 | budget | requests | server | simulator | bound | gap of the server, points |\n" + "|---" * 8 + "|")
    for load, cv2, budget in LOADS:
        row(args, load, cv2, budget)


def row(args, load, cv2, budget):
    with tempfile.TemporaryDirectory() as folder, Server(args.target, args.server) as server:
        folder = Path(folder)
        profile = folder / "profile.json"
        server.warm_up(args.target)
        profile.write_bytes(server.get("/profile"))
        model = json.loads(profile.read_text())["models"][0]
        steps = model["steps"]
        decode = model["decode_us"] or 0.0
        single = (steps[-1]["latency_us"][0][1] + decode) / 1e6
        arrivals = trace(load * model["capacity_at_full_width"], cv2, args.seconds, args.seed)
        times = folder / "arrivals.txt"
        times.write_text("".join(f"{at:.9f}\n" for at in arrivals))
        budget_ms = budget * single * 1e3
        common = ["--replay", str(times), "--budget-ms", f"{budget_ms:.3f}"]
        load_program = args.target / "anywidth-load"
        results = folder / "results.json"
        subprocess.run(on(-1) + [load_program, "run", server.url, *common, "--json", results],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        served = json.loads(results.read_text())["totals"]["effective_accuracy"]
        simulate = [load_program, "simulate", "--profile", profile, *common, "--json"]
        simulated = json.loads(subprocess.run(simulate, check=True, capture_output=True).stdout)
        points = [((step["latency_us"][-1][1] / step["latency_us"][-1][0] + decode) / 1e6, step["accuracy"])
                  for step in steps]
        bound = clairvoyant(arrivals, budget_ms / 1e3, points)
        print(f"| {load} | {cv2} | {budget} | {len(arrivals)} | {served:.2%} | {simulated['effective_accuracy']:.2%} "
              f"| {bound:.2%} | {(bound - served) * 100:.1f} |", flush=True)


def trace(rate, cv2, seconds, seed):
    """Arrival times with gamma-distributed gaps."""
    random = np.random.default_rng(seed)
    gaps = random.gamma(1 / cv2, cv2 / rate, size=int(2 * rate * seconds) + 1000)
    times = np.cumsum(gaps)
    return times[times < seconds]


def clairvoyant(arrivals, budget, points):
    """The largest possible mean accuracy; `points` are pairs of service time and accuracy, beside (0, 0) for a drop."""
    count = len(arrivals)
    hull = concave([(0.0, 0.0), *sorted(points)])
    longest = hull[-1][0]
    # Variables: start and service time of each request, then its accuracy. Milliseconds keep them near 1.
    start, service, accuracy = (np.arange(count) + part * count for part in range(3))
    rows = Rows()
    arrivals_ms, budget_ms = arrivals * 1e3, budget * 1e3
    # A request starts after the one before has ended, and ends by its deadline.
    rows.add([(start[:-1], 1.0), (service[:-1], 1.0), (start[1:], -1.0)], np.zeros(count - 1))
    rows.add([(start, 1.0), (service, 1.0)], arrivals_ms + budget_ms)
    for (t0, a0), (t1, a1) in zip(hull, hull[1:]):
        slope = (a1 - a0) / ((t1 - t0) * 1e3)
        rows.add([(accuracy, 1.0), (service, -slope)], np.full(count, a0 - slope * t0 * 1e3))
    matrix, limits = rows.build(3 * count)
    lower = np.concatenate([arrivals_ms, np.zeros(2 * count)])
    upper = np.concatenate([np.full(count, np.inf), np.full(count, longest * 1e3), np.ones(count)])
    cost = np.concatenate([np.zeros(2 * count), np.full(count, -1.0 / count)])
    solution = linprog(cost, A_ub=matrix, b_ub=limits, bounds=np.stack([lower, upper], 1), method="highs")
    if not solution.success:
        sys.exit(f"the linear program has no solution: {solution.message}")
    return -solution.fun


class Rows:
    """Inequalities `sum of factor * variable <= limit`, many at once."""

    def __init__(self):
        self.entries, self.limits, self.count = [], [], 0

    def add(self, terms, limits):
        index = np.arange(len(limits)) + self.count
        self.entries += [(index, variables, np.full(len(limits), factor)) for variables, factor in terms]
        self.limits.append(limits)
        self.count += len(limits)

    def build(self, variables):
        rows, columns, factors = (np.concatenate(parts) for parts in zip(*self.entries))
        return coo_array((factors, (rows, columns)), shape=(self.count, variables)).tocsr(), np.concatenate(self.limits)


def concave(points):
    """The upper concave hull of points in ascending order (Andrew's monotone chain)."""
    hull = []
    for point in points:
        while len(hull) >= 2 and cross(hull[-2], hull[-1], point) >= 0:
            hull.pop()
        if not hull or point[0] > hull[-1][0]:
            hull.append(point)
    return hull


def cross(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


if __name__ == "__main__":
    main()
