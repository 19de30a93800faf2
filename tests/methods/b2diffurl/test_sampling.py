"""Branch-batched sampling against a loop over branches, one at a time, with the same noise."""

import pytest
import torch
from diffusers import DDIMScheduler
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.noise import keyed_normal
from src.methods.b2diffurl.sampling import rollout

SHAPE = (4, 8, 8)
STEPS = 6
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


class Denoiser(nn.Module):
    """A small convolutional denoiser that counts the rows it is given."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 4, 3, padding=1))
            self.prompts, self.steps = nn.Embedding(5, 4), nn.Embedding(STEPS, 4)
        self.rows, self.largest = 0, 0

    def forward(self, latents, step_index, prompt_index):
        self.rows += len(latents)
        self.largest = max(self.largest, len(latents))
        assert step_index.shape == prompt_index.shape == (len(latents),)
        shift = self.prompts(prompt_index) + self.steps(step_index)
        return self.net(latents + shift[:, :, None, None])


def make_ddim(**options):
    scheduler = DDIMScheduler(clip_sample=False, steps_offset=1, set_alpha_to_one=False, **options)
    return Ddim.from_scheduler(scheduler, STEPS)


def sample(slots=(0, 1, 2), prompts=None, denoise=None, **options):
    slots = torch.tensor(slots)
    prompts = slots % 5 if prompts is None else torch.tensor(prompts)
    options = {"branches": 3, "interval": 2, "latent_shape": SHAPE, "seed": 1, "stage": 4} | options
    return rollout(denoise or Denoiser(), make_ddim(), prompts, slots, **options)


@torch.no_grad()
def slow_branch(denoise, ddim, prompt, slot, branch, interval, seed=1, stage=4):
    """One picture from beginning to end: noise of the trunk before the interval, of the branch within it."""

    def noise(branch, step):
        key = {"slots": torch.tensor([slot]), "branches": torch.tensor([branch]), "step": step}
        return keyed_normal(SHAPE, seed=seed, stage=stage, **key)

    latents, states, log_probs = noise(-1, -1), [], []
    for step in range(STEPS):
        inside = step >= STEPS - interval
        if inside:
            states.append(latents[0])
        index = torch.tensor([step])
        mean = ddim.mean(latents, denoise(latents, index, torch.tensor([prompt])), index)
        latents = mean + ddim.sigma[step] * noise(branch if inside else -1, step)
        if inside:
            normal = torch.distributions.Normal(mean, ddim.sigma[step])
            log_probs.append(normal.log_prob(latents).mean())
    return torch.stack([*states, latents[0]]), torch.stack(log_probs)


@pytest.mark.parametrize("interval", [1, 3, STEPS])
@pytest.mark.parametrize("branches", [1, 3])
@pytest.mark.parametrize("max_batch", [None, 2])
def test_batched_branches_equal_a_loop_over_branches(interval, branches, max_batch):
    result = sample(branches=branches, interval=interval, max_batch=max_batch)
    denoise, ddim = Denoiser(), make_ddim()
    for row in range(3 * branches):
        slot = row // branches
        states, log_probs = slow_branch(denoise, ddim, slot % 5, slot, row % branches, interval)
        # Convolutions round differently for other batch sizes; the noise is the same bit for bit.
        torch.testing.assert_close(result.trajectory[row], states, **CLOSE)
        torch.testing.assert_close(result.log_probs[row], log_probs, **CLOSE)
        assert torch.equal(result.latents[row], result.trajectory[row, -1])
    assert result.trunks.tolist() == [slot for slot in range(3) for _ in range(branches)]
    assert result.step_indices.tolist() == list(range(STEPS - interval, STEPS))
    assert result.trajectory.dtype == torch.float32


@pytest.mark.parametrize(("interval", "branches"), [(1, 3), (4, 3), (STEPS, 3), (STEPS, 1)])
@pytest.mark.parametrize("max_batch", [None, 1, 4])
def test_evaluations_are_counted_and_follow_the_formula(interval, branches, max_batch):
    denoise = Denoiser()
    sample(denoise=denoise, branches=branches, interval=interval, max_batch=max_batch)
    assert denoise.rows == 3 * ((STEPS - interval) + branches * interval)
    assert denoise.largest <= (max_batch or 3 * branches)


@pytest.mark.parametrize("own", [1, 2, 3])
def test_every_process_calls_the_network_as_often_as_the_busiest(own):
    """Of three trunks two at a time: two calls a step, then five for their nine branches."""
    network, calls = Denoiser(), []

    def denoise(latents, *told):
        calls.append(len(latents))
        return network(latents, *told)

    found = sample(range(own), denoise=denoise, interval=2, max_batch=2, most=3)
    assert len(calls) == (STEPS - 2) * 2 + 2 * 5
    assert torch.equal(found.latents, sample(range(own), interval=2, max_batch=2).latents)


def test_siblings_share_the_trunk_and_nothing_after_it():
    result = sample(interval=2)
    families = result.trajectory.unflatten(0, (3, 3))  # [trunks, branches, states, C, H, W]
    assert torch.equal(families[:, 0, 0], families[:, 1, 0])
    assert torch.equal(families[:, 0, 0], families[:, 2, 0])
    for state in (1, 2):
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert (families[:, one, state] - families[:, other, state]).abs().flatten(1).max(1).values.min() > 0.01


def test_with_the_whole_chain_branches_share_only_the_initial_noise():
    whole, single = sample(interval=STEPS), sample(interval=STEPS, branches=1)
    families = whole.trajectory.unflatten(0, (3, 3))
    assert torch.equal(families[:, 0, 0], families[:, 2, 0])
    torch.testing.assert_close(families[:, 0], single.trajectory, **CLOSE)


def test_without_a_shared_trunk_siblings_part_at_once_and_only_the_interval_is_kept():
    whole, denoise = sample(interval=STEPS), Denoiser()
    part = sample(interval=2, shared_trunk=False, denoise=denoise)
    assert torch.equal(part.latents, whole.latents)
    assert torch.equal(part.trajectory, whole.trajectory[:, -3:])
    assert torch.equal(part.log_probs, whole.log_probs[:, -2:])
    assert part.step_indices.tolist() == [STEPS - 2, STEPS - 1]
    assert denoise.rows == 3 * 3 * STEPS


def test_trap_8_a_picture_does_not_depend_on_batch_ranks_or_branches():
    together = sample(slots=(0, 1, 2, 3), branches=2)
    shared = [sample(slots=slots, branches=2, max_batch=size) for slots, size in (((2, 0), 3), ((3, 1), 1))]
    for part in shared:
        for row, slot in enumerate(part.trunks.tolist()):
            torch.testing.assert_close(part.latents[row], together.latents[2 * slot + row % 2], **CLOSE)
    more = sample(slots=(0, 1, 2, 3), branches=4)
    torch.testing.assert_close(more.latents.unflatten(0, (4, 4))[:, :2], together.latents.unflatten(0, (4, 2)), **CLOSE)


@pytest.mark.parametrize("change", [{"seed": 2}, {"stage": 5}, {"slots": (3, 4, 5), "prompts": (0, 1, 2)}])
def test_trap_8_another_key_is_another_picture(change):
    difference = sample().latents - sample(**change).latents
    assert difference.flatten(1).abs().max(1).values.min() > 0.01


def test_the_same_call_gives_the_same_bits_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, other = sample(), sample()
    assert torch.equal(one.trajectory, other.trajectory) and torch.equal(one.log_probs, other.log_probs)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trap_1_log_probs_are_reproduced_from_the_stored_trajectory(dtype):
    """The ratio is exactly 1 before the first update: stored latents hold all that the log-probability needs."""
    net = Denoiser().to(dtype)

    def denoise(latents, step_index, prompt_index):
        return net(latents.to(dtype), step_index, prompt_index)

    result, ddim = sample(denoise=denoise, interval=4), make_ddim()
    for j, step in enumerate(result.step_indices.tolist()):
        x, following = result.trajectory[:, j], result.trajectory[:, j + 1]
        index = torch.full((len(x),), step)
        mean = ddim.mean(x, denoise(x, index, result.prompt_index), index)
        ratio = (ddim.log_prob(following, mean, index) - result.log_probs[:, j]).exp()
        assert (ratio == 1).all()


def test_nothing_is_kept_for_evaluation_and_progress_is_reported():
    ticks = []
    result = sample(keep=False, progress=ticks.append)
    assert result.trajectory is None and result.log_probs is None
    assert torch.equal(result.latents, sample().latents)
    assert ticks == [1] * STEPS


@pytest.mark.parametrize("wrong", [{"interval": 0}, {"interval": STEPS + 1}, {"branches": 0}])
def test_impossible_intervals_and_branches_are_refused(wrong):
    with pytest.raises(ValueError, match="interval="):
        sample(**wrong)


class NoHostRead(TorchDispatchMode):
    """Fails on operations that make the host wait for the device."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in self.WAITS, f"{name} waits for the device"
        return function(*args, **(kwargs or {}))


def test_the_loop_never_waits_for_the_device():
    ddim, slots, denoise = make_ddim(), torch.arange(3), Denoiser()
    options = {"branches": 3, "interval": 2, "latent_shape": SHAPE, "seed": 1, "stage": 4, "max_batch": 4}
    with NoHostRead():
        rollout(denoise, ddim, slots, slots, **options)
    with pytest.raises(AssertionError, match="local_scalar_dense"), NoHostRead():
        torch.ones(1).item()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_noise_is_the_same_and_the_loop_never_waits():
    key = {"seed": 1, "stage": 4, "slots": torch.arange(9), "branches": torch.arange(9) % 3, "step": 2}
    torch.testing.assert_close(keyed_normal(SHAPE, **key, device="cuda").cpu(), keyed_normal(SHAPE, **key))
    ddim = Ddim(**{name: value.cuda() for name, value in vars(make_ddim()).items()})
    slots, denoise = torch.arange(3, device="cuda"), Denoiser().cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        rollout(denoise, ddim, slots, slots, branches=3, interval=2, latent_shape=SHAPE, seed=1, stage=4)
    finally:
        torch.cuda.set_sync_debug_mode("default")
