"""The embedded model: it loads as any Stable Diffusion does, and its parts do what their card says."""

import pytest
import torch

from src.data import shape_words, shapes
from src.models.tiny_sd import architecture
from src.models.tiny_sd.verifier import load_verifier
from src.rewards.clip import ClipReward
from src.rewards.verifier import VerifierReward

WEIGHTS = architecture.WEIGHTS
COUNT = 1024


@pytest.fixture(scope="module")
def drawings() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(123)
    scenes = shapes.random_scenes(COUNT, generator)
    return scenes, shapes.draw(scenes, generator)


def test_plain_diffusers_loads_the_pipeline_and_draws() -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(WEIGHTS / "pipeline")
    assert isinstance(pipeline.scheduler, DDIMScheduler)
    config = pipeline.scheduler.config
    assert (config.prediction_type, config.beta_schedule, config.steps_offset, config.set_alpha_to_one) == (
        "epsilon", "scaled_linear", 1, False)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("a red circle above a blue square", num_inference_steps=4, output_type="np", height=32, width=32)
    assert picture.images.shape == (1, 32, 32, 3)


def test_every_word_is_one_token() -> None:
    tokenizer = architecture.tokenizer()
    for scene in shapes.all_scenes().tolist():
        for phrase in (0, 1):
            text = shape_words.caption(scene, phrase)
            assert len(tokenizer(text).input_ids) == len(text.split()) + 2 <= architecture.TOKENS


def test_the_verifier_reads_each_attribute_right_98_times_in_100(drawings) -> None:
    scenes, images = drawings
    verdict = load_verifier(WEIGHTS / "verifier").judge(images, scenes)
    assert (verdict.attributes.mean(0) >= 0.98).all()
    assert verdict.clean.mean() >= 0.98


def test_the_verifier_tells_wrong_from_right(drawings) -> None:
    scenes, images = drawings
    swapped = scenes[:, [2, 3, 0, 1, 4]]
    assert load_verifier(WEIGHTS / "verifier").judge(images, swapped).all_right.mean() <= 0.02


def test_clip_prefers_the_own_caption_to_one_with_a_single_change(drawings) -> None:
    scenes, images = drawings
    reward = ClipReward(path=str(WEIGHTS / "clip")).load("cpu")
    own = reward(images, [shape_words.caption(scene) for scene in scenes.tolist()])
    for place, size in enumerate(shape_words.SIZES):
        other = scenes.clone()
        other[:, place] = (other[:, place] + 1) % size
        assert (own > reward(images, [shape_words.caption(scene) for scene in other.tolist()])).float().mean() >= 0.95


def test_the_reward_is_the_mean_of_the_statements(drawings) -> None:
    scenes, images = drawings
    reward = VerifierReward().load("cpu")
    prompts = [shape_words.caption(scene) for scene in scenes.tolist()]
    scores, details = reward(images, prompts), reward.details(images, prompts)
    assert scores.mean() > 0.98
    assert torch.equal(details["verifier"], scores)
    assert details["all_right"].mean() <= min(details[f"verifier_{name}"].mean() for name in shape_words.ATTRIBUTES)


def test_all_weights_together_are_small() -> None:
    size = sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file())
    assert size <= 25 * 2**20
