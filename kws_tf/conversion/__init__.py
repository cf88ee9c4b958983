"""From a trained run to an int8 .tflite whose scales are the trained clips."""
