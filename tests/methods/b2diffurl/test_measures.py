"""Measures of the protocol against double loops, closed forms and torchmetrics."""

from __future__ import annotations

import math
from contextlib import contextmanager
from itertools import combinations
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.shape_words import SIZES
from src.methods.b2diffurl import diversity
from src.methods.b2diffurl.measures import lpips, weights
from src.methods.b2diffurl.measures.base import Drawn
from src.methods.b2diffurl.measures.check import problems
from src.methods.b2diffurl.measures.clip import ClipDiversity
from src.methods.b2diffurl.measures.verifier import VerifierDiversity, features_and_logits, scene_log_probs
from src.methods.b2diffurl.protocol.kl import trajectory_kl
from src.methods.b2diffurl.sampling import rollout
from src.rewards.clip import ClipReward
from tests.methods.b2diffurl.test_sampling import STEPS, make_ddim


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_of(pictures: Tensor) -> Drawn:
    return Drawn(pictures, lambda images: torch.zeros(images, 1))


def random_pictures(prompts: int, count: int, side: int) -> Tensor:
    return torch.randint(0, 256, (prompts, count, 3, side, side), generator=generator()).byte()


def count_to(total: list[int]):
    return lambda number: total.append(number)


@pytest.mark.parametrize("members", [2, 5])
def test_means_over_pairs_against_a_double_loop(members: int) -> None:
    families = 1 + torch.randn(3, members, 7, generator=generator())
    pairs = [list(combinations(family, 2)) for family in families]
    squares = [sum((a - b).square().sum() for a, b in some) / len(some) for some in pairs]
    cosines = [sum(1 - torch.cosine_similarity(a, b, 0) for a, b in some) / len(some) for some in pairs]
    torch.testing.assert_close(diversity.mean_square_distance(families), torch.stack(squares))
    torch.testing.assert_close(diversity.cosine_distance(families).float(), torch.stack(cosines))


def test_inception_score_of_known_distributions() -> None:
    certain = torch.eye(5).log()
    assert diversity.inception_score(certain) == pytest.approx(5)  # five pictures, five classes
    assert diversity.inception_score(certain[:1].expand(9, -1)) == pytest.approx(1)  # one class only
    assert diversity.inception_score(torch.full((9, 5), 0.2).log()) == pytest.approx(1)  # nothing recognised
    noisy = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log()
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert diversity.inception_score(noisy) == pytest.approx(2 * math.exp(-entropy))


def test_inception_score_is_that_of_torchmetrics() -> None:
    from torchmetrics.image.inception import InceptionScore

    logits = 3 * torch.randn(40, 11, generator=generator())
    metric = InceptionScore(feature=torch.nn.Identity(), splits=1)
    metric.update(logits)
    assert diversity.inception_score(logits.log_softmax(1)) == pytest.approx(float(metric.compute()[0]), rel=1e-5)


@pytest.fixture
def alexnet_file(tmp_path, monkeypatch):
    """Random features in a file of torchvision's format; a torchvision that gives torchmetrics the same ones."""
    import torchvision

    original = torchvision.models.alexnet
    with torch.device("meta"):  # the classifier's 230 MB are never made
        features = original().features
    features.to_empty(device="cpu")
    for place, parameter in enumerate(features.parameters()):
        torch.nn.init.normal_(parameter, std=0.05, generator=generator(place))
    file = tmp_path / weights.ALEXNET.file
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    monkeypatch.setattr(torchvision.models, "alexnet",
                        lambda weights=None: SimpleNamespace(features=features) if weights else original())
    return file


def test_lpips_is_the_mean_of_torchmetrics_over_all_pairs(alexnet_file) -> None:
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

    pictures, seen = random_pictures(3, 3, 64), []
    measure = lpips.Lpips(path=str(alexnet_file), batch=6).load(torch.device("cpu"), {})
    found = measure(drawn_of(pictures), count_to(seen))["lpips"]
    pairs = [(a, b) for family in pictures.float() / 255 for a, b in combinations(family, 2)]
    first, second = (torch.stack(side) for side in zip(*pairs, strict=True))
    expected = learned_perceptual_image_patch_similarity(first, second, net_type="alex", normalize=True)
    assert found == pytest.approx(float(expected), rel=1e-4) and found > 0.01
    assert seen == [6, 3]
    with pytest.raises(UserError, match="AlexNet needs 64"):
        measure(drawn_of(random_pictures(1, 2, 32)), count_to(seen))


def test_weights_out_of_reach_are_told_before_anything_is_loaded(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "unreachable", lambda url: f"no way to {url[:16]}")
    told = weights.problem(weights.ALEXNET, None)
    assert "no way to https://download" in told and "measures.lpips.path=<file>" in told and str(tmp_path) in told
    with pytest.raises(UserError, match="no way to"):
        lpips.Lpips().load(torch.device("cpu"), {})
    place = weights.cached(weights.ALEXNET)
    place.parent.mkdir(parents=True)
    place.touch()
    assert weights.problem(weights.ALEXNET, None) is None and weights.fetched(weights.ALEXNET, None) == place
    assert "there is no such file" in weights.problem(weights.ALEXNET, str(tmp_path / "none.pth"))


