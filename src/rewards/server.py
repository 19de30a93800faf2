"""Serves a reward over HTTP: python -m src.rewards.server reward=clip port=8085 [host=0.0.0.0] [device=cuda:1]

Everything else on the line is composed as for a run, so reward.<option>=... and model=... work too.
GET / says what scores; POST /score takes src/rewards/wire.py's bytes and gives {"scores": [...]}. There is no
password: it listens to this machine alone unless host= says otherwise, and then only inside a network you trust.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from src.core.config.check import check_target, targets
from src.core.config.compose import compose, plain
from src.core.errors import BAD_INPUT, Problems, UserError
from src.rewards.check import check

DEFAULTS = {"host": "127.0.0.1", "port": "8085", "device": ""}
LIMIT = 1 << 30  # bytes of a request


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is stopped; returns the exit code."""
    try:
        own, node = settings(sys.argv[1:] if arguments is None else arguments)
        server = make_server(*loaded(node, own["device"]), own["host"], int(own["port"]))
    except UserError as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.lines()))
        return BAD_INPUT
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs would ignore the first
        signal.signal(number, signal.default_int_handler)
    host, port = server.server_address[:2]
    sys.stdout.write(f"{server.reward.identity()} at http://{host}:{port}, Ctrl-C ends it\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


def settings(arguments: Sequence[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """The server's own keys, and the reward's node. Raises UserError with everything that is wrong."""
    own, rest = dict(DEFAULTS), []
    for word in arguments:
        key, _, value = word.partition("=")
        if key in own:
            own[key] = value
        else:
            rest.append(word)
    composed = compose(rest)
    problems = list(composed.problems)
    if not own["port"].isdigit() or int(own["port"]) > 65535:
        problems.append(f"port={own['port']}: must be a whole number up to 65535.")
    node = plain(composed.cfg).get("reward") or {}
    if not node:
        problems.append("reward=none: there is nothing to serve. Choose reward=...")
    for path, target in targets({"reward": node}):
        problems += check_target(path, target)
    problems += check({"reward": node})
    if problems:
        raise Problems(problems)
    return own, node


def loaded(node: dict[str, Any], device: str) -> tuple[Any, str]:
    """The reward with its weights, and its device: `device`, or the accelerator if there is one."""
    import torch

    from src.core.build import build

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return build(node).load(device), device


def make_server(reward: Any, device: str, host: str, port: int) -> RewardServer:
    """A server that is bound and not yet running. Raises UserError if the address cannot be had."""
    try:
        return RewardServer(reward, device, host, port)
    except OSError as error:
        raise UserError(f"host={host} port={port}", f"the address cannot be bound ({error.strerror or error})",
                        "choose another port") from error


class RewardServer(ThreadingHTTPServer):
    """Many connections, one picture batch at a time."""

    daemon_threads = True

    def __init__(self, reward: Any, device: str, host: str, port: int) -> None:
        super().__init__((host, port), Handler)
        self.reward, self.device, self.lock = reward, device, threading.Lock()

    def score(self, body: bytes) -> list[float]:
        """Scores of the pictures in a request. Raises ValueError for a request that has none."""
        from src.rewards.wire import unpack

        images, prompts = unpack(body)
        with self.lock:
            return [float(score) for score in self.reward(images.to(self.device), prompts).tolist()]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: RewardServer

    def do_GET(self) -> None:
        self._answer(200, {"reward": self.server.reward.identity()})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= LIMIT:
            return self._answer(413, {"error": f"a request has 1 to {LIMIT} bytes; lower reward.batch_size"})
        try:
            self._answer(200, {"scores": self.server.score(self.rfile.read(length))})
        except ValueError as error:
            self._answer(400, {"error": str(error)})
        except Exception as error:  # whatever the reward raises: the client is told, the server lives on
            self._answer(500, {"error": f"{type(error).__name__}: {error}"})

    def log_message(self, format: str, *args: Any) -> None:
        """Silence; errors go to the client."""

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    sys.exit(main())
