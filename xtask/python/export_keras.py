"""Exports one network of Keras, with seeded weights, in NHWC by tf2onnx.

The photos scale layers, batch norms and the last layer, for the reasons and by the methods that
`export_torch.py` states.
"""

import argparse
import gc
import os
import pathlib
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
import tf2onnx

IMPRINT = 5.0


def lenet():
    """LeNet-5 with ReLU and max pooling, on 28 x 28 grey pixels."""
    photo = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(6, 5, padding="same", activation="relu")(photo)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(16, 5, activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(120, activation="relu")(x)
    x = keras.layers.Dense(84, activation="relu")(x)
    return keras.Model(photo, keras.layers.Dense(10, activation="softmax")(x))


NETWORKS = {
    "mobilenet": lambda: keras.applications.MobileNet(weights=None),
    "mobilenet_v2": lambda: keras.applications.MobileNetV2(weights=None),
    "resnet50_v2": lambda: keras.applications.ResNet50V2(weights=None),
    "vgg16": lambda: keras.applications.VGG16(weights=None),
    "lenet": lenet,
}


def centre(layer, values):
    """Scales a layer as its linear part makes `values`; returns those that it then makes."""
    axes = tuple(range(values.ndim - 1))
    mean, spread = values.mean(axes), np.sqrt(values.var(axes).mean())
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel / spread, (bias - mean) / spread])
    return (values - mean) / spread


def centre_chain(model, photos):
    """Scales every layer but the last of a network that is a chain after its input layer."""
    values = tf.constant(photos)
    for layer in model.layers[1:-1]:
        if not hasattr(layer, "kernel"):
            values = layer(values)
            continue
        activation, layer.activation = layer.activation, keras.activations.linear
        values = activation(tf.constant(centre(layer, layer(values).numpy())))
        layer.activation = activation


def take_statistics(model, photos, rng):
    """Batch norms take the statistics of the photos, each after those before it."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0.0, 0.2, layer.beta.shape))
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0.0, 0.1, layer.bias.shape))
    model(photos, training=True)


def imprint(model, photos, rng):
    """Centres and scales the last layer, and gives each photo a class (its own if there are many)."""
    last = [layer for layer in model.layers if hasattr(layer, "kernel")][-1]
    before = keras.Model(model.inputs, last.input)
    features = before.predict(photos, batch_size=4, verbose=0).reshape(len(photos), -1)
    kernel, bias = last.get_weights()
    flat = kernel.reshape(features.shape[1], -1)
    centre(last, features @ flat + bias)
    kernel, bias = last.get_weights()
    flat = kernel.reshape(flat.shape)
    middle = np.median(features, 0)
    off = features - middle
    reach = np.median(np.linalg.norm(off, axis=1))
    classes = rng.permutation(len(bias))
    for photo, row in enumerate(off):
        turn = IMPRINT * row / (np.linalg.norm(row) * reach)
        flat[:, classes[photo % len(classes)]] += turn
        bias[classes[photo % len(classes)]] -= turn @ middle
    last.set_weights([flat.reshape(kernel.shape), bias])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--photos", required=True, help="raw f32, [photo][channel][row][column]")
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = NETWORKS[args.network]()
    photos = np.fromfile(args.photos, "<f4").reshape(-1, args.channels, args.side, args.side)
    photos = np.ascontiguousarray(photos.transpose(0, 2, 3, 1))
    normed = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    take_statistics(model, photos, rng) if normed else centre_chain(model, photos)
    imprint(model, photos, rng)
    # tf2onnx copies the graph over and over, in cycles: without frequent collections of these, which
    # all the old objects of TensorFlow prevent, VGG16 takes more than 23 GB.
    gc.collect()
    gc.freeze()
    gc.collect()
    gc.set_threshold(500, 2, 2)
    tf2onnx.convert.from_keras(model, output_path=str(args.out))


if __name__ == "__main__":
    main()
