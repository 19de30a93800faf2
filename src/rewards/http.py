"""The reward `http`: a scorer that runs elsewhere, `python -m src.rewards.server reward=... port=...`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from torch import Tensor

from src.core import console
from src.core.errors import FAILED_RUN, UserError
from src.rewards.wire import pack

PAUSE = 1.0  # seconds before the second try; doubled after each


class HttpReward:
    """Sends pictures (8 bits a channel) and prompts, gets scores; tries again, then ends the run clearly."""

    def __init__(
        self,
        *,
        url: str,  # of the server, http://host:port
        name: str = "http",  # of the figures: eval/<name>_after
        batch_size: int = 64,  # pictures sent at once
        timeout: float = 120.0,  # seconds to wait for an answer
        retries: int = 5,  # tries after the first one
    ) -> None:
        self.url, self.name, self.batch_size = url.rstrip("/"), name, batch_size
        self.timeout, self.retries = timeout, retries
        self.remote = ""

    def load(self, device: torch.device | str) -> HttpReward:
        """Asks the server what it scores with. Raises UserError if there is none."""
        answer = self._ask(Request(f"{self.url}/"))
        if not isinstance(answer, dict) or "reward" not in answer:
            raise UserError(f"reward.url={self.url}", "what answers there is no reward server", self._start())
        self.remote = str(answer["reward"])
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] of pictures [B, 3, H, W] in [0, 1], float32. Raises UserError when the server is gone."""
        size = self.batch_size
        scores = [self._score(images[i : i + size], list(prompts[i : i + size])) for i in range(0, len(images), size)]
        return torch.tensor([score for part in scores for score in part], device=images.device)

    def identity(self) -> str:
        return f"{self.name} ({self.remote or self.url})"

    def _score(self, images: Tensor, prompts: list[str]) -> list[float]:
        answer = self._ask(Request(f"{self.url}/score", data=pack(images, prompts), method="POST"))
        scores = answer.get("scores") if isinstance(answer, dict) else None
        if not isinstance(scores, list) or len(scores) != len(images):
            raise ValueError(f"the server at {self.url} did not give {len(images)} scores")
        return [float(score) for score in scores]

    def _ask(self, request: Request) -> object:
        """The server's answer, after some tries. What the server refuses is not tried again."""
        for left in range(self.retries, -1, -1):
            try:
                with urlopen(request, timeout=self.timeout) as answer:
                    return json.loads(answer.read())
            except HTTPError as error:
                if error.code < 500 or not left:
                    raise self._refused(error) from error
            except json.JSONDecodeError as error:
                raise UserError(f"reward.url={self.url}", "what answers there is no reward server",
                                self._start()) from error
            except (OSError, HTTPException) as error:
                if not left:
                    raise self._gone(error) from error
                if left == self.retries:
                    console.note(f"reward.url={self.url}: no answer ({_reason(error)}); waiting for it")
            time.sleep(PAUSE * 2 ** (self.retries - left))
        raise AssertionError("the last try returns or raises")

    def _refused(self, error: HTTPError) -> UserError:
        said = error.read().decode(errors="replace").strip()[:300]
        return UserError(f"reward.url={self.url}", f"the server answered {error.code} ({said or error.reason})",
                         "look at its console", exit_code=FAILED_RUN)

    def _gone(self, error: Exception) -> UserError:
        tries = "1 try" if not self.retries else f"{self.retries + 1} tries"
        return UserError(f"reward.url={self.url}", f"no answer after {tries} ({_reason(error)})",
                         f"{self._start()}; resume=auto goes on", exit_code=FAILED_RUN)

    def _start(self) -> str:
        return f"start it there: python -m src.rewards.server reward=... port={self.url.rpartition(':')[2]}"


def _reason(error: Exception) -> object:
    return getattr(error, "reason", None) or error
