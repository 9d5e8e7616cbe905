"""Draws a dashboard from a real Prometheus's data of a server under load: dashboard.py FILE.png"""

import json
import sys
import tempfile
import time
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from support import DASHBOARDS, Load, Prometheus, Server, wait_for

BURST = ["--of-capacity", "--steps", "0.3:15s,3:20s,0.3:15s", "--arrivals", "gamma", "--cv2", "4", "--budget-ms", "20x"]
PINNED = ["--of-capacity", "--steps", "2:5s,0.3:10s", "--width", "1", "--budget-ms", "20x"]

UNITS = {
    "percentunit": lambda value, _=None: f"{100 * value:.4g} %",
    "s": lambda value, _=None: f"{1000 * value:,.3g} ms" if value < 1 else f"{value:.3g} s",
    "reqps": lambda value, _=None: f"{value:,.4g}/s",
    "cps": lambda value, _=None: f"{value:,.4g}/s",
    "short": lambda value, _=None: f"{value:,.3g}",
}
COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"]
# Number of grid columns, height of a row in inches, width of the figure in inches.
COLUMNS, ROW, WIDTH = 24, 0.3, 13
# Inches for a legend entry, and for each of its letters.
NAME, LETTER = 0.3, 0.045


def run():
    """Runs the load, and returns the dashboard's series."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with Server(folder) as server:
            server.await_ready()
            with Prometheus(folder, [server]) as prometheus:
                prometheus.await_scrapes(1)
                began = time.time()
                for plan in (BURST, PINNED):
                    with Load(server.url, folder, *plan) as load:
                        load.results()
                ended = time.time()
                wait_for("the end was seen", lambda: prometheus.query(f"timestamp(up) > {ended}"))
                dashboard = json.loads(next(path for path in DASHBOARDS if path.stem == "overview").read_text())
                for panel in dashboard["panels"]:
                    panel["series"] = [series for target in panel["targets"] for series in seen(prometheus, target, began, ended)]
                return dashboard


def seen(prometheus, target, began, ended):
    """Returns the names and points of a query's series, in seconds from the start."""
    query = target["expr"].replace("$__rate_interval", "4s").replace("$job", ".+").replace("$instance", ".+")
    matrix = prometheus.ask("query_range", query=query, start=began, end=ended, step="1")["result"]
    for series in matrix:
        name = target["legendFormat"]
        for label, value in series["metric"].items():
            name = name.replace(f"{{{{{label}}}}}", value)
        points = [(at - began, float(value)) for at, value in series["values"] if value != "NaN"]
        if points:
            yield name, points


def draw(dashboard, path):
    matplotlib.rcParams.update({"font.family": "sans-serif", "font.size": 7})
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    figure = pyplot.figure(figsize=(WIDTH, rows * ROW), facecolor="#f4f5f5")
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, bottom = place["x"] / COLUMNS, 1 - (place["y"] + place["h"]) / rows
        width, height = place["w"] / COLUMNS, place["h"] / rows
        frame = figure.add_axes((left + 0.003, bottom + 0.003, width - 0.006, height - 0.006), facecolor="white")
        frame.set(xticks=[], yticks=[])
        frame.spines[:].set_color("#d8d9da")
        frame.text(0.02, 1 - 0.5 / place["h"], panel["title"], transform=frame.transAxes, weight="bold", va="center")
        KINDS[panel["type"]](figure, frame, panel, (left, bottom, width, height), 1 / rows)
    figure.savefig(path, dpi=100)
    # 64 colours suffice, at a third of the size.
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def stat(_figure, frame, panel, _place, _row):
    _, points = panel["series"][0]
    text = UNITS[panel["fieldConfig"]["defaults"]["unit"]](points[-1][1])
    frame.text(0.5, 0.4, text, transform=frame.transAxes, ha="center", va="center", size=15)


def plot(figure, place, row):
    left, bottom, width, height = place
    axes = figure.add_axes((left + 0.05, bottom + 1.9 * row, width - 0.06, height - 3.2 * row))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eeeeee", linewidth=0.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    return axes


def timeseries(figure, _frame, panel, place, row):
    axes = plot(figure, place, row)
    defaults = panel["fieldConfig"]["defaults"]
    if "stacking" in defaults["custom"]:
        times = sorted({at for _, points in panel["series"] for at, _ in points})
        heights = [[dict(points).get(at, 0) for at in times] for _, points in panel["series"]]
        axes.stackplot(times, heights, labels=[name for name, _ in panel["series"]], colors=COLORS, alpha=0.6)
    else:
        for index, (name, points) in enumerate(panel["series"]):
            axes.plot(*zip(*points, strict=True), label=name, color=COLORS[index % len(COLORS)], linewidth=1)
    if "thresholdsStyle" in defaults["custom"]:
        axes.axhline(defaults["thresholds"]["steps"][1]["value"], color="red", linewidth=0.7)
    axes.set_ylim(bottom=defaults.get("min"), top=1.02 * defaults["max"] if "max" in defaults else None)
    axes.yaxis.set_major_formatter(FuncFormatter(UNITS[defaults["unit"]]))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    longest = max((len(name) for name, _ in panel["series"]), default=0)
    columns = max(1, int(WIDTH * place[2] / (NAME + LETTER * longest)))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=columns, frameon=False, fontsize=6, handlelength=1)


def heatmap(figure, _frame, panel, place, row):
    axes = plot(figure, place, row)
    series = sorted(panel["series"], key=lambda each: float(each[0]))
    times = sorted({at for _, points in series for at, _ in points})
    heights = [[dict(points).get(at, 0) for at in times] for _, points in series]
    axes.pcolormesh(times, range(len(series)), heights, cmap="Blues", shading="nearest")
    axes.set_yticks(range(len(series)), [name for name, _ in series])
    axes.grid(visible=False)


KINDS = {"stat": stat, "timeseries": timeseries, "heatmap": heatmap}

if __name__ == "__main__":
    draw(run(), sys.argv[1])
