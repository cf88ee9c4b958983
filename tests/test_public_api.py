"""The package from outside: its names, the examples in its docstrings, the example file."""

import doctest
import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kws_tf
from kws_tf import quantization
from kws_tf.tflite import graph

EXAMPLE = Path(__file__).parents[1] / "examples" / "quantized_lstm.py"


def modules_with_examples():
    """Names of all modules whose text has a doctest."""
    for module in pkgutil.walk_packages(kws_tf.__path__, "kws_tf."):
        path = Path(module.module_finder.path, f"{module.name.rpartition('.')[2]}.py")
        if path.exists() and ">>>" in path.read_text():
            yield module.name


@pytest.mark.parametrize("package", [kws_tf, quantization], ids=lambda package: package.__name__)
def test_every_public_name_is_there(package):
    for name in package.__all__:
        assert getattr(package, name) is not None and name in dir(package)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = package.absent


def test_the_packages_docstring_lists_its_names():
    assert all(f"``{name}``" in kws_tf.__doc__ for name in kws_tf.__all__)


def test_importing_the_package_imports_no_tensorflow():
    code = "import sys, kws_tf, kws_tf.quantization; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_docstrings_have_examples():
    for name in ("PactQuantizer", "CellQuantizer", "FixedPointQuantizer", "PactQuantizeConfig"):
        text = getattr(kws_tf, name).__doc__
        assert "Example:" in text and "References:" in text and "gradient" in text
    for name in ("QuantizedLSTM", "QuantizedLSTMCell", "QuantizedDense", "convert_model"):
        assert "Example:" in getattr(kws_tf, name).__doc__
    assert "Example:" in kws_tf.get_quantizer.__doc__


@pytest.mark.parametrize("name", sorted(modules_with_examples()))
def test_docstrings_examples_run(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


def test_the_example_is_exact(tmp_path, without_autograph):
    specification = importlib.util.spec_from_file_location("quantized_lstm", EXAMPLE)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    report = example.main(tmp_path / "model.tflite", epochs=4)
    assert report.holds, report.text()
    assert graph.read(tmp_path / "model.tflite").names[0] == "UNIDIRECTIONAL_SEQUENCE_LSTM"
    features, labels = example.toy_data(8, seed=0)
    assert features.dtype == np.float32 and len(labels) == 8
