"""anywidth under bursts, next to what one would run without it: `make bench-load`.

Sends the same bursts from the same generator to the server, to three dense networks behind ONNX Runtime with a switch by
arrival rate (benches/dense_server), and to Triton with the network of full width (benches/triton_server.py). The dense
networks are cut out of the any-width network, so all of them have its accuracy at their width. One core for the server,
another for the generator.

With `--labelled FOLDER` (labelled images: a folder per class of the model) the requests are those images, and what counts for
anywidth are right answers. Without, all requests are one image and each answer has the accuracy of its width, which says little
of a server that chooses the images to widen.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from peer import slice_model
from server import Process, Server, on

WIDTHS = [0.25, 0.5, 1.0]
# Shares of a network's capacity up to which the switch uses it.
UTILIZATIONS = [0.5, 0.7, 0.9]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--target", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release")
    options.add_argument("--dense-server", type=Path, default=Path("benches/dense_server/target/release/dense-server"))
    options.add_argument("--model", type=Path, default=Path("models/cifar10/1/model.onnx"))
    options.add_argument("--labelled", type=Path, help="folder of labelled images")
    options.add_argument("--image", type=Path, default=Path("samples/frog.png"))
    options.add_argument("--peaks", type=int, default=3, help="number of bursts")
    options.add_argument("--peak", type=float, default=4.0, help="rate of a burst, in full-width capacities")
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--triton", type=Path, help="a Python that has nvidia-pytriton and onnxruntime")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(args, Path(folder))


def compare(args, folder):
    model = onnx.load(args.model)
    for width in WIDTHS:
        onnx.save(slice_model(model, width), folder / f"{width}.onnx")
    pixels = folder / "pixels.f32"
    np.full(3 * 32 * 32, 0.5, np.float32).tofile(pixels)
    with Server(args.target, []) as server:
        server.warm_up(args.target)
        profile = json.loads(server.get("/profile"))["models"][0]
        accuracy = {step["width"]: step["accuracy"] for step in profile["steps"]}
        full = profile["steps"][-1]
        budget_ms = 20 * (full["latency_us"][0][1] + (profile["decode_us"] or 0.0)) / 1e3
        capacity = profile["capacity_at_full_width"]
    steps = ",".join(f"{capacity:.1f}:2.5s,{args.peak * capacity:.1f}:500ms" for _ in range(args.peaks))
    bursts = ["--steps", steps, "--arrivals", "gamma", "--cv2", "8"]
    print(f"Full width answers {capacity:.0f} images per second; budgets are {budget_ms:.1f} ms.\n")
    print("| server | on time | mean accuracy | effective accuracy | late | refused | failed | 99 % |\n" + "|---" * 8 + "|")
    image = ["--labelled", args.labelled] if args.labelled else ["--image", args.image]
    for seed in range(1, args.seeds + 1):
        load = Load(args, bursts + ["--seed", str(seed)], budget_ms)
        with Server(args.target, []) as server:
            server.warm_up(args.target)
            load.row("anywidth", server.url, ["--budget-ms", f"{budget_ms:.3f}", *image], labelled=bool(args.labelled))
        for name, widths, utilization in [
            *((f"three dense networks, switch at {share:.0%}", WIDTHS, share) for share in UTILIZATIONS),
            *((f"the dense network of width {width:g}", [width], 1.0) for width in WIDTHS),
        ]:
            with DenseServer(args, folder, widths, accuracy, utilization) as server:
                load.row(name, server.url, ["--budget-ms", f"{budget_ms:.3f}", *image])
        if args.triton:
            with TritonServer(args.triton, folder / "1.0.onnx") as server:
                flags = ["--path", "/v2/models/dense/infer", "--header", "Inference-Header-Content-Length: 0"]
                load.row("Triton, the dense network of width 1", server.url, [*flags, "--image", pixels], accuracy[1.0])


class Load:
    """The generator with one schedule."""

    def __init__(self, args, bursts, budget_ms):
        self.program, self.bursts, self.budget_ms = args.target / "anywidth-load", bursts, budget_ms

    def row(self, name, url, flags, accuracy=None, labelled=False):
        """Prints what came of the bursts; `accuracy` of servers that do not state theirs, or right answers to labelled images."""
        with tempfile.TemporaryDirectory() as folder:
            warm_up = ["--rate", "100", "--duration", "1s"]
            last = ["--deadline-ms", f"{self.budget_ms:.3f}", "--no-metrics", "--json", Path(folder) / "results.json"]
            for schedule in warm_up, self.bursts:
                subprocess.run([*on(-1), self.program, "run", url, *schedule, *flags, *last], check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            results = json.loads((Path(folder) / "results.json").read_text())
        totals = results["totals"]
        on_time = totals["on_time"] / totals["offered"]
        kind = "labelled_" if labelled else ""
        mean = totals["labelled_accuracy" if labelled else "mean_accuracy"] if accuracy is None else accuracy
        effective = totals[f"{kind}effective_accuracy"] if accuracy is None else accuracy * on_time
        print(f"| {name} | {on_time:.2%} | {mean * 100:.2f} | {effective * 100:.2f} | {totals['late']} of {totals['offered']} "
              f"| {totals['refused']} | {totals['failed'] + totals['not_sent']} | {totals['latency_ms']['p99']:.1f} ms |", flush=True)


class DenseServer(Process):
    """benches/dense_server on the first core."""

    def __init__(self, args, folder, widths, accuracy, utilization):
        library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
        networks = [f"--network={width}={accuracy[width]}={folder / f'{width}.onnx'}" for width in widths]
        command = [*on(0), args.dense_server, "--library", library, "--utilization", str(utilization), *networks]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        line = self.process.stdout.readline()
        if "listens on " not in line:
            sys.exit("the dense server did not start")
        self.url = line.split()[-1]
        return self


class TritonServer(Process):
    """benches/triton_server.py on the first core."""

    PORT = 18000
    # Any other signal ends the Python program alone, and Triton works for some seconds beside the next server.
    END = signal.SIGINT

    def __init__(self, python, model):
        command = [*on(0), python, Path(__file__).with_name("triton_server.py"), str(self.PORT), model]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        self.url = f"http://127.0.0.1:{self.PORT}"
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.url}/v2/models/dense/ready", timeout=5):
                    return self
            except OSError:
                time.sleep(0.1)
        self.process.terminate()
        sys.exit("Triton did not start within a minute")


if __name__ == "__main__":
    main()
