"""The embedded Stable Diffusion's parts, in the configuration classes of diffusers and transformers.

Pictures are 32 x 32 pixels, latents 4 x 8 x 8; the scheduler has SD 1.x's settings. Nothing is loaded or trained here.
"""

from __future__ import annotations

from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from src.data import shape_words, shapes

WEIGHTS = Path(__file__).parent / "weights"
TOKENS = 12  # longest prompt, start and end included
WIDTH = 128  # of the text embedding, hence of the UNet's cross-attention


def tokenizer() -> CLIPTokenizer:
    """CLIP's byte-pair tokenizer whose merges make each word of the shapes world one token; other words fall apart
    into bytes."""
    alphabet = _byte_alphabet()
    captions = [shape_words.caption(scene, phrase) for scene in shapes.all_scenes().tolist() for phrase in (0, 1)]
    words = {word for text in captions for word in text.split()}
    merges: dict[tuple[str, str], None] = {}
    for word in sorted(words):
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            merges[(pieces[-2], pieces[-1])] = None  # from the end: no merge can then apply inside another word
            pieces[-2:] = [pieces[-2] + pieces[-1]]
    vocabulary = [*alphabet, *(f"{a}</w>" for a in alphabet)]
    vocabulary += [a + b for a, b in merges if a + b not in vocabulary]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(dict.fromkeys(vocabulary))},
        merges=list(merges), model_max_length=TOKENS,
    )


def _byte_alphabet() -> list[str]:
    """The 256 printable stand-ins for bytes that GPT-2's and CLIP's vocabularies are made of."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """A CLIP of about 1.3 M parameters: 16 patches of 8 x 8 pixels, up to 16 tokens."""
    common = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 4, "projection_dim": 64,
              "hidden_act": "quick_gelu"}
    text = common | {
        "vocab_size": len(tokenizer), "max_position_embeddings": TOKENS, "num_hidden_layers": 2,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = common | {"image_size": shapes.SIDE, "patch_size": 8, "num_hidden_layers": 4}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


def image_processor() -> CLIPImageProcessor:
    """Pictures of the world's own size, from [0, 1] to [-1, 1]."""
    side = {"height": shapes.SIDE, "width": shapes.SIDE}
    half = [0.5] * 3
    return CLIPImageProcessor(size={"shortest_edge": shapes.SIDE}, crop_size=side, image_mean=half, image_std=half)


def autoencoder() -> AutoencoderKL:
    """32 x 32 x 3 pixels to 8 x 8 x 4 latents; the scaling factor is measured after training."""
    return AutoencoderKL(
        block_out_channels=(24, 48, 64), layers_per_block=1, norm_num_groups=8, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        mid_block_add_attention=False, sample_size=shapes.SIDE,
    )


def unet() -> UNet2DConditionModel:
    """Cross-attention at 8 x 8 and at 4 x 4, as in SD 1.x at its inner resolutions."""
    return UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(64, 96), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=4, norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """SD 1.x's scheduler settings."""
    return DDIMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon",
    )
