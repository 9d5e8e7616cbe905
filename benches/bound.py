"""The distance of the server and of the simulator to the clairvoyant optimum: `make bound`.

For each load it draws a trace, plays it against a server with one worker and in the simulator, and prints both effective
accuracies next to an upper bound for any policy: with all arrivals known in advance, a linear program chooses the start and
the service time of every request (first come, first served; one worker; accuracy a concave function of the service time).

With `--labelled FOLDER` (labelled images: a folder per class of the default model) effective accuracies count right answers, and
there is a second bound, for policies that look at answers: it also knows the cheapest width at which each image is right.
Without, each answer has the accuracy of its width, which understates policies that choose the images to widen.
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
    options.add_argument("--labelled", type=Path, help="folder of labelled images")
    options.add_argument("--server", nargs=argparse.REMAINDER, default=[], help="further flags of `anywidth serve`")
    args = options.parse_args()
    bounds = ["bound", "bound by image"] if args.labelled else ["bound"]
    columns = ["load", "CV^2", "budget", "requests", "on time", "server", "simulator", *bounds]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    with tempfile.TemporaryDirectory() as folder:
        recording = record(args, Path(folder)) if args.labelled else None
        for load, cv2, budget in LOADS:
            row(args, load, cv2, budget, recording)


def record(args, folder):
    """What the default model answers to the labelled images: a file for the simulator."""
    path = folder / "recording.json"
    subprocess.run([args.target / "anywidth", "evaluate", "--data", args.labelled, "--record", path],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def row(args, load, cv2, budget, recording):
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
        labelled = ["--labelled", args.labelled] if args.labelled else []
        subprocess.run(on(-1) + [load_program, "run", server.url, *common, *labelled, "--json", results],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        totals = json.loads(results.read_text())["totals"]
        served = totals["labelled_effective_accuracy" if args.labelled else "effective_accuracy"]
        played = ["--recording", recording] if recording else []
        simulate = [load_program, "simulate", "--profile", profile, *common, *played, "--json"]
        simulated = json.loads(subprocess.run(simulate, check=True, capture_output=True).stdout)
        seconds = {step["width"]: (step["latency_us"][-1][1] / step["latency_us"][-1][0] + decode) / 1e6
                   for step in steps}
        if recording:
            answers = json.loads(recording.read_text())
            bounds = bounds_by_image(arrivals, budget_ms / 1e3, answers, seconds, args.seed)
        else:
            points = [(seconds[step["width"]], step["accuracy"]) for step in steps]
            bounds = [clairvoyant(arrivals, budget_ms / 1e3, [points] * len(arrivals))]
        bounds = " | ".join(f"{bound:.2%}" for bound in bounds)
        print(f"| {load} | {cv2} | {budget} | {len(arrivals)} | {totals['attainment']:.2%} | {served:.2%} "
              f"| {simulated['effective_accuracy']:.2%} | {bounds} |", flush=True)


def bounds_by_image(arrivals, budget, answers, seconds, seed):
    """The bounds without and with knowledge of each image, for random images of a recording."""
    known = [(at, seconds[width]) for at, width in enumerate(answers["widths"]) if width in seconds]
    right = np.array([[image[at][1] for at, _ in known] for image in answers["images"]], bool)
    times = np.array([time for _, time in known])
    points = list(zip(times, right.mean(0)))
    cheapest = [[(times[image.argmax()], 1.0)] if image.any() else [] for image in right]
    chosen = np.random.default_rng(seed).integers(len(cheapest), size=len(arrivals))
    return [clairvoyant(arrivals, budget, [points] * len(arrivals)),
            clairvoyant(arrivals, budget, [cheapest[image] for image in chosen])]


def trace(rate, cv2, seconds, seed):
    """Arrival times with gamma-distributed gaps."""
    random = np.random.default_rng(seed)
    gaps = random.gamma(1 / cv2, cv2 / rate, size=int(2 * rate * seconds) + 1000)
    times = np.cumsum(gaps)
    return times[times < seconds]


def clairvoyant(arrivals, budget, points):
    """The largest possible mean accuracy; `points` are, for each request, pairs of service time and accuracy, beside (0, 0) for a
    drop."""
    count = len(arrivals)
    hulls = [concave([(0.0, 0.0), *sorted(of_one)]) for of_one in points]
    longest = np.array([hull[-1][0] for hull in hulls])
    # Variables: start and service time of each request, then its accuracy. Milliseconds keep them near 1.
    start, service, accuracy = (np.arange(count) + part * count for part in range(3))
    rows = Rows()
    arrivals_ms, budget_ms = arrivals * 1e3, budget * 1e3
    # A request starts after the one before has ended, and ends by its deadline.
    rows.add([(start[:-1], 1.0), (service[:-1], 1.0), (start[1:], -1.0)], np.zeros(count - 1))
    rows.add([(start, 1.0), (service, 1.0)], arrivals_ms + budget_ms)
    segments = [(request, t0 * 1e3, a0, (a1 - a0) / ((t1 - t0) * 1e3))
                for request, hull in enumerate(hulls) for (t0, a0), (t1, a1) in zip(hull, hull[1:])]
    request, t0, a0, slope = (np.array(column) for column in zip(*segments))
    rows.add([(accuracy[request], 1.0), (service[request], -slope)], a0 - slope * t0)
    matrix, limits = rows.build(3 * count)
    lower = np.concatenate([arrivals_ms, np.zeros(2 * count)])
    # An image that no width names right is dropped.
    most = (longest > 0).astype(float)
    upper = np.concatenate([np.full(count, np.inf), longest * 1e3, most])
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
        self.entries += [(index, variables, np.broadcast_to(factor, len(limits))) for variables, factor in terms]
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
