"""From a trained model to an int8 .tflite whose scales are the trained clips."""
