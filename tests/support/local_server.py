"""A small HTTP server on 127.0.0.1 that misbehaves on demand."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer:
    """Serves `files`; the first part of the path says how: good, norange, truncated, once, stalls, corrupt, missing."""

    def __init__(self, files):
        self.files, self.requests = files, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.stop = threading.Event()

    def url(self, manner, name):
        return f"http://127.0.0.1:{self.http.server_port}/{manner}/{name}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *arguments):
        self.stop.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def answer(self, request):
        _, manner, name = request.path.split("/", 2)
        asked = request.headers.get("Range")
        earlier = sum(path == request.path for path, _ in self.requests)
        self.requests.append((request.path, asked))
        if manner == "missing" or name not in self.files:
            request.send_error(404)
            return
        body = self.files[name]
        if manner == "corrupt":
            body = bytes(byte ^ 1 for byte in body)
        start = 0
        if asked and manner != "norange":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                request.send_error(416)
                return
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        cut = len(body) // 2 if manner in ("truncated", "stalls") or (manner == "once" and not earlier) else len(body)
        with suppress(ConnectionError):  # the other side may have had enough
            request.wfile.write(body[start : max(cut, start)])
            request.wfile.flush()
        if manner == "stalls":
            for _ in range(200):
                if self.stop.is_set():
                    break
                time.sleep(0.01)
        request.close_connection = True
