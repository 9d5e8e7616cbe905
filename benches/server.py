"""Starts the server under test: what the load benchmarks share."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request


class Process:
    """A server that ends with its `with` block. Whoever derives from it starts `process`."""

    END = signal.SIGTERM

    def __exit__(self, *_):
        self.process.send_signal(self.END)
        self.process.wait()


class Server(Process):
    """`anywidth serve` with one worker, on a core of its own where there are two."""

    def __init__(self, target, flags):
        command = on(0) + [target / "anywidth", "serve", "--port", "0", "--threads", "1", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        for line in self.process.stdout:
            if found := re.search(r"listens on (http:\S+)", line):
                self.url = found[1]
                break
        else:
            sys.exit("the server did not start")
        while True:
            try:
                self.get("/readyz")
                return self
            except OSError:
                time.sleep(0.05)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read()

    def warm_up(self, target):
        """Corrects the profile of start-up and measures decoding."""
        subprocess.run(on(-1) + [target / "anywidth-load", "run", self.url, "--rate", "300", "--duration", "2s"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def on(index):
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[index])] if len(cores) > 1 else []
