"""Stand-ins of what the rewards load: the same architectures at reduced width, random weights, saved as published."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "image", "contains", "red", "blue", "cat", "dog",
         "and", "on", "of", "picture", "."]


def pictures(side: int = 40, count: int = 3, seed: int = 0) -> Tensor:
    """Smooth pictures [B, 3, side, side] on the 8-bit grid."""
    noise = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(noise, size=(side, side), mode="bilinear")
    return (smooth * 255).round() / 255


def word_pieces(folder: Path):
    """A BERT tokenizer of a few words, saved into `folder`."""
    from transformers import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def deberta(folder: Path) -> Path:
    """DeBERTa as microsoft/deberta-xlarge-mnli is built, with 4 layers."""
    from transformers import DebertaConfig, DebertaModel

    word_pieces(folder)
    torch.manual_seed(0)
    DebertaModel(DebertaConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64, type_vocab_size=0, relative_attention=True, pos_att_type="c2p|p2c",
        position_biased_input=False)).save_pretrained(folder)
    return folder


def blip_captioner(folder: Path) -> Path:
    """BLIP with a language head, as Salesforce/blip-image-captioning-large."""
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    tokenizer = word_pieces(folder)
    torch.manual_seed(0)
    text = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 24, "bos_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
              "image_size": 32, "patch_size": 16, "initializer_range": 0.5}
    BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    """LLaVA 1.5: CLIP's vision tower before a Llama, with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "USER", "ASSISTANT", ":", "?", *WORDS[5:]]
    plain = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
                                        unk_token="<unk>", padding_side="left", extra_special_tokens={
                                            "image_token": "<image>"})
    template = ("{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image> "
                "{% else %}{{ c['text'] }}{% endif %}{% endfor %} ASSISTANT:{% endfor %}")
    side = {"height": 32, "width": 32}
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(LlavaConfig(
        image_token_index=4, vision_feature_layer=-1,
        vision_config={"model_type": "clip_vision_model", "hidden_size": 16, "num_hidden_layers": 2,
                       "num_attention_heads": 2, "intermediate_size": 24, "image_size": 32, "patch_size": 16},
        text_config={"model_type": "llama", "vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "intermediate_size": 24, "pad_token_id": 0, "bos_token_id": 1,
                     "eos_token_id": 2}))
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    LlavaProcessor(CLIPImageProcessor(size=side, crop_size=side), tokenizer, patch_size=16, chat_template=template,
                   vision_feature_select_strategy="default", num_additional_image_tokens=1).save_pretrained(folder)
    return folder


def image_reward_state(vision: int = 128, text: int = 64, layers: int = 2) -> dict[str, Tensor]:
    """Tensors of ImageReward.pt, under its names, at reduced width: pictures of 32 pixels, patches of 16."""
    random = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def put(name: str, *shape: int, scale: float = 0.15) -> None:
        state[name] = scale * torch.randn(*shape, generator=random)

    def layer(name: str, inputs: int, outputs: int) -> None:
        put(f"{name}.weight", outputs, inputs)
        put(f"{name}.bias", outputs)

    def norm(name: str, width: int) -> None:
        put(f"{name}.weight", width)
        state[f"{name}.weight"] += 1
        put(f"{name}.bias", width)

    eyes, reader = "blip.visual_encoder", "blip.text_encoder"
    put(f"{eyes}.cls_token", 1, 1, vision)
    put(f"{eyes}.pos_embed", 1, 5, vision)
    put(f"{eyes}.patch_embed.proj.weight", vision, 3, 16, 16)
    put(f"{eyes}.patch_embed.proj.bias", vision)
    for block in (f"{eyes}.blocks.{index}" for index in range(layers)):
        norm(f"{block}.norm1", vision)
        layer(f"{block}.attn.qkv", vision, 3 * vision)
        layer(f"{block}.attn.proj", vision, vision)
        norm(f"{block}.norm2", vision)
        layer(f"{block}.mlp.fc1", vision, 2 * vision)
        layer(f"{block}.mlp.fc2", 2 * vision, vision)
    norm(f"{eyes}.norm", vision)
    put(f"{reader}.embeddings.word_embeddings.weight", len(WORDS), text)
    put(f"{reader}.embeddings.position_embeddings.weight", 64, text)
    state[f"{reader}.embeddings.position_ids"] = torch.arange(64)[None]
    norm(f"{reader}.embeddings.LayerNorm", text)
    for block in (f"{reader}.encoder.layer.{index}" for index in range(layers)):
        for kind, keys in (("attention", text), ("crossattention", vision)):
            layer(f"{block}.{kind}.self.query", text, text)
            layer(f"{block}.{kind}.self.key", keys, text)
            layer(f"{block}.{kind}.self.value", keys, text)
            layer(f"{block}.{kind}.output.dense", text, text)
            norm(f"{block}.{kind}.output.LayerNorm", text)
        layer(f"{block}.intermediate.dense", text, 2 * text)
        layer(f"{block}.output.dense", 2 * text, text)
        norm(f"{block}.output.LayerNorm", text)
    layer("blip.vision_proj", vision, 8)
    layer("blip.text_proj", text, 8)
    for number, (inputs, outputs) in {0: (text, 32), 2: (32, 8), 4: (8, 1)}.items():
        layer(f"mlp.layers.{number}", inputs, outputs)
    return state
