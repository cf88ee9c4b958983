"""A .tflite under the TFLite interpreter."""

import numpy as np
import tensorflow as tf

from kws_tf.errors import KwsError
from kws_tf.tflite import runner
from kws_tf.tflite.runner import Outputs

#: ``default`` is what applications get; ``reference`` are the plain C++ kernels.
KERNELS = {
    "default": tf.lite.experimental.OpResolverType.AUTO,
    "reference": tf.lite.experimental.OpResolverType.BUILTIN_REF,
}


def run(
    model: bytes, inputs: np.ndarray, kernels: str = "default", where: str = "the model"
) -> Outputs:
    """Runs a model over examples, each from a zeroed state.

    Args:
        model: The .tflite file's content.
        inputs: int8 [examples, frames, features].
        kernels: ``default`` or ``reference``.
        where: What to call the model in errors.

    Raises:
        KwsError: If the model is damaged, takes other inputs, or has an op TFLite refuses.
    """
    runner.check_inputs(model, inputs, where)

    def open_interpreter():
        interpreter = tf.lite.Interpreter(
            model_content=model, num_threads=1, experimental_op_resolver_type=KERNELS[kernels]
        )
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        targets = [detail["index"] for detail in interpreter.get_output_details()]

        def step(example):
            interpreter.reset_all_variables()
            interpreter.set_tensor(source, example)
            seconds = runner.timed(interpreter.invoke)
            return [interpreter.get_tensor(target) for target in targets], seconds

        return step

    try:
        return Outputs(*runner.run(open_interpreter, inputs, "running under TFLite"))
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise KwsError(f"TFLite cannot run {where} ({reason}); convert the run anew") from error
