"""Figure 6b on a cluster of one machine: a Dask scheduler and two workers as processes of their own on loopback.

    python -m benchmarks.cluster

One worker is killed half way (kill -9). The store must end with the bytes of an undisturbed run in one process.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = Path(__file__).parent.parent / "docs" / "sweeps" / "figure_6b.toml"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def digest(store: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(store.iterdir()):
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def start(*arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def on_cluster(spec: Path, store: Path, kill_after: int) -> float:
    """Run the sweep there; one worker is killed once `kill_after` batches are stored. Seconds."""
    from dynamics import sweep

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", ":0")
    workers: list[subprocess.Popen[bytes]] = []
    try:
        wait_for(port)
        for _ in range(2):
            workers.append(start("dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"))

        def killing(done: int, count: int, left: float) -> None:
            if done >= kill_after and workers[0].poll() is None:
                workers[0].send_signal(signal.SIGKILL)
                workers[0].wait()

        begin = time.monotonic()
        sweep(spec, store, scheduler=address, progress=killing)
        return time.monotonic() - begin
    finally:
        for process in (*workers, scheduler):
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=30)


def wait_for(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no scheduler on port {port}")


def main() -> int:
    from dynamics import sweep

    with tempfile.TemporaryDirectory() as folder:
        plain, there = Path(folder, "plain"), Path(folder, "there")
        sweep(SPEC, plain)
        seconds = on_cluster(SPEC, there, kill_after=2)
        same = digest(plain) == digest(there)
    print(f"figure 6b on two workers, one killed after two batches: {seconds:.1f} s, same bytes: {same}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
