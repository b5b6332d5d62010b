"""Names with constructor arguments: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from benchmarks import lookup
from benchmarks.errors import UserError
from models.gaussian_vae import GaussianVAE


def test_arguments_reach_the_constructor_with_its_types():
    plugin = lookup.find("model", "gaussian_vae[hidden=16, noise=1, latent_dim=none]")
    assert plugin.name == "gaussian_vae[hidden=16,noise=1.0,latent_dim=None]"
    model = plugin.load()()
    assert isinstance(model, GaussianVAE)
    assert (model.hidden, model.noise, model.latent_dim, model.depth) == (16, 1.0, None, 2)


def test_a_name_without_arguments_is_the_class_itself():
    assert lookup.find("model", "gaussian_vae").load() is GaussianVAE
    assert lookup.find("model", "gaussian_vae[]").name == "gaussian_vae"


def test_lists_make_a_sweep_of_all_combinations():
    names = [
        plugin.name for plugin in lookup.find_all("model", ["gaussian_vae[hidden=[8,16],depth=[1,2]]", "gaussian"])
    ]
    assert names == [
        "gaussian_vae[hidden=8,depth=1]",
        "gaussian_vae[hidden=8,depth=2]",
        "gaussian_vae[hidden=16,depth=1]",
        "gaussian_vae[hidden=16,depth=2]",
        "gaussian",
    ]
    with pytest.raises(UserError, match="is 2 models; one is needed here"):
        lookup.find("model", "gaussian_vae[hidden=[8,16]]")


def test_arguments_of_a_class_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from models.gaussian_vae import GaussianVAE\nclass Mine(GaussianVAE):\n    pass\n")
    plugin = lookup.find("model", f"{file}:Mine[hidden=4]")
    assert (plugin.name, plugin.load()().hidden) == ("Mine[hidden=4]", 4)
    assert plugin.file() == file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gaussian_vae[hiden=16]", "unknown argument 'hiden'; did you mean hidden"),
        ("gaussian_vae[hidden=many]", "hidden = 'many'"),
        ("gaussian_vae[hidden=1.5]", "hidden = 1.5"),
        ("gaussian_vae[hidden=16", "closing bracket"),
        ("gaussian_vae[16]", "name=value"),
        ("gaussian_vae[hidden=__import__('os')]", "write it as"),
        ("gaussian_vae[hidden=16,hidden=8]", "repeated"),
        ("gausian_vae[hidden=16]", "did you mean gaussian_vae"),
        ("oracle[hidden=1]", "oracle has no arguments"),
        ("gaussian_vae[" + "(" * 10_000 + "]", "write it as"),
    ],
)
def test_what_is_wrong_is_said(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        lookup.sweep("model", name)
    assert message in str(caught.value)