def test_clip_diversity_shares_the_scorer_s_clip(clip_folder) -> None:
    scorer = ClipReward(path=str(clip_folder)).load("cpu")
    measure = ClipDiversity(path=str(clip_folder), batch=4).load(torch.device("cpu"), {"clip": scorer})
    assert measure.clip is scorer
    pictures = random_pictures(2, 3, 32)
    pictures[1] = pictures[1, :1]
    found = measure(drawn_of(pictures), count_to([]))
    embedded = scorer.embed_images(pictures[0].float() / 255)
    apart = sum(1 - float(a @ b) for a, b in combinations(embedded, 2)) / 3
    assert found["clip_distance"] == pytest.approx(apart / 2, rel=1e-3)  # the second prompt's pictures are equal
    assert 1 < found["clip_vendi"] < 2
    other = ClipDiversity(path=str(clip_folder)).load(torch.device("cpu"), {})
    assert other(drawn_of(pictures), count_to([])) == pytest.approx(found, rel=1e-3)


def test_scenes_are_read_attribute_by_attribute() -> None:
    logits = torch.randn(4, sum(SIZES) + 2, generator=generator())
    joint = scene_log_probs(logits).exp()
    assert joint.shape == (4, math.prod(SIZES))
    grid = joint.unflatten(1, SIZES)
    for place, head in enumerate(logits[:, : sum(SIZES)].split(SIZES, 1)):
        others = [axis + 1 for axis in range(len(SIZES)) if axis != place]
        torch.testing.assert_close(grid.sum(others), head.softmax(1))


def test_the_verifier_s_distance_is_lpips_formula_pair_by_pair() -> None:
    measure = VerifierDiversity(batch=4).load(torch.device("cpu"), {})
    pictures = random_pictures(3, 3, 32)
    found = measure(drawn_of(pictures), count_to([]))
    layers, logits = features_and_logits(measure.net, pictures.flatten(0, 1).float() / 255)
    torch.testing.assert_close(logits, measure.net(pictures.flatten(0, 1).float() / 255))
    assert [layer.shape[1:] for layer in layers] == [(32, 16, 16), (64, 8, 8), (96, 4, 4)]
    apart = []
    for family in range(3):
        for a, b in combinations(range(3 * family, 3 * family + 3), 2):
            unit = [torch.nn.functional.normalize(layer[[a, b]], dim=1) for layer in layers]
            apart.append(sum(float((pair[0] - pair[1]).square().sum(0).mean()) for pair in unit))
    assert found["verifier_distance"] == pytest.approx(sum(apart) / 9, rel=1e-4)
    assert 1 <= found["verifier_is"] <= 9


def test_kl_of_two_known_policies() -> None:
    """Outputs 0 and a constant c: the means differ by output_weight * c at every step, whatever the trajectory."""
    ddim, shift = make_ddim(), 0.3
    added = [0.0]

    @contextmanager
    def other():
        added[0] = shift
        yield
        added[0] = 0.0

    def denoise(latents: Tensor, *_: Tensor) -> Tensor:
        return torch.full_like(latents, added[0])

    rows = torch.arange(3)
    rolled = rollout(denoise, ddim, rows, rows, branches=1, interval=STEPS, latent_shape=(4, 2, 2), seed=0, stage=-1)
    usable = int(ddim.usable.sum())
    found = trajectory_kl(rolled, denoise, ddim, other, usable=usable, batch=4)
    expected = 0.5 * (ddim.output_weight * shift / ddim.sigma)[:usable].square()
    # At the last step the means differ by 1e-3 of their size, so float32 leaves about four digits of the difference.
    torch.testing.assert_close(found, expected.expand(3, -1), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize(("change", "told"), [
    ({"method": {"eval_images": 1}}, "compares the pictures of one prompt"),
    ({"measures": {"kl": {"_target_": "x.KlToBase", "images": 5}}}, "between 1 and method.eval_images=4"),
    ({"measures": {"clip": {"_target_": "x.ClipDiversity", "path": None}}}, "names no CLIP"),
    ({"measures": {"lpips": {"_target_": "x.Lpips", "path": "/none.pth", "batch": 2}}}, "no such file"),
    ({"measures": {"verifier": {"_target_": "x.VerifierDiversity", "batch": 0}}}, "must be at least 1"),
])
def test_what_the_check_says(change, told: str) -> None:
    cfg = {"mode": "protocol", "method": {"eval_images": 4}, "measures": {}} | change
    (line,) = problems(cfg)
    assert told in line
    assert problems(cfg | {"mode": "train"}) == []
