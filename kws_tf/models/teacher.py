"""The teacher: a float convolutional network whose soft targets train spotters; never deployed."""

import tf_keras as keras

_STEM = (16, 24)
_BLOCKS = ((64, 1), (96, 2), (128, 2))
_KERNEL = 5


def build_teacher(frames: int, features: int, classes: int) -> keras.Model:
    """Builds a residual network, features [batch, frames, features] to logits [batch, classes].

    Two small convolutions over time and bands, so that a voice may be higher or lower, then
    residual convolutions over time with the bands as channels (after TC-ResNet, Choi et al.,
    arXiv 1904.03814, section 2), each recalibrated by squeeze and excitation (Hu et al., arXiv
    1709.01507).
    """
    layers = keras.layers
    inputs = keras.Input((frames, features), name="features")
    x = layers.Reshape((frames, features, 1))(inputs)
    for channels in _STEM:
        x = layers.Conv2D(channels, 3, strides=(1, 2), padding="same", use_bias=False)(x)
        x = layers.ReLU()(_norm(x))
    x = layers.Reshape((frames, x.shape[2] * x.shape[3]))(x)
    x = layers.ReLU()(_norm(layers.Dense(_BLOCKS[0][0], use_bias=False)(x)))
    for channels, stride in _BLOCKS:
        x = _block(x, channels, stride)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling1D()(x))
    logits = layers.Dense(classes, name="classifier")(x)
    return keras.Model(inputs, logits, name="teacher")


def _norm(x):
    return keras.layers.BatchNormalization(momentum=0.95)(x)


def _block(x, channels: int, stride: int):
    layers = keras.layers
    y = layers.Conv1D(channels, _KERNEL, stride, padding="same", use_bias=False)(x)
    y = layers.ReLU()(_norm(y))
    y = _norm(layers.Conv1D(channels, _KERNEL, padding="same", use_bias=False)(y))
    gate = layers.GlobalAveragePooling1D()(y)
    gate = layers.Dense(channels // 4, activation="relu")(gate)
    gate = layers.Dense(channels, activation="sigmoid")(gate)
    y = y * layers.Reshape((1, channels))(gate)
    if stride > 1 or x.shape[-1] != channels:
        x = _norm(layers.Conv1D(channels, 1, stride, use_bias=False)(x))
    return layers.ReLU()(x + y)
