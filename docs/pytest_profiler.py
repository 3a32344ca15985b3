"""Marks each test of a pytest run for the profiler around it.

    profiler run -o p.json -- pytest -p pytest_profiler

with this file's directory in PYTHONPATH, or copied beside conftest.py and named
there: pytest_plugins = ["pytest_profiler"]. Outside of `profiler run` it does
nothing. Tests that run at the same time, as under pytest-xdist, cannot be told
apart: under it this plugin does nothing either.
"""

import hashlib
import os
import socket
import warnings

import pytest

NAME_MAX = 256  # bytes


def name_of(nodeid):
    """The node's ID as a mark: no control characters, and not too long."""
    name = "".join(c if c.isprintable() else "?" for c in nodeid) or "?"
    if name == nodeid and len(name.encode(errors="replace")) <= NAME_MAX:
        return name
    digest = hashlib.sha256(nodeid.encode(errors="surrogatepass")).hexdigest()[:12]
    short = name.encode(errors="replace")[: NAME_MAX - len(digest) - 1]
    return short.decode(errors="ignore") + "~" + digest


class Marks:
    """One connection for the whole run."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.answers = self.socket.makefile("r", encoding="utf-8")

    def ask(self, request):
        try:
            self.socket.sendall(request.encode() + b"\n")
            answer = self.answers.readline().strip()
        except OSError as error:
            answer = str(error)
        # No test fails for this; a run that has ended writes no profile either.
        if answer != "ok":
            warnings.warn(f"profiler: {request}: {answer or 'the run has ended'}")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        # Set-up and tear-down belong to the test, too.
        self.ask("mark " + name_of(item.nodeid))
        yield
        self.ask("end")


def pytest_configure(config):
    path = os.environ.get("PROFILER_SOCKET")
    if path and not os.environ.get("PYTEST_XDIST_WORKER"):
        config.pluginmanager.register(Marks(path), "profiler-marks")
