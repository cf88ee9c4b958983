"""The tensors of a model file as a table."""

from kws_tf.tflite import graph as g


def rows(model: bytes, where: str = "the model") -> list[tuple[str, str, str, str]]:
    """Lists every tensor that an operator uses: name, type, shape, scale."""
    graph = g.Graph(model, where)
    roles = {
        graph.lstm.inputs[g.INPUT]: "input",
        graph.lstm.inputs[g.HIDDEN_STATE]: "hidden state",
        graph.lstm.inputs[g.CELL_STATE]: "cell state",
        graph.lstm.intermediates[g.EFFECTIVE_HIDDEN]: "effective hidden scale (intermediate 4)",
        graph.lstm.outputs[0]: "LSTM output",
        graph.slice.outputs[0]: "last hidden state",
        graph.dense.inputs[1]: "classifier weights",
        graph.dense.inputs[2]: "classifier biases",
        graph.dense.outputs[0]: "logits",
        graph.main.outputs[0]: "posteriors",
    }
    for i, gate in enumerate("ifco"):
        roles[graph.lstm.inputs[g.KERNEL + i]] = f"input weights {gate}"
        roles[graph.lstm.inputs[g.RECURRENT + i]] = f"recurrent weights {gate}"
        roles[graph.lstm.inputs[g.BIAS + i]] = f"biases {gate}"
    found = []
    for index, role in roles.items():
        tensor = graph.tensor(index)
        shape = "x".join(str(size) for size in tensor.shape)
        found.append((role, g.TENSOR_TYPE_NAMES[tensor.type], shape, f"{graph.scale(index):.9g}"))
    return found
