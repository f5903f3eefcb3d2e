"""The stages of a network as its paper's table lists them."""

import pytest
import torch

from edgekit.profile import count, stages
from edgekit.registry import models


def of(name):
    spec = models.get(name)
    with torch.device("meta"):
        return stages(spec.build().eval(), (1, *spec.input_shape))


def test_resnet_is_shown_as_the_papers_table():
    found = {stage.name: stage.output for stage in of("resnet18")}
    assert found["layer1"] == (64, 56, 56)
    assert found["layer4"] == (512, 7, 7)
    assert list(found)[-1] == "fc"


def test_a_container_that_is_the_whole_network_is_opened():
    found = [stage.name for stage in of("mobilenet_v2")]
    assert found[0] == "features.0"
    assert found[-1] == "classifier"
    assert len([name for name in found if name.startswith("features.")]) == 19


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v1", "mobilenet_v3_large"])
def test_stages_add_up_to_the_whole(name):
    spec = models.get(name)
    found = of(name)
    with torch.device("meta"):
        whole = count(spec.build(), (1, *spec.input_shape))
    assert (sum(s.params for s in found), sum(s.macs for s in found)) == (whole.params, whole.macs)
