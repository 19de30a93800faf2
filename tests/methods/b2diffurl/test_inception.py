"""The Inception Score on torch-fidelity's architecture with random weights, against torchmetrics."""

from __future__ import annotations

import pytest
import torch

from src.core.errors import UserError
from src.methods.b2diffurl.measures.base import Drawn
from src.methods.b2diffurl.measures.inception import LOGITS, InceptionScore

library = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="pip install -e '.[fidelity]'")


@pytest.mark.slow
def test_inception_score_by_the_library_s_network(tmp_path, monkeypatch) -> None:
    from torchmetrics.image.inception import InceptionScore as Metric

    file = tmp_path / "inception.pth"
    with monkeypatch.context() as patch:
        patch.setattr(library, "load_state_dict_from_url", lambda *args, **options: None)
        patch.setattr(library.FeatureExtractorInceptionV3, "load_state_dict", lambda net, state: None)
        net = library.FeatureExtractorInceptionV3("inception-v3-compat", [LOGITS])
    for layer in net.modules():  # torch's own start lets pictures fade away over so many layers
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, generator=torch.Generator().manual_seed(0))
    net.fc.weight.data *= 30  # a random network hardly tells pictures apart, whose score would be 1
    torch.save(net.state_dict(), file)
    pictures = torch.randint(0, 256, (2, 3, 3, 40, 40), generator=torch.Generator().manual_seed(1)).byte()
    pictures[1] //= 4
    measure = InceptionScore(path=str(file), batch=4).load(torch.device("cpu"), {})
    found = measure(Drawn(pictures, lambda images: None), lambda number: None)["inception_score"]

    class Bare(torch.nn.Module):
        def forward(self, images):
            return net(images)[0]

    metric = Metric(feature=Bare(), splits=1)
    metric.update(pictures.flatten(0, 1))
    assert found == pytest.approx(float(metric.compute()[0]), rel=1e-4) and found > 1.01
    torch.save({"fc.weight": torch.zeros(2)}, file)
    with pytest.raises(UserError, match="not weights of torch-fidelity"):
        measure.load(torch.device("cpu"), {})
