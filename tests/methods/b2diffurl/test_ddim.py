"""The DDIM step and its log-probability against diffusers' own step and `torch.distributions`."""

import pytest
import torch
from diffusers import DDIMScheduler

from src.core.errors import UserError
from src.methods.b2diffurl.ddim import Ddim

SPACINGS = ["leading", "linspace", "trailing"]
PREDICTIONS = ["epsilon", "v_prediction", "sample"]
STEPS = [1, 4, 7, 10, 20, 30, 50]  # 7 and 30 do not divide 1000
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def make_scheduler(**options):
    options = {"clip_sample": False, "steps_offset": 1, "set_alpha_to_one": False, **BETAS, **options}
    return DDIMScheduler(**options)


def pictures(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, 4, 4, 4, generator=generator) for _ in range(3)]


def hand_step(scheduler, index, x, output, noise, eta):
    """Equations 12 and 16 of the DDIM paper in double precision, previous timestep from the list."""
    times = scheduler.timesteps.tolist()
    last = index + 1 == len(times)
    a = scheduler.alphas_cumprod[times[index]].double()
    b = (scheduler.final_alpha_cumprod if last else scheduler.alphas_cumprod[times[index + 1]]).double()
    x, output = x.double(), output.double()
    if scheduler.config.prediction_type == "epsilon":
        epsilon, x0 = output, (x - (1 - a).sqrt() * output) / a.sqrt()
    elif scheduler.config.prediction_type == "sample":
        epsilon, x0 = (x - a.sqrt() * output) / (1 - a).sqrt(), output
    else:
        epsilon, x0 = a.sqrt() * output + (1 - a).sqrt() * x, a.sqrt() * x - (1 - a).sqrt() * output
    sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).clamp(min=0).sqrt()
    return b.sqrt() * x0 + (1 - b - sigma**2).clamp(min=0).sqrt() * epsilon + sigma * noise


def same_previous(scheduler, index, steps):
    """Whether diffusers' `t - 1000 // T` leads to the alpha that the scheduler's own list names next."""
    times = scheduler.timesteps.tolist()
    theirs = times[index] - 1000 // steps
    if index + 1 < steps:
        return theirs == times[index + 1]
    return theirs < 0


@pytest.mark.parametrize("to_one", [False, True])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("eta", [1.0, 0.5, 0.0])
def test_a_step_is_diffusers_step(spacing, prediction, to_one, eta):
    scheduler = make_scheduler(timestep_spacing=spacing, prediction_type=prediction, set_alpha_to_one=to_one)
    x, output, noise = pictures(3)
    compared = 0
    for steps in STEPS:
        ddim = Ddim.from_scheduler(scheduler, steps, eta)
        for index, time in enumerate(ddim.timesteps.tolist()):
            ours = ddim.add_noise(ddim.mean(x, output, index), noise, index)
            torch.testing.assert_close(
                ours.double(), hand_step(scheduler, index, x, output, noise, eta), rtol=2e-5, atol=2e-5
            )
            if same_previous(scheduler, index, steps):
                theirs = scheduler.step(output, time, x, eta=eta, variance_noise=noise).prev_sample
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
                compared += 1
    # Leading spacing agrees everywhere with diffusers: its list is built from the same 1000 // T.
    assert compared == sum(STEPS) if spacing == "leading" else compared > 0


@pytest.mark.parametrize(("spacing", "steps"), [("linspace", 20), ("linspace", 30), ("trailing", 30), ("trailing", 7)])
def test_trap_2_previous_timestep_is_from_the_list_where_diffusers_takes_another(spacing, steps):
    scheduler = make_scheduler(timestep_spacing=spacing)
    ddim = Ddim.from_scheduler(scheduler, steps)
    differs = [index for index in range(steps) if not same_previous(scheduler, index, steps)]
    assert differs
    x, output, noise = pictures(2)
    index = differs[0]
    theirs = scheduler.step(output, ddim.timesteps[index].item(), x, eta=1.0, variance_noise=noise).prev_sample
    ours = ddim.add_noise(ddim.mean(x, output, index), noise, index)
    assert (ours - theirs).abs().max() > 1e-4
    assert torch.equal(ddim.alpha_bar_prev[:-1], ddim.alpha_bar_t[1:])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("to_one", [False, True])
@pytest.mark.parametrize("offset", [0, 1])
def test_trap_2_a_step_without_noise_is_excluded_and_gives_no_nan(spacing, to_one, offset):
    scheduler = make_scheduler(timestep_spacing=spacing, set_alpha_to_one=to_one, steps_offset=offset)
    ddim = Ddim.from_scheduler(scheduler, 10)
    ends_at_zero = scheduler.timesteps[-1] == 0 and not to_one  # final_alpha_cumprod is the alpha of timestep 0
    assert ddim.usable.tolist() == [True] * 9 + [not (to_one or ends_at_zero)]
    mean = torch.randn(10, 4, 4, 4, requires_grad=True)
    log_prob = ddim.log_prob(torch.randn(10, 4, 4, 4), mean, torch.arange(10))
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and mean.grad.isfinite().all()
    assert (mean.grad.flatten(1).abs().sum(1) > 0).tolist() == ddim.usable.tolist()
    assert (log_prob[~ddim.usable] == 0).all()


