"""Model files made without the converter: any integers and scales, in milliseconds."""

import hashlib
import json
from pathlib import Path

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from kws_tf.reference import IntegerModel
from kws_tf.reference.integer_model import Quantization
from kws_tf.tflite.manifest import Manifest


def pack(tensors, operators, inputs, outputs) -> bytes:
    """A .tflite file. tensors: (type, shape, data, scales, zero_point), type None: no content.

    operators: (builtin code, version, inputs, outputs, options or None, intermediates or None).
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers, model.operatorCodes = [schema.BufferT()], []
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], inputs, outputs
    for number, (kind, shape, data, scales, zero_point) in enumerate(tensors):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = f"t{number}".encode(), list(shape), kind or 0
        tensor.buffer = 0
        tensor.isVariable = isinstance(data, str)  # "variable"
        if isinstance(data, np.ndarray):
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(data.tobytes(), np.uint8)
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.atleast_1d(scales).astype(np.float32)
            tensor.quantization.zeroPoint = np.full(len(np.atleast_1d(scales)), zero_point)
        graph.tensors.append(tensor)
    for code, version, sources, targets, options, intermediates in operators:
        entry, operator = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = version
        operator.opcodeIndex = len(model.operatorCodes)
        operator.inputs, operator.outputs = sources, targets
        if intermediates is not None:
            operator.intermediates = intermediates
        if options is not None:
            name = type(options).__name__[:-1]
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        model.operatorCodes.append(entry)
        graph.operators.append(operator)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def classifier_file(model: IntegerModel, steps: int) -> bytes:
    """The .tflite file of a model, its outputs: posteriors, hidden sequence, cell, logits."""
    kinds, builtin = schema.TensorType, schema.BuiltinOperator
    _, units, features = model.input_weights.shape
    classes = len(model.dense_weights)
    tensors = [(kinds.INT8, [1, steps, features], None, model.input.scale, model.input.zero_point)]

    def add(*tensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    def add_gates(kind, values, scales):
        return [
            add(kind, array.shape, array, scale, 0)
            for array, scale in zip(values, scales, strict=True)
        ]

    hidden = (model.hidden_state.scale, model.hidden_state.zero_point)
    inputs = [0]
    inputs += add_gates(kinds.INT8, model.input_weights, model.input_weight_scales)
    inputs += add_gates(kinds.INT8, model.recurrent_weights, model.recurrent_weight_scales)
    inputs += [-1] * 3
    inputs += add_gates(kinds.INT32, model.biases, model.input.scale * model.input_weight_scales)
    inputs += [-1] * 2
    inputs += [add(kinds.INT8, [1, units], "variable", *hidden)]
    cell = add(kinds.INT16, [1, units], "variable", 2.0**model.cell_power, 0)
    inputs += [cell] + [-1] * 4
    effective = (model.effective_hidden.scale, model.effective_hidden.zero_point)
    intermediates = [add(None, [0], None, None, None) for _ in range(4)]
    intermediates += [add(kinds.INT8, [0], None, *effective)]
    sequence = add(kinds.INT8, [1, steps, units], None, *hidden)
    positions = [
        add(kinds.INT32, [3], np.array(values, np.int32), None, None)
        for values in ([0, -1, 0], [0, 0, 0], [1, 1, 1])
    ]
    dense_input = (model.dense_input.scale, model.dense_input.zero_point)
    last = add(kinds.INT8, [1, units], None, *dense_input)
    weights = add(kinds.INT8, [classes, units], model.dense_weights, model.dense_weight_scales, 0)
    bias_scales = model.dense_input.scale * model.dense_weight_scales
    biases = add(kinds.INT32, [classes], model.dense_biases, bias_scales, 0)
    logits_scale = (model.logits.scale, model.logits.zero_point)
    logits = add(kinds.INT8, [1, classes], None, *logits_scale)
    posteriors = add(kinds.INT8, [1, classes], None, 1 / 256, -128)

    lstm, slices = schema.UnidirectionalSequenceLSTMOptionsT(), schema.StridedSliceOptionsT()
    lstm.fusedActivationFunction = schema.ActivationFunctionType.TANH
    lstm.cellClip = model.cell_clip
    slices.beginMask = slices.endMask = 5
    slices.shrinkAxisMask = 2
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = model.beta
    dense = schema.FullyConnectedOptionsT()
    return pack(
        tensors,
        [
            (builtin.UNIDIRECTIONAL_SEQUENCE_LSTM, 1, inputs, [sequence], lstm, intermediates),
            (builtin.STRIDED_SLICE, 2, [sequence, *positions], [last], slices, None),
            (builtin.FULLY_CONNECTED, 5, [last, weights, biases], [logits], dense, None),
            (builtin.SOFTMAX, 2, [logits], [posteriors], softmax, None),
        ],
        [0],
        [posteriors, sequence, cell, logits],
    )


def random_model(
    seed,
    units=16,
    features=10,
    classes=5,
    cell_power=-12,
    gain=2.0,
    input_zero_point=0,
    hidden_zero_point=0,
    cell_clip=10.0,
    per_class=False,
) -> IntegerModel:
    """Random integers, with pre-activations of a standard deviation of about ``gain``."""
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.integers(-127, 128, shape).astype(np.int8)

    def scales(count, typical):
        return (typical * rng.uniform(0.5, 2, count)).astype(np.float32)

    input_quantization = Quantization(np.float32(rng.uniform(0.01, 0.1)), input_zero_point)
    hidden = Quantization(np.float32(rng.uniform(0.5, 1.0) / 128), hidden_zero_point)
    logits = Quantization(np.float32(rng.uniform(0.03, 0.2)), int(rng.integers(-20, 20)))
    input_scales = scales(4, gain / (73 * 73 * np.sqrt(features) * input_quantization.scale))
    return IntegerModel(
        input=input_quantization,
        input_weights=weights(4, units, features),
        input_weight_scales=input_scales,
        recurrent_weights=weights(4, units, units),
        recurrent_weight_scales=scales(4, gain / (0.5 * 73 * np.sqrt(units))),
        biases=np.round(
            rng.normal(size=(4, units)) / (input_quantization.scale * input_scales)[:, None]
        ).astype(np.int32),
        hidden_state=hidden,
        effective_hidden=hidden,
        cell_power=cell_power,
        cell_clip=cell_clip,
        dense_input=hidden,
        dense_weights=weights(classes, units),
        dense_weight_scales=scales(
            classes if per_class else 1, 40 * logits.scale / (0.5 * 73 * np.sqrt(units))
        ),
        dense_biases=rng.integers(-2000, 2000, classes).astype(np.int32),
        logits=logits,
        beta=1.0,
    )


def random_inputs(seed, examples, steps, features):
    return np.random.default_rng(seed).integers(-128, 128, (examples, steps, features), np.int8)


def save_model(path: Path, content: bytes, labels, front_end, scale, units, /, **changes) -> Path:
    """Writes a model and the manifest that fits it, but for changes of its JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    manifest = Manifest(
        labels=labels,
        front_end=front_end,
        input_scale=float(scale),
        input_bits=8,
        hidden_units=units,
        weight_bits=8,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
    path.with_suffix(".json").write_text(json.dumps(manifest.to_json() | changes))
    return path
