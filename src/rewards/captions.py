"""Captions of pictures by any vision-language model that transformers loads."""

from __future__ import annotations

import torch
from torch import Tensor

from src.models.fetch import loading
from src.rewards.needs import CAPTIONER
from src.rewards.pixels import to_pil
from src.rewards.weights import folder_of


class Captioner:
    """One sentence a picture, greedily decoded. A chat model (LLaVA, Qwen-VL ...) is asked `question`; a captioner
    without chat template (BLIP) is shown the picture alone."""

    def __init__(self, path: str, question: str, words: int, dtype: torch.dtype, device: torch.device) -> None:
        """`words`: the most tokens of an answer. Raises UserError for weights that are missing or do not load."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = folder_of(path, CAPTIONER)
        with loading("reward.captioner", path):
            self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)
            self.processor = AutoProcessor.from_pretrained(folder)
        self.model.to(device).eval().requires_grad_(False)
        self.device, self.dtype, self.words = device, dtype, words
        self.text = self._template(question)

    def __call__(self, images: Tensor) -> list[str]:
        """Captions of pictures [B, 3, H, W] in [0, 1]."""
        pictures = to_pil(images)
        inputs = {"images": pictures, "return_tensors": "pt"}
        if self.text is not None:
            inputs |= {"text": [self.text] * len(pictures), "padding": True}
        ready = self.processor(**inputs).to(self.device, self.dtype)  # whole numbers stay whole
        with torch.no_grad():
            answers = self.model.generate(**ready, max_new_tokens=self.words, do_sample=False)
        if self.text is not None and not self.model.config.is_encoder_decoder:
            answers = answers[:, ready["input_ids"].shape[1] :]  # without the question
        return [text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)]

    def _template(self, question: str) -> str | None:
        if getattr(self.processor, "chat_template", None) is None:
            return None
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