def test_eta_zero_has_no_log_probabilities():
    assert not Ddim.from_scheduler(make_scheduler(), 10, eta=0.0).usable.any()


@pytest.mark.parametrize("spacing", SPACINGS)
def test_log_prob_is_the_mean_normal_density(spacing):
    ddim = Ddim.from_scheduler(make_scheduler(timestep_spacing=spacing, steps_offset=0, set_alpha_to_one=False), 20)
    x, output, noise = pictures(20)
    steps = torch.arange(20)
    mean = ddim.mean(x, output, steps)
    actual = ddim.log_prob(mean + noise * ddim.sigma[:, None, None, None], mean, steps)
    for row in ddim.usable.nonzero().flatten():
        normal = torch.distributions.Normal(mean[row].double(), ddim.sigma[row].double())
        expected = normal.log_prob(mean[row].double() + noise[row].double() * ddim.sigma[row]).mean()
        torch.testing.assert_close(actual[row].double(), expected, rtol=1e-5, atol=1e-5)
    assert actual.shape == (20,) and actual.dtype == torch.float32


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_mixed_batch_equals_its_rows_bit_for_bit(prediction):
    ddim = Ddim.from_scheduler(make_scheduler(prediction_type=prediction), 20)
    x, output, noise = pictures(50)
    steps = torch.randint(0, 20, (50,), generator=torch.Generator().manual_seed(1))
    mean = ddim.mean(x, output, steps)
    following = ddim.add_noise(mean, noise, steps)
    log_prob = ddim.log_prob(following, mean, steps)
    for row, step in enumerate(steps.tolist()):
        one = slice(row, row + 1)
        assert torch.equal(ddim.mean(x[one], output[one], step), mean[one])
        assert torch.equal(ddim.log_prob(following[one], mean[one], step), log_prob[one])


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 64, 64), (3, 5, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_trap_1_ratio_is_exactly_1_for_the_same_output_at_any_batch_shape(shape, dtype):
    """The model's output may be of half precision; latents and log-probabilities are always float32."""
    ddim = Ddim.from_scheduler(make_scheduler(), 20)
    x, output, noise = torch.randn(3, 24, *shape, generator=torch.Generator().manual_seed(0))
    steps = torch.arange(24) % 20
    output = output.to(dtype)
    mean = ddim.mean(x, output, steps)
    following = ddim.add_noise(mean, noise, steps)
    assert following.dtype == torch.float32
    old = ddim.log_prob(following, mean, steps)
    for size in (1, 5, 24):
        rows = [slice(start, start + size) for start in range(0, 24, size)]
        new = torch.cat([ddim.log_prob(following[r], ddim.mean(x[r], output[r], steps[r]), steps[r]) for r in rows])
        assert ((new - old).exp() == 1).all()


def test_trap_1_rounding_the_trajectory_to_bf16_would_break_the_ratio():
    """Why latents are kept in float32: the last step's log-ratio moves by thirty times DDPO's clip range of 1e-4."""
    ddim = Ddim.from_scheduler(make_scheduler(), 20)
    x, output, noise = torch.randn(3, 1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    mean = ddim.mean(x, output, 19)
    following = ddim.add_noise(mean, noise, 19)
    ratio = ddim.log_prob(following.bfloat16(), mean, 19) - ddim.log_prob(following, mean, 19)
    assert ratio.abs() > 1e-3


def test_zero_terminal_snr_works_for_v_prediction():
    scheduler = make_scheduler(
        rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing", set_alpha_to_one=True
    )
    ddim = Ddim.from_scheduler(scheduler, 10)
    assert ddim.latent_weight.isfinite().all() and ddim.output_weight.isfinite().all()


@pytest.mark.parametrize(
    ("options", "steps", "eta", "words"),
    [
        ({"clip_sample": True}, 10, 1.0, "clip_sample"),
        ({"thresholding": True}, 10, 1.0, "thresholding"),
        ({}, 0, 1.0, "steps=0"),
        ({}, 1001, 1.0, "steps=1001"),
        ({}, 10, 1.5, "eta=1.5"),
        ({}, 10, -0.1, "eta=-0.1"),
        ({"timestep_spacing": "trailing"}, 61, 1.0, "not a chain"),  # diffusers' list has 62 entries and ends with -1
        ({}, 1000, 1.0, "from 1000 to 1, is not a chain"),  # the offset of 1 leads beyond the last timestep, 999
        ({"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}, 10, 1.0, "zero_snr"),
    ],
)
def test_unsupported_schedulers_are_refused_by_name(options, steps, eta, words):
    with pytest.raises(UserError, match=words):
        Ddim.from_scheduler(make_scheduler(**options), steps, eta)
