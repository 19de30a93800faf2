"""The reward `bertscore`: a vision-language model says what it sees, BERTScore compares that with the prompt.

DDPO's alignment reward (Black et al., arXiv 2305.13301), the second reward of Hu et al., CVPR 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from src.core.errors import UserError
from src.models.fetch import loading
from src.rewards.bertscore_maths import Sentences, bertscore, rescaled
from src.rewards.captions import Captioner
from src.rewards.needs import SENTENCES
from src.rewards.weights import Dtype, folder_of


class BertScoreReward:
    """Recall (or precision, F1) of the prompt's sentence in the caption, rescaled so that unrelated ones give 0."""

    def __init__(
        self,
        *,
        captioner: str,  # vision-language model: folder or hub id
        scorer: str,  # language model whose token embeddings are compared: folder or hub id
        layer: int,  # of the scorer, 0 = its input embeddings; the one that agrees best with people
        baseline: float | None,  # score of unrelated sentences in that layer, for the statistic; null: not rescaled
        statistic: Literal["recall", "precision", "f1"] = "recall",
        question: str = "Answer concisely: what is going on in this image?",
        reference: str = "The image contains {prompt}",  # what the caption is compared with
        words: int = 64,  # tokens of a caption at most
        name: str = "bertscore",  # of the figures: eval/<name>_after
        batch_size: int = 16,  # pictures captioned and scored at once
        dtype: Dtype = "bfloat16",  # of the captioner; the scorer is float32
        device: str | None = None,  # null: where the run computes
    ) -> None:
        self.captioner, self.scorer, self.layer, self.baseline = captioner, scorer, layer, baseline
        self.statistic, self.question, self.reference, self.words = statistic, question, reference, words
        self.name, self.batch_size, self.device = name, batch_size, device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self._captions: Captioner | None = None

    def load(self, device: torch.device | str) -> BertScoreReward:
        """Loads both models to `device`. Raises UserError for weights that are missing or a layer there is not."""
        from transformers import AutoModel, AutoTokenizer

        self._device = torch.device(self.device or device)
        folder = folder_of(self.scorer, SENTENCES)
        with loading("reward.scorer", self.scorer):
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._model = AutoModel.from_pretrained(folder, dtype=torch.float32)
        if self.layer > self._model.config.num_hidden_layers:
            raise UserError(f"reward.layer={self.layer}", f"{self.scorer} has {self._model.config.num_hidden_layers}",
                            "give one of them, with the baseline of that layer")
        self._model.to(self._device).eval().requires_grad_(False)
        self._captions = Captioner(self.captioner, self.question, self.words, self.dtype, self._device)
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] of pictures [B, 3, H, W] in [0, 1], float32, on the pictures' device."""
        scores = [self.compare(self.captions(chunk), prompts[i * self.batch_size : i * self.batch_size + len(chunk)])
                  for i, chunk in enumerate(images.split(self.batch_size))]
        return torch.cat(scores).to(images.device)

    def captions(self, images: Tensor) -> list[str]:
        """What the vision-language model says about pictures [B, 3, H, W] in [0, 1]."""
        if self._captions is None:
            raise RuntimeError("BertScoreReward.load(device) comes before the first score")
        return self._captions(images)

    @torch.no_grad()
    def compare(self, captions: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """The statistic [B] of captions against the sentences made of the prompts."""
        references = [self.reference.replace("{prompt}", prompt) for prompt in prompts]
        score = getattr(bertscore(self._embed(list(captions)), self._embed(references)), self.statistic)
        return score if self.baseline is None else rescaled(score, self.baseline)

    def identity(self) -> str:
        return f"{self.name} ({self.statistic}, {self.captioner}, {self.scorer})"

    def _embed(self, sentences: list[str]) -> Sentences:
        most = min(self._model.config.max_position_embeddings, 512)
        tokens = self._tokenizer([text.strip() for text in sentences], padding=True, truncation=True, max_length=most,
                                 return_special_tokens_mask=True, return_tensors="pt").to(self._device)
        special = tokens.pop("special_tokens_mask").bool()
        states = self._model(**tokens, output_hidden_states=True).hidden_states
        return Sentences(states[self.layer].float(), tokens.attention_mask.bool(), ~special)
