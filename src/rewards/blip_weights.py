"""ImageReward's file of weights, written by BLIP's original code, as the transformers library's BLIP."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from src.core.errors import UserError

HEAD_WIDTH = 64  # of an attention head, in the vision transformers and in BERT
# BLIP's names of the vision transformer -> the library's, applied one after the other.
_VISION = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^blocks\.", "encoder.layers."),
    (r"^norm\.", "post_layernorm."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.attn\.proj\.", ".self_attn.projection."),
    (r"\.attn\.", ".self_attn."),
)


def vision_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The vision transformer's tensors under the library's names."""
    return {_renamed(key): value for key, value in _below(state, "blip.visual_encoder.").items()}


def text_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text encoder's tensors; the library kept BLIP's names, and counts positions itself."""
    found = _below(state, "blip.text_encoder.")
    return {key: value for key, value in found.items() if key != "embeddings.position_ids"}


def build(state: Mapping[str, Tensor], path: str) -> tuple[nn.Module, nn.Module]:
    """The picture encoder and the text encoder with cross-attention, sizes read off the tensors, weights loaded.

    Raises UserError if the tensors are not those of the two.
    """
    from transformers import BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

    vision, text = vision_state(state), text_state(state)
    try:
        models = (BlipVisionModel(BlipVisionConfig(**_vision_sizes(vision))),
                  BlipTextModel(BlipTextConfig(**_text_sizes(text, vision)), add_pooling_layer=False))
        for model, tensors in zip(models, (vision, text), strict=True):
            model.load_state_dict(tensors)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"reward.path={path}", f"these are not ImageReward's weights ({reason})",
                        "give the published ImageReward.pt") from error
    return models


def _vision_sizes(state: Mapping[str, Tensor]) -> dict:
    width, _, patch, _ = state["embeddings.patch_embedding.weight"].shape
    patches = state["embeddings.position_embedding"].shape[1] - 1
    return {"hidden_size": width, "patch_size": patch, "image_size": patch * round(patches**0.5),
            "num_hidden_layers": _layers(state), "num_attention_heads": width // HEAD_WIDTH,
            "intermediate_size": state["encoder.layers.0.mlp.fc1.weight"].shape[0],
            "layer_norm_eps": 1e-6}  # the original's; the library's default is 1e-5


def _text_sizes(state: Mapping[str, Tensor], vision: Mapping[str, Tensor]) -> dict:
    vocabulary, width = state["embeddings.word_embeddings.weight"].shape
    return {"vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": _layers(state),
            "max_position_embeddings": state["embeddings.position_embeddings.weight"].shape[0],
            "encoder_hidden_size": vision["embeddings.patch_embedding.weight"].shape[0],
            "num_attention_heads": width // HEAD_WIDTH, "is_decoder": True,  # that is: it has cross-attention
            "intermediate_size": state["encoder.layer.0.intermediate.dense.weight"].shape[0]}


def _layers(state: Mapping[str, Tensor]) -> int:
    return 1 + max(int(match[1]) for key in state if (match := re.match(r"encoder\.layers?\.(\d+)\.", key)))


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _renamed(key: str) -> str:
    for pattern, replacement in _VISION:
        key = re.sub(pattern, replacement, key)
    return key
