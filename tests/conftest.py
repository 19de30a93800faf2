"""Stand-ins that are built once for a whole test session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:  # processes that share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# Files with a few long tests. Begun last, one of them would run alone at the end.
LONG = ("pretend", "kills", "two_processes", "test_compose", "test_commands", "test_run_b2", "test_b2_resume")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(name in item.nodeid.partition("::")[0] for name in LONG))


@pytest.fixture(autouse=True)
def charts_in_no_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Laying out and rendering charts takes longer than a short run's training: a file of one pixel stands for each,
    except in tests marked `draws`, in processes of their own and in fixtures that several tests share."""
    if not request.node.get_closest_marker("draws"):
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, file: Image.new("RGB", (1, 1)).save(file))


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline folder, SD 1.x's configuration at reduced width and depth."""
    from tests import standins

    return standins.stable_diffusion(tmp_path_factory.mktemp("standins") / "stable_diffusion")


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionXLPipeline folder, the base model's configuration at reduced width."""
    from tests import standins_sdxl

    return standins_sdxl.stable_diffusion_xl(tmp_path_factory.mktemp("standins") / "stable_diffusion_xl")


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers CLIP folder for pictures of 32 pixels."""
    from tests import standins

    return standins.clip(tmp_path_factory.mktemp("standins") / "clip")
