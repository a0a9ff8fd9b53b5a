"""A real MLflow server on 127.0.0.1 that can be killed, made to hang and started again, always on the same port."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

START_LIMIT_S = 120.0


class MlflowServer:
    """Keeps its store and its log in `folder`; `server.db` may be put there beforehand. Down until it is started."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start unless it runs, and return when it answers."""
        if self._process:
            return
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
            *("--artifacts-destination", str(self.folder / "served")),
        ]
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        limit_s = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > limit_s:
                raise RuntimeError("the server did not start: " + (self.folder / "server.log").read_text())
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes: SIGSTOP makes it hang, SIGCONT lets it go on."""
        assert self._process
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
