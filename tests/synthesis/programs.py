"""Stand-ins for speech programs: real processes and a real HTTP server, misbehaving to order."""

import contextlib
import http.server
import io
import json
import sys
import textwrap
import threading

import numpy as np
import soundfile

RATE_HZ = 16_000

TALKING = """
    import sys, wave, math, struct
    def write(path, text, frequency_hz=400, rate_hz=16000):
        with wave.open(path, "wb") as file:
            file.setnchannels(1); file.setsampwidth(2); file.setframerate(rate_hz)
            samples = [int(9000 * math.sin(2 * math.pi * frequency_hz * i / rate_hz))
                       for i in range(len(text.split()) * rate_hz // 10)]
            file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
"""
"""A program that can write so many tenths of a second as its text has words."""


def write_program(path, *parts):
    """Writes a Python program; returns the command that runs it."""
    path.write_text("\n".join(textwrap.dedent(part) for part in parts))
    return f"{sys.executable} {path}"


def tone(seconds=0.5, frequency_hz=400.0, rate_hz=RATE_HZ):
    times_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.2 * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def wav_bytes(waveform, rate_hz=RATE_HZ):
    file = io.BytesIO()
    soundfile.write(file, waveform, rate_hz, "PCM_16", format="WAV")
    return file.getvalue()


@contextlib.contextmanager
def server(respond):
    """Runs an HTTP server; yields its base URL and the requests it gets.

    `respond(number, path, headers, body)` returns status, headers and body of its answer.
    """
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, dict(self.headers), body))
            status, headers, answer = respond(len(requests), self.path, self.headers, body)
            with contextlib.suppress(BrokenPipeError):  # the client stopped waiting
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}/v1", requests
    finally:
        httpd.shutdown()
        httpd.server_close()


def json_bytes(values):
    return json.dumps(values).encode()
