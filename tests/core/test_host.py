"""Random numbers of what is made on the host."""

from __future__ import annotations

import pytest
import torch

from src.core.host import seeded_on_host


def test_a_seed_on_the_host_is_noticed_by_no_other_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with seeded_on_host(3):
        assert torch.equal(torch.rand(4), expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == [5]  # by this test alone
