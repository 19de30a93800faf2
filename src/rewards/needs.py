"""Which weights each reward needs, known to the static check and to the classes that load them. Pure Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.core.places import local_path
from src.models.location import CLIP_FILES, CLIP_PATTERNS, Files, path_problem

MODEL_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                 "pytorch_model.bin.index.json")
_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
_TEXT_PATTERNS = ("config.json", "model*.safetensors*", "tokenizer*", "vocab*", "merges.txt", "*.model",
                  "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Need:
    """One option of a reward that names weights: a folder or hub id, or with `bare` also a file of weights."""

    option: str
    files: Files
    patterns: Sequence[str]
    bare: bool = False

    def problem(self, path: str, where: str = "reward") -> str | None:
        """What is wrong with the path as far as can be seen without fetching it; None if nothing is."""
        if self.bare and (file := local_path(path)) is not None and file.is_file():
            return None
        return path_problem(path, self.files, f"{where}.{self.option}", self.patterns)


CLIP = Need("path", CLIP_FILES, CLIP_PATTERNS)
PICK_SCORE = Need("path", CLIP_FILES[:2], ("config.json", "model.safetensors"))
PICK_SCORE_PROCESSOR = Need("processor", CLIP_FILES[2:], CLIP_PATTERNS[2:])
AESTHETIC_HEAD = Need("head", (("aesthetic-model.pth", "sac+logos+ava1-l14-linearMSE.pth"),),
                      ("aesthetic-model.pth", "sac+logos+ava1-l14-linearMSE.pth"), bare=True)
HPS = Need("path", (("HPS_v2.1_compressed.pt",),), ("HPS_v2.1_compressed.pt",), bare=True)
IMAGE_REWARD = Need("path", (("ImageReward.pt",),), ("ImageReward.pt",), bare=True)
WORD_PIECES = Need("tokenizer", (("tokenizer.json", "vocab.txt"),), ("tokenizer*", "vocab.txt"))
CAPTIONER = Need("captioner", (("config.json",), MODEL_WEIGHTS, _PROCESSOR,
                               ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")),
                 (*_TEXT_PATTERNS, "*processor_config.json", "generation_config.json", "chat_template*"))
SENTENCES = Need("scorer", (("config.json",), MODEL_WEIGHTS, ("tokenizer.json", "vocab.json", "vocab.txt")),
                 (*_TEXT_PATTERNS, "pytorch_model.bin"))

# The class of a reward -> what it needs.
NEEDS: dict[str, tuple[Need, ...]] = {
    "src.rewards.pick_score.PickScoreReward": (PICK_SCORE, PICK_SCORE_PROCESSOR),
    "src.rewards.aesthetic.AestheticReward": (CLIP, AESTHETIC_HEAD),
    "src.rewards.hps.HpsReward": (HPS,),
    "src.rewards.image_reward.ImageRewardReward": (IMAGE_REWARD, WORD_PIECES),
    "src.rewards.bertscore.BertScoreReward": (CAPTIONER, SENTENCES),
}
