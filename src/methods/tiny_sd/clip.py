"""Training of the embedded CLIP: contrast of pictures and captions, among captions that differ only a little."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel

from src.data import shape_words, shapes
from src.methods.tiny_sd.part import Part
from src.methods.tiny_sd.verifier import disturb
from src.models.tiny_sd import architecture


class ClipTraining(Part):
    """A quarter of a batch are free scenes; each has three relatives, hard negatives: two differ in one attribute,
    one has its objects swapped (without it CLIP reads a caption as a bag of words)."""

    def __init__(self, *, steps: int, batch_size: int, lr: float, weight_decay: float, ema_decay: float, weights: str):
        super().__init__(steps=steps, batch_size=batch_size, lr=lr, weight_decay=weight_decay, ema_decay=ema_decay,
                         weights=weights)
        self.tokenizer = architecture.tokenizer()

    def network(self) -> CLIPModel:
        return architecture.clip(self.tokenizer)

    def tokens(self, scenes: Tensor, generator: torch.Generator) -> Tensor:
        """Captions of scenes in a random one of their two phrasings, as token ids [batch, tokens]."""
        return caption_tokens(self.tokenizer, scenes, generator).to(self.device)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        scenes = relatives(shapes.random_scenes(self.batch_size // 4, generator), generator)
        images = disturb(shapes.draw(scenes, generator), generator).to(self.device)
        logits = self.net(input_ids=self.tokens(scenes, generator), pixel_values=2 * images - 1).logits_per_image
        same = (scenes[:, None] == scenes[None]).all(-1).float().to(self.device)
        target = same / same.sum(1, keepdim=True)  # equal scenes are all right answers
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        right = (target.gather(1, logits.argmax(1, keepdim=True)) > 0).float().mean()
        return loss, {"batch_accuracy": right.detach()}

    @torch.no_grad()
    def score(self, generator: torch.Generator) -> dict[str, float]:
        """Share of fresh drawings whose own caption is the nearest of all scenes' captions; cosines of matching and of
        random pairs."""
        everything = shapes.all_scenes()
        text = self.trained.get_text_features(input_ids=self.tokens(everything, generator)).pooler_output
        picks = torch.randint(len(everything), (2048,), generator=generator)
        images, picks = shapes.draw(everything[picks], generator).to(self.device), picks.to(self.device)
        vision = self.trained.get_image_features(pixel_values=2 * images - 1).pooler_output
        similarity = F.normalize(vision, dim=1) @ F.normalize(text, dim=1).T
        own = similarity.gather(1, picks[:, None])
        return {"retrieval_accuracy": float((similarity.argmax(1) == picks).float().mean()),
                "matching_cosine": float(own.mean()), "mean_cosine": float(similarity.mean())}

    def export(self, folder: Path) -> None:
        for target in (folder, self.weights):
            self.trained.save_pretrained(target)
            self.tokenizer.save_pretrained(target)
            architecture.image_processor().save_pretrained(target)


def relatives(scenes: Tensor, generator: torch.Generator) -> Tensor:
    """Each scene followed by two copies with one attribute redrawn and one with its objects swapped: [4 * batch, 5]."""
    swapped = scenes[:, [2, 3, 0, 1, 4]]
    return torch.stack([scenes, change_one(scenes, generator), change_one(scenes, generator), swapped], 1).flatten(0, 1)


def change_one(scenes: Tensor, generator: torch.Generator) -> Tensor:
    """One attribute of each scene replaced by another value, drawn uniformly."""
    sizes = torch.tensor(shape_words.SIZES)
    which = torch.randint(len(sizes), (len(scenes),), generator=generator)
    shift = 1 + (torch.rand(len(scenes), generator=generator) * (sizes[which] - 1)).long()
    rows = torch.arange(len(scenes))
    changed = scenes.clone()
    changed[rows, which] = (scenes[rows, which] + shift) % sizes[which]
    return changed


def caption_tokens(tokenizer, scenes: Tensor, generator: torch.Generator) -> Tensor:
    phrases = torch.randint(2, (len(scenes),), generator=generator).tolist()
    captions = [shape_words.caption(scene, phrase) for scene, phrase in zip(scenes.tolist(), phrases, strict=True)]
    return tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
