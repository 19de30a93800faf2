"""Two processes do what one does: rewards, choice, updates and figures, also where they keep unequal numbers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.b2diffurl.cases import CASES, carried_out
from tests.processes import side_by_side

ALONE = ("lopsided", "sharded_hosts", "sharded_half")
SLOW = [name for name in CASES if name not in ALONE]


def by_two(sd: Path, folder: Path, *cases: str, count: int = 2) -> dict[str, list[dict[str, Any]]]:
    """What all ranks saw of each case."""
    side_by_side(count, "tests.methods.b2diffurl.cases", [str(sd), str(folder), *cases])
    return {case: [torch.load(folder / case / f"{rank}.pt", weights_only=False) for rank in range(count)]
            for case in cases}


@pytest.fixture(scope="module")
def two(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return by_two(sd_folder, tmp_path_factory.mktemp("two"), *SLOW)


def equal_runs(one: dict[str, Any], two: list[dict[str, Any]]) -> None:
    assert {len(rank["gradients"]) for rank in two} == {len(one["gradients"])} != {0}
    for gradient, *both in zip(one["gradients"], *(rank["gradients"] for rank in two), strict=True):
        assert all(torch.equal(both[0], other) for other in both[1:])
        assert (both[0] - gradient).norm() < 1e-2 * gradient.norm()  # pictures of other batches, rounded otherwise
    # A weight without influence has rounding as its gradient, of which AdamW makes steps of full length.
    size = torch.stack(one["gradients"]).abs().amin(0)
    matters = size > 1e-2 * size.max()
    for number, stage in enumerate(one["stages"]):
        equal_stages(stage, [rank["stages"][number] for rank in two], matters)
    for rank in two:
        assert rank["rewards"]["prompts"] == one["rewards"]["prompts"]
        torch.testing.assert_close(torch.tensor(rank["rewards"]["rewards"]), torch.tensor(one["rewards"]["rewards"]),
                                   atol=1e-6, rtol=1e-4)
        for label in ("before", "after"):
            assert rank[label] == two[0][label] == pytest.approx(one[label], rel=1e-3, abs=1e-4)
        assert rank["costs"]["cost/reward_queries"] == one["costs"]["cost/reward_queries"]


def equal_stages(one: dict[str, Any], two: list[dict[str, Any]], matters: torch.Tensor) -> None:
    """`matters`: the weights to compare."""
    assert torch.equal(torch.cat([rank["prompts"] for rank in two]), one["prompts"])
    for name in ("advantages", "trajectory"):
        torch.testing.assert_close(torch.cat([rank[name] for rank in two]), one[name], atol=1e-3, rtol=1e-3)
    assert all(torch.equal(two[0]["weights"], rank["weights"]) for rank in two[1:])
    torch.testing.assert_close(two[0]["weights"][matters], one["weights"][matters], atol=1e-5, rtol=1e-3)
    assert two[0]["figures"] == two[1]["figures"] == pytest.approx(one["figures"], rel=1e-2, abs=1e-5)


def test_two_processes_equal_one_with_unequal_and_empty_shares(sd_folder: Path, tmp_path: Path) -> None:
    found = by_two(sd_folder, tmp_path / "two", "lopsided")["lopsided"]
    one = carried_out("lopsided", sd_folder, tmp_path / "one")
    equal_runs(one, found)
    kept = [tuple(len(stage["advantages"]) for stage in stages)
            for stages in zip(*(rank["stages"] for rank in found), strict=True)]
    assert any(first != second and 0 in (first, second) for first, second in kept), kept
    assert {"cost/seconds_wait", "cost/seconds_communicate"} == found[0]["costs"].keys() - one["costs"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_two_processes_equal_one(two, sd_folder: Path, tmp_path: Path, case: str) -> None:
    one = carried_out(case, sd_folder, tmp_path)
    equal_runs(one, two[case])
    assert two[case][0]["sizes"] == two[case][1]["sizes"]
    if CASES[case].get("micro_batch") == "auto":
        assert two[case][0]["sizes"][0] < one["sizes"][0]  # half of the host is each process's
    if CASES[case].get("replay") == "always":
        assert all(stage["figures"]["policy/first_ratio_dev"] == 0 for stage in two[case][0]["stages"])


@pytest.mark.slow
def test_four_processes_of_two_hosts_that_share_weights_equal_one(sd_folder: Path, tmp_path: Path) -> None:
    four = by_two(sd_folder, tmp_path / "four", "sharded_hosts", count=4)["sharded_hosts"]
    equal_runs(carried_out("sharded_hosts", sd_folder, tmp_path / "one"), four)


@pytest.mark.slow
def test_shared_weights_in_half_precision_have_ratio_one_and_the_same_gradient(sd_folder: Path, tmp_path: Path) -> None:
    """As far as eight bits allow; later updates magnify what they leave out."""
    found = by_two(sd_folder, tmp_path / "two", "sharded_half")["sharded_half"]
    one = carried_out("sharded_half", sd_folder, tmp_path / "one")
    assert all(stage["figures"]["policy/first_ratio_dev"] == 0 for stage in found[0]["stages"])
    gradients = one["gradients"][0], found[0]["gradients"][0]
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.mark.slow
def test_a_stop_ends_all_ranks_at_once_and_a_failure_leaves_none_waiting(sd_folder: Path, tmp_path: Path) -> None:
    """The first rank draws one trunk in 7 batches, the second, which hears of it alone, two in 10."""
    expected = {
        "sampling-stop": ["signal 10 sampling:1"] * 2,
        "scoring-stop": [f"signal 10 sampling:{batches} scoring:1" for batches in (7, 10)],
        "replaying-stop": [f"signal 10 sampling:{batches} scoring:{pictures} replaying:1"
                           for batches, pictures in ((7, 2), (10, 3))],
        "sampling-failure": ["broken sampling:7", "broken sampling:1"],
        "scoring-failure": ["broken sampling:7 scoring:2", "broken sampling:10 scoring:1"],
    }
    side_by_side(2, "tests.methods.b2diffurl.stopping", [str(sd_folder), str(tmp_path), *expected], seconds=100)
    assert {case: [(tmp_path / case / f"{rank}.txt").read_text() for rank in (0, 1)] for case in expected} == expected


@pytest.mark.slow
@pytest.mark.parametrize("case", ["distance", "shared"])
def test_a_rank_that_runs_out_of_memory_leaves_no_other_waiting(sd_folder: Path, tmp_path: Path, case: str) -> None:
    """All stop for its reason; where the others wait for its weights, it does not wait for them."""
    failing = pytest.raises(AssertionError, match="OutOfMemoryError") if case == "shared" else nullcontext()
    with failing:
        side_by_side(2, "tests.methods.b2diffurl.out_of_memory", [str(sd_folder), str(tmp_path), case], seconds=100)
    told = {rank: (tmp_path / f"{rank}.txt").read_text() for rank in (0, 1) if (tmp_path / f"{rank}.txt").is_file()}
    assert all("method.rollout_batch=64: was too much" in words for words in told.values())
    assert told[1].startswith("False True" if case == "shared" else "True False") and (case == "shared" or 0 in told)
