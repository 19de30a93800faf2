"""A reward behind a server: scores, refusals, a server that comes back, one that is gone."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from src.core.errors import FAILED_RUN, UserError
from src.rewards import http
from src.rewards.base import Reward
from src.rewards.guard import checked_scores
from src.rewards.http import HttpReward
from src.rewards.jpeg import JpegReward
from src.rewards.server import make_server, settings
from src.rewards.wire import pack, unpack

ROOT = Path(__file__).parents[2]
IMAGES, PROMPTS = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0)), ["a", "b", "c", "ä", "e"]


class Broken(JpegReward):
    """Fails as often as it is told to, then works."""

    failures = 0

    def __call__(self, images, prompts):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no memory")
        return super().__call__(images, prompts)


@contextlib.contextmanager
def serving(reward):
    server = make_server(reward, "cpu", "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSE", 0.01)


def test_the_wire_keeps_eight_bits() -> None:
    images, prompts = unpack(pack(IMAGES, PROMPTS))
    assert prompts == PROMPTS and (images - IMAGES).abs().max() <= 0.5 / 255 + 1e-6
    with pytest.raises(ValueError, match="no pictures"):
        unpack(b"rubbish")


def test_same_scores_as_here() -> None:
    here = JpegReward(want="large", name="jpeg")
    with serving(here) as url:
        reward = HttpReward(url=url, batch_size=2).load("cpu")
        assert isinstance(reward, Reward) and reward.identity() == "http (jpeg (quality 95))"
        scores = reward(IMAGES, PROMPTS)
    assert torch.equal(scores, here(IMAGES, PROMPTS)) and scores.dtype == torch.float32


def test_a_failure_is_tried_again_and_then_told(tmp_path: Path) -> None:
    reward = Broken(want="large", name="jpeg")
    with serving(reward) as url:
        client = HttpReward(url=url, retries=2).load("cpu")
        reward.failures = 2
        assert client(IMAGES, PROMPTS).shape == (5,)
        reward.failures = 9
        with pytest.raises(UserError, match=r"500.*no memory"):
            checked_scores(client, IMAGES, PROMPTS, tmp_path)


@pytest.mark.parametrize("surplus", [-1, 1])
def test_an_answer_with_another_number_of_scores_is_refused(monkeypatch: pytest.MonkeyPatch, surplus: int) -> None:
    client = HttpReward(url="http://there:1")
    monkeypatch.setattr(client, "_ask", lambda request: {"scores": [0.5] * (len(IMAGES) + surplus)})
    with pytest.raises(ValueError, match="did not give 5 scores"):
        client(IMAGES, PROMPTS)


def test_each_pause_is_twice_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(http.time, "sleep", pauses.append)
    monkeypatch.setattr(http, "urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no route")))
    with pytest.raises(UserError, match="no answer after 4 tries"):
        HttpReward(url="http://there:1", retries=3).load("cpu")
    assert pauses == pytest.approx([0.01, 0.02, 0.04])


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    with serving(JpegReward(want="large", name="jpeg")) as url:
        client = HttpReward(url=url, retries=1, timeout=5).load("cpu")
    with pytest.raises(UserError, match=r"no answer after 2 tries.*src\.rewards\.server.*resume=auto") as told:
        checked_scores(client, IMAGES, PROMPTS, tmp_path)
    assert told.value.exit_code == FAILED_RUN and list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="no answer after 1 try"):
        HttpReward(url=url, retries=0).load("cpu")


def test_a_server_that_says_nothing() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = HttpReward(url=f"http://127.0.0.1:{silent.getsockname()[1]}", retries=0, timeout=0.1)
        with pytest.raises(UserError, match="timed out"):
            client.load("cpu")


def test_another_server_is_no_reward_server_and_a_missing_one_is_waited_for(capsys) -> None:
    pages = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.01}).start()
    url = f"http://127.0.0.1:{pages.server_address[1]}"
    try:
        with pytest.raises(UserError, match="what answers there is no reward server"):
            HttpReward(url=url).load("cpu")
        assert "waiting" not in capsys.readouterr().out
    finally:
        pages.shutdown()
        pages.server_close()
    with pytest.raises(UserError, match="no answer after 3 tries"):
        HttpReward(url=url, retries=2, timeout=5).load("cpu")
    assert capsys.readouterr().out.count("waiting for it") == 1


def test_what_the_server_refuses() -> None:
    with serving(JpegReward(want="large", name="jpeg")) as url:
        client = HttpReward(url=f"{url}/", retries=3).load("cpu")
        with pytest.raises(UserError, match=r"400.*no pictures"):
            client._ask(http.Request(f"{url}/score", data=b"rubbish", method="POST"))


@pytest.mark.parametrize(("code", "tries"), [(400, 1), (404, 1), (500, 3), (503, 3)])
def test_only_a_failure_of_the_servers_own_is_tried_again(monkeypatch: pytest.MonkeyPatch, code: int, tries: int
                                                          ) -> None:
    asked = []

    def answer(request, timeout):
        asked.append(request)
        raise http.HTTPError(request.full_url, code, "no", None, io.BytesIO())

    monkeypatch.setattr(http, "urlopen", answer)
    with pytest.raises(UserError, match=f"the server answered {code}"):
        HttpReward(url="http://there:1", retries=2).load("cpu")
    assert len(asked) == tries


def test_the_command_line_is_checked() -> None:
    own, node = settings(["reward=jpeg_compressibility", "port=9000", "reward.quality=80"])
    assert own["port"] == "9000" and node["quality"] == 80
    with pytest.raises(UserError) as told:
        settings(["reward=jpeg_compressibility", "port=many", "reward.quality=200", "reward.qualty=3"])
    text = str(told.value)
    assert "port=many" in text and "at most 95" in text and "quality" in text
    with pytest.raises(UserError, match="nothing to serve"):
        settings(["reward=none"])


def test_a_port_in_use() -> None:
    reward = JpegReward(want="large", name="jpeg")
    with serving(reward) as url, pytest.raises(UserError, match="Choose another port"):
        make_server(reward, "cpu", "127.0.0.1", int(url.rpartition(":")[2]))


@pytest.mark.parametrize("ended_by", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_as_a_process(ended_by: signal.Signals) -> None:
    command = [sys.executable, "-m", "src.rewards.server", "reward=jpeg_compressibility", "port=0", "device=cpu"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        url = re.search(r"http://\S+:\d+", process.stdout.readline())[0]
        scores = HttpReward(url=url).load("cpu")(IMAGES, PROMPTS)
        assert torch.equal(scores, JpegReward(want="small", name="x")(IMAGES, PROMPTS))
    finally:
        process.send_signal(ended_by)
        deadline = time.time() + 30
        while process.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        process.kill()
    assert process.returncode == 0
