"""BERTScore's maths by hand, and the reward with a small LLaVA, BLIP and DeBERTa."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.core.errors import UserError
from src.rewards.base import Reward
from src.rewards.bertscore import BertScoreReward
from src.rewards.bertscore_maths import Sentences, bertscore, rescaled
from src.rewards.pixels import to_pil
from tests.rewards.small_models import blip_captioner, deberta, llava, pictures

PROMPTS = ["a red cat", "the dog", "a red cat"]


def sentence(*rows: list[float], padding: int = 0) -> Sentences:
    """Tokens given as vectors, the first and the last of them special; `padding` rows of rubbish follow."""
    length = len(rows)
    embeddings = torch.tensor([*rows, *[[9.0, 9.0]] * padding])[None]
    tokens = torch.arange(length + padding)[None] < length
    words = tokens & (torch.arange(length + padding)[None] > 0) & (torch.arange(length + padding)[None] < length - 1)
    return Sentences(embeddings, tokens, words)


def test_maths_by_hand() -> None:
    special, end = [-1.0, 0.0], [-1.0, 0.1]
    candidate = sentence(special, [2.0, 0.0], [0.0, 3.0], end, padding=2)  # words at 0 and 90 degrees
    reference = sentence(special, [1.0, 1.0], end)  # one word at 45 degrees
    score = bertscore(candidate, reference)
    half = 0.5**0.5
    assert score.recall.item() == pytest.approx(half)  # the best of two equal matches
    assert score.precision.item() == pytest.approx(half)  # each of the two words meets the one
    assert score.f1.item() == pytest.approx(half)
    longer = bertscore(sentence(special, [1.0, 0.0], end), candidate)
    assert longer.precision.item() == pytest.approx(1.0)
    # The candidate's word is no match for 90 degrees, and its last special token is a poor one: 0.1 / |end|.
    assert longer.recall.item() == pytest.approx((1 + 0.1 / 1.01**0.5) / 2)


def test_equal_and_empty_sentences() -> None:
    torch.manual_seed(0)
    rows = torch.randn(5, 2).tolist()
    same = bertscore(sentence(*rows, padding=1), sentence(*rows))
    assert all(value.item() == pytest.approx(1.0) for value in same)
    empty = bertscore(sentence(rows[0], rows[1]), sentence(*rows))
    assert [value.item() for value in empty] == [0.0, 0.0, 0.0]


def test_rescaling_is_the_packages() -> None:
    assert rescaled(torch.tensor([0.5, 1.0]), 0.5).tolist() == [0.0, 1.0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bertscore")
    return {"deberta": deberta(root / "deberta"), "blip": blip_captioner(root / "blip"), "llava": llava(root / "llava")}


def reward_of(folders: dict[str, Path], captioner: str = "blip", **options) -> BertScoreReward:
    return BertScoreReward(**{"captioner": str(folders[captioner]), "scorer": str(folders["deberta"]), "layer": 3,
                              "baseline": 0.25, "dtype": "float32", "words": 5} | options)


@pytest.mark.parametrize("captioner", ["blip", "llava"])
def test_captions_and_scores(folders: dict[str, Path], captioner: str) -> None:
    reward = reward_of(folders, captioner, batch_size=2).load("cpu")
    captions = reward.captions(pictures())
    assert len(captions) == 3 and any(captions) and not any("[CLS]" in text or "<" in text for text in captions)
    scores = reward(pictures(), PROMPTS)
    assert isinstance(reward, Reward) and scores.shape == (3,) and scores.dtype == torch.float32
    torch.testing.assert_close(scores, reward.compare(captions, PROMPTS), atol=1e-5, rtol=0)
    assert scores.isfinite().all()


def test_a_caption_is_the_answer_alone(folders: dict[str, Path]) -> None:
    """One picture, word by word: the likeliest next token after question and picture."""
    captioner = reward_of(folders, "llava").load("cpu")._captions
    inputs = captioner.processor(images=to_pil(pictures()[:1]), text=[captioner.text], return_tensors="pt")
    assert captioner.text.startswith("USER: <image> Answer concisely") and captioner.text.endswith("ASSISTANT:")
    tokens = inputs.input_ids
    with torch.no_grad():
        for _ in range(5):
            logits = captioner.model(input_ids=tokens, pixel_values=inputs.pixel_values).logits
            tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
    answer = captioner.processor.decode(tokens[0, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    assert captioner(pictures())[0] == answer.strip()


def test_the_template_in_the_caption_scores_one(folders: dict[str, Path]) -> None:
    reward = reward_of(folders).load("cpu")
    captions = ["the image contains a red cat", "dog of blue", ""]
    scores = reward.compare(captions, ["a red cat", "the dog", "a red cat"])
    assert scores[0].item() == pytest.approx(1.0, abs=1e-5)
    assert scores[1] < 0.99 and scores[2].item() == pytest.approx(-0.25 / 0.75)


def test_layer_and_length_do_what_they_say(folders: dict[str, Path]) -> None:
    """Against DeBERTa itself, one sentence at a time without padding."""
    reward = reward_of(folders, baseline=None, statistic="precision").load("cpu")
    texts = ["a red cat on the dog", "the image contains blue"]
    found = reward.compare([texts[0], "a"], ["blue", "a red cat and a dog"])[0]
    states = [reward._model(**reward._tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[3]
              for text in texts]
    one, two = (torch.nn.functional.normalize(state[0], dim=-1) for state in states)
    assert found.item() == pytest.approx((one[1:-1] @ two.T).amax(1).mean().item(), abs=1e-5)


def test_missing_weights_and_layers(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reward\.scorer.*lacks config\.json"):
        reward_of(folders, scorer=str(tmp_path)).load("cpu")
    with pytest.raises(UserError, match=r"reward\.captioner.*no such folder"):
        BertScoreReward(captioner="nowhere", scorer=str(folders["deberta"]), layer=3, baseline=None).load("cpu")
    with pytest.raises(UserError, match=r"reward\.layer=9.*has 4"):
        reward_of(folders, layer=9).load("cpu")
