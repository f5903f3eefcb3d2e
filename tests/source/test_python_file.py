"""`file.py:callable`: the user's own code, and what is said when it fails."""

import sys
from textwrap import dedent

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve

NET = """
    import torch
    from torch import nn
    from edgekit.registry import Preprocess

    PREPROCESS = Preprocess(resize=20, crop=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3, labels="cifar10")

    def make(num_classes=10, width=4):
        head = nn.Linear(width, num_classes)
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.py"):
        path = tmp_path / name
        path.write_text(dedent(text))
        return path

    return write


def source(model, **choices):
    return resolve(make_recipe(model=str(model), targets=("t",), **choices))


def refused(code, model, **choices):
    with pytest.raises(EdgekitError) as raised:
        source(model, **choices)
    assert raised.value.code == code, raised.value
    return raised.value


def test_the_callables_module_is_ready_to_be_traced(write):
    found = source(f"{write(NET)}:make")
    assert (found.name, found.weights, found.graph) == ("make", "as built", None)
    assert (found.input_shape, found.classes) == ((1, 3, 16, 16), 10)
    assert not found.module.training
    assert len(found.labels) == 10
    assert found.preprocess.resize == 20


def test_options_of_the_recipe_reach_the_callable(write):
    found = source(f"{write(NET)}:make", num_classes=7, model_args={"width": 6}, input_size="24x32")
    assert (found.classes, found.module[0].out_channels, found.input_shape) == (7, 6, (1, 3, 24, 32))


def test_the_seed_decides_the_weights_and_torchs_own_generator_stays(write):
    path = write(NET)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    hashes = [source(f"{path}:make", seed=seed).weights_sha256 for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_checkpoint_is_loaded_into_it(write, tmp_path):
    path = write(NET)
    state = {key: torch.ones_like(value) for key, value in source(f"{path}:make").module.state_dict().items()}
    torch.save(state, tmp_path / "own.pth")
    found = source(f"{path}:make", weights=str(tmp_path / "own.pth"))
    assert found.weights == "own.pth"
    assert torch.equal(found.module[3].bias, torch.ones(10))


def test_a_finished_module_and_a_class_may_be_named_too(write):
    path = write("""
        from torch import nn
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()).double()
        class Net(nn.Conv2d):
            def __init__(self):
                super().__init__(3, 2, 1)
        """)
    found = source(f"{path}:net")
    assert isinstance(found.module, nn.Sequential)
    assert found.module[0].weight.dtype == torch.float32
    assert not found.module[1].training
    assert (found.input_shape, found.preprocess.labels) == ((1, 3, 224, 224), None)
    assert source(f"{path}:Net").classes is None


def test_the_file_may_import_its_neighbours_and_leaves_no_trace(write, tmp_path):
    write("WIDTH = 6", "neighbour_of_net.py")
    path = write("""
        from torch import nn
        import neighbour_of_net
        def make():
            return nn.Conv2d(3, neighbour_of_net.WIDTH, 1)
        """)
    before = list(sys.path)
    assert source(f"{path}:make").module.out_channels == 6
    assert sys.path == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["neighbour_of_net.py", "net.py"]


def test_each_file_gets_the_neighbours_of_its_own_folder(tmp_path):
    """Two models in one process, each with a file blocks_of_net.py beside it, and one that is changed in between."""
    for width, folder in enumerate(("first", "second"), start=5):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "blocks_of_net.py").write_text(f"WIDTH = {width}")
        (tmp_path / folder / "net.py").write_text(
            "from torch import nn\nimport blocks_of_net\ndef make():\n    return nn.Conv2d(3, blocks_of_net.WIDTH, 1)\n"
        )
    widths = [source(f"{tmp_path}/{folder}/net.py:make").module.out_channels for folder in ("first", "second")]
    (tmp_path / "second" / "blocks_of_net.py").write_text("WIDTH = 9  # longer, so that no cached code is taken")
    assert [*widths, source(f"{tmp_path}/second/net.py:make").module.out_channels] == [5, 6, 9]


def test_an_environment_inside_the_folder_is_imported_once(tmp_path, monkeypatch):
    """Libraries register things when they are imported; a second import would break them."""
    site = tmp_path / ".venv" / "site-packages"
    site.mkdir(parents=True)
    (site / "library_of_net.py").write_text("TOKEN = object()")
    monkeypatch.syspath_prepend(site)
    (tmp_path / "net.py").write_text(
        "from torch import nn\nimport library_of_net\nclass Net(nn.Conv2d):\n    token = library_of_net.TOKEN\n"
        "def make():\n    return Net(3, 4, 1)\n"
    )
    first, second = (source(f"{tmp_path}/net.py:make").module.token for _ in range(2))
    monkeypatch.delitem(sys.modules, "library_of_net")
    assert first is second


def test_a_missing_file_is_named(tmp_path):
    assert refused("EK102", f"{tmp_path}/no.py:make").where == f"{tmp_path}/no.py"


@pytest.mark.parametrize("suffix", ["", ":", ":not-a-name"])
def test_the_callable_must_be_named(write, suffix):
    assert ":NAME" in refused("EK107", f"{write(NET)}{suffix}").fix


def test_a_missing_callable_gets_a_near_miss_or_what_there_is(write):
    path = write(NET)
    assert refused("EK107", f"{path}:mak").fix == "did you mean make?"
    assert refused("EK107", f"{path}:completely_other").fix == "it defines: make"


def test_a_name_that_is_no_function_is_refused_by_its_type(write):
    assert "'WIDTH' is a int" in refused("EK107", f"{write('WIDTH = 3')}:WIDTH").what


def test_something_else_than_a_module_is_refused_with_the_functions_line(write):
    path = write("\n\ndef make():\n    return [1]\n")
    error = refused("EK107", f"{path}:make")
    assert error.what == "make() returned list, not an nn.Module"
    assert error.where == f"{path}:3"


@pytest.mark.parametrize("relative", [False, True], ids=["absolute path", "relative path"])
@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("def make():\n    x = {}\n    return x['no']\n", 3, "make() raised KeyError: 'no'"),
        ("def make():\n    return 1\n\nraise SystemExit('stop')\n", 4, "the file raised SystemExit: stop"),
        ("x = 1\ndef make(:\n    pass\n", 2, "the file raised SyntaxError: "),
        (
            "import torch\ndef make():\n\n    return torch.zeros(2) @ torch.zeros(3)\n",
            4,
            "make() raised RuntimeError: ",
        ),
    ],
    ids=["callable", "exit", "syntax", "torch"],
)
def test_code_that_raises_is_named_by_the_users_own_line(write, monkeypatch, tmp_path, text, line, said, relative):
    path = write(text)
    monkeypatch.chdir(tmp_path)
    shown = "net.py" if relative else str(path)
    error = refused("EK107", f"{shown}:make")
    assert error.what.startswith(said)
    assert error.where == f"{shown}:{line}"


def test_a_syntax_error_of_a_neighbour_is_not_put_on_a_line_of_the_file(write):
    write("a = 1\nb = 2\nc = 3\nd = (\n", "broken_neighbour.py")
    path = write("x = 1\nimport broken_neighbour\n")
    assert refused("EK107", f"{path}:make").where == f"{path}:2"


def test_an_option_that_the_callable_does_not_take_is_named(write):
    path = write("from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 1)\n")
    error = refused("EK106", f"{path}:make", num_classes=5)
    assert "num_classes" in error.what
    assert "--num-classes" in error.fix


def test_a_callable_that_needs_arguments_says_which(write):
    error = refused("EK107", f"{write('def make(depth): ...')}:make")
    assert "depth" in error.what
    assert "model_args" in error.fix


def test_a_declared_preprocess_must_be_one(write):
    path = write("from torch import nn\nPREPROCESS = {}\ndef make():\n    return nn.Conv2d(3, 4, 1)\n")
    assert refused("EK107", f"{path}:make").what == "PREPROCESS is a dict"


def test_published_weights_have_no_meaning_for_a_file(write):
    assert "checkpoint file" in refused("EK104", f"{write(NET)}:make", weights="imagenet").fix


def test_an_input_that_the_module_cannot_take_is_refused(write):
    path = write("from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))\n")
    assert "--input-size" in refused("EK203", f"{path}:make").fix
    assert source(f"{path}:make", input_size="2x2").classes == 2


def test_a_forward_that_raises_an_exception_of_its_own_is_refused(write):
    text = """
    from torch import nn
    class Odd(Exception): pass
    class Refusing(nn.Module):
        def forward(self, x): raise Odd("multiples of 7 only")
    def make(): return Refusing()
    """
    assert "multiples of 7" in refused("EK203", f"{write(text)}:make").what


FORWARDS = {
    "x.nowhere": ("EK107", "AttributeError"),
    "nowhere(x)": ("EK107", "NameError"),
    "{}['a']": ("EK107", "KeyError"),
    "__import__('nowhere_at_all')": ("EK107", "ModuleNotFoundError"),
    "exit(3)": ("EK107", "SystemExit"),
    "self.conv(x, 1)": ("EK107", "TypeError"),
    "self.conv(x.half())": ("EK203", "take .half()"),
    "self.conv(x) @ x.double()": ("EK203", "take .half()"),
    "self.conv(x[:, :2])": ("EK203", "--input-size"),
    "torch.complex(x, x)": ("EK201", "complex"),
}


@pytest.mark.parametrize("returned", FORWARDS)
def test_what_a_forward_raises_is_told_apart_from_a_size_that_does_not_fit(write, returned):
    text = f"""
    import torch
    from torch import nn
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
        def forward(self, x): return {returned}
    """
    code, said = FORWARDS[returned]
    error = refused(code, f"{write(text)}:Net")
    assert said in error.what + error.fix
    assert ("--input-size" in error.fix) == (said == "--input-size")


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_the_first_convolution_says_how_many_channels_where_nobody_else_does(write, channels):
    text = f"""
        from torch import nn

        def make():
            return nn.Sequential(nn.Conv2d({channels}, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    """
    found = source(f"{write(text)}:make", input_size=(8, 8))
    assert found.input_shape == (1, channels, 8, 8)
    assert (found.preprocess.mean, found.preprocess.std) == ((0.0,) * channels, (1.0,) * channels)


def test_declared_means_of_another_number_are_named(write):
    text = NET.replace("Conv2d(3,", "Conv2d(5,")
    assert "5 numbers" in refused("EK203", f"{write(text)}:make").fix


def test_a_lazy_layer_has_its_shape_before_weights_are_counted_or_loaded(write, tmp_path):
    path = write(
        """
        from torch import nn

        def make():
            return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
        """
    )
    found = source(f"{path}:make", input_size=(8, 8))
    assert found.module[2].weight.shape == (2, 4 * 6 * 6)
    torch.save({name: tensor + 1 for name, tensor in found.module.state_dict().items()}, tmp_path / "w.pth")
    loaded = source(f"{path}:make", input_size=(8, 8), weights=str(tmp_path / "w.pth"))
    assert torch.equal(loaded.module[2].bias, found.module[2].bias + 1)


def test_several_inputs_are_counted_and_named(write):
    text = """
        from torch import nn

        class Pair(nn.Module):
            def forward(self, image, mask, scale=1.0):
                return image * mask * scale
    """
    error = refused("EK203", f"{write(text)}:Pair", input_size=(8, 8))
    assert "2 inputs (image, mask)" in error.what
    assert "one image" in error.fix
