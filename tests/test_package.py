"""The package: what it holds, what it needs, and that it works where it is installed."""

import fnmatch
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import kws_tf

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kws_tf"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in PACKAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts and path.name[0] != "."
)


def test_importing_it_imports_no_tensorflow():
    code = "import kws_tf, sys; assert not {'tensorflow', 'tf_keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_version():
    assert "version" in PROJECT["project"]["dynamic"]
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert changes[1] == kws_tf.__version__
    citation = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert citation[1] == kws_tf.__version__


def test_every_file_of_the_package_is_installed():
    patterns = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, some in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in some
    ]
    left_out = [
        name
        for name in FILES
        if not name.endswith(".py") and not any(fnmatch.fnmatch(name, one) for one in patterns)
    ]
    assert not left_out
    for pattern in patterns:
        assert any(fnmatch.fnmatch(name, pattern) for name in FILES), pattern


@pytest.mark.parametrize(
    ("file", "pythons"),
    [("requirements.txt", ("3.11", "3.12")), ("requirements-latest.txt", ("3.13",))],
)
def test_requirements_pin_what_the_package_needs(file, pythons):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    assert lines[-1] == "--editable ."
    project = PROJECT["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    for python in pythons:
        for requirement in map(Requirement, needed):
            marker = requirement.marker
            if marker and not marker.evaluate({"python_version": python}):
                continue
            pin = pins[requirement.name]
            assert requirement.specifier.contains(pin, prereleases=True), requirement


@pytest.mark.slow
def test_the_wheel_holds_the_package(tmp_path):
    # Copied, for setuptools leaves a build folder, and packs what an earlier one left there.
    copy = tmp_path / "copy"
    for name in (*FILES, "pyproject.toml", "README.md", "LICENSE"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, copy], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"kws_tf-{kws_tf.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        information = f"kws_tf-{kws_tf.__version__}.dist-info"
        entry = archive.read(f"{information}/entry_points.txt").decode()
    assert {name for name in names if name.startswith("kws_tf/")} == set(FILES)
    assert f"{information}/licenses/LICENSE" in names
    assert "kws-tf = kws_tf.cli.main:main" in entry


@pytest.mark.slow
def test_the_first_command_shortened(tmp_path):
    size = ("--synthetic-per-word", 12, "--batch-size", 8)
    epochs = ("--float-epochs", 1, "--quantized-epochs", 1)
    arguments = ("train", "--run-dir", "runs/first", "--words", "up,down", *size, *epochs)
    command = [sys.executable, "-m", "kws_tf", *map(str, arguments)]
    printed = subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    for model in ("float Keras", "fake-quant Keras", "int8, TFLite", "int8, TFLite Micro"):
        assert re.search(rf"^{model} +\d+ +\d+\.\d\d %$", printed, re.M), printed
    assert (tmp_path / "runs" / "first" / "model.tflite").exists()
    # Three words and a few steps of training: that it listens counts, not what it finds.
    assert re.search(r"^false alarms an hour .+ minutes of other sentences$", printed, re.M)
    assert re.search(r"^words found in a stream \d+ of \d+", printed, re.M)
    assert (tmp_path / "runs" / "first" / "soak.json").exists()
