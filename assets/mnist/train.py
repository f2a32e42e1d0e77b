#!/usr/bin/env python3
"""Trains the two MNIST networks of the demo and writes everything in this folder.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install numpy==2.4.* pillow==13.* onnx==1.23.*
    /tmp/venv/bin/python assets/mnist/train.py /path/to/mnist-4k.csv.gz

Input: a gzipped CSV without header, one digit per row, 784 pixels (0..255) and then the label.
Output, beside this script: mnist.onnx, mnist-low.onnx, pool.png, pool.csv, queries/, queries.csv and metrics.json.

The network is plain numpy so that the recipe needs no framework and can be read in one sitting:

    input [n,1,28,28], pixel / 255
    Conv 5x5, 8 channels  -> [8,24,24]   Relu, MaxPool 2 -> [8,12,12]
    Conv 5x5, 16 channels -> [16,8,8]    Relu, MaxPool 2 -> [16,4,4]
    Flatten, Gemm 64, Relu, Gemm 10 (logits)

The split is drawn first and once: the held-out digits are touched only by the last measurement. Hyperparameters were chosen with
`--validate`, which trains on part of the training digits and measures on the rest of them.
"""

import argparse
import csv
import gzip
import json
import pathlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20261122
POOL, QUERIES, VALIDATION = 600, 20, 380
SHEET_COLUMNS = 30
OPSET = 17

# ---------------------------------------------------------------- data


def load(path):
    """Digits as uint8 [n,28,28] and labels, without repeated images (a repeat could sit on both sides of the split)."""
    with gzip.open(path, "rt") as f:
        rows = np.array([[int(v) for v in r] for r in csv.reader(f)], dtype=np.uint8)
    pixels, first = np.unique(rows[:, :784], axis=0, return_index=True)
    first.sort()
    return rows[first, :784].reshape(-1, 28, 28), rows[first, 784].astype(np.int64)


def distort(x, rng):
    """One random affine map (rotation, scale, shear, shift) and one smooth displacement per image; bilinear, zero outside."""
    n = len(x)
    angle, shear = rng.uniform(-0.22, 0.22, n), rng.uniform(-0.25, 0.25, n)
    sx, sy = rng.uniform(0.86, 1.16, n), rng.uniform(0.86, 1.16, n)
    shift = rng.uniform(-2.0, 2.0, (2, n))
    gy, gx = np.meshgrid(np.arange(28) - 13.5, np.arange(28) - 13.5, indexing="ij")
    c, s = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    sh = shear[:, None, None]
    ux = (c * gx - s * gy + sh * gy) / sx[:, None, None] + shift[0][:, None, None]
    uy = (s * gx + c * gy) / sy[:, None, None] + shift[1][:, None, None]
    # The displacement: a 4x4 grid of random vectors, interpolated bilinearly to 28x28.
    t = np.linspace(0, 3, 28)
    hat = np.maximum(0, 1 - np.abs(t[:, None] - np.arange(4)[None, :]))
    field = hat @ rng.normal(0, 0.75, (2, n, 4, 4)) @ hat.T
    px, py = ux + field[0] + 13.5, uy + field[1] + 13.5
    x0, y0 = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
    fx, fy = (px - x0).astype(np.float32), (py - y0).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 2), (1, 2)))
    i = np.arange(n)[:, None, None]
    clip = lambda v: np.clip(v + 1, 0, 29)
    at = lambda yy, xx: padded[i, clip(yy), clip(xx)]
    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    return top * (1 - fy) + bottom * fy


# ---------------------------------------------------------------- network: activations [n,y,x,c], kernels [o,y,x,c]


def init(rng):
    he = lambda *shape: rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
    zero = lambda k: np.zeros(k, np.float32)
    return {
        "conv1.weight": he(8, 5, 5, 1), "conv1.bias": zero(8),
        "conv2.weight": he(16, 5, 5, 8), "conv2.bias": zero(16),
        "fc1.weight": he(64, 256), "fc1.bias": zero(64),
        "fc2.weight": he(10, 64), "fc2.bias": zero(10),
    }


def conv(x, w, b):
    o, kh, kw, c = w.shape
    windows = sliding_window_view(x, (kh, kw), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    n, oh, ow = windows.shape[:3]
    columns = windows.reshape(n * oh * ow, kh * kw * c)
    return (columns @ w.reshape(o, -1).T + b).reshape(n, oh, ow, o), columns


def conv_input_gradient(dy, w, shape):
    _, kh, kw, _ = w.shape
    _, oh, ow, _ = dy.shape
    dx = np.zeros(shape, np.float32)
    for i in range(kh):
        for j in range(kw):
            dx[:, i : i + oh, j : j + ow] += dy @ np.ascontiguousarray(w[:, i, j])
    return dx


CELLS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def relu_pool(x):
    return np.maximum(np.maximum.reduce([x[:, i::2, j::2] for i, j in CELLS]), 0)


def relu_pool_gradient(dy, x, y):
    """Each cell's gradient goes to its maximum, if that is positive."""
    dx, live = np.zeros_like(x), dy * (y > 0)
    for i, j in CELLS:
        dx[:, i::2, j::2] = live * (x[:, i::2, j::2] == y)
    return dx


def forward(p, x):
    """Logits of images [n,28,28] in 0..1, and what the backward pass needs."""
    y1, k1 = conv(x[..., None], p["conv1.weight"], p["conv1.bias"])
    a1 = relu_pool(y1)
    y2, k2 = conv(a1, p["conv2.weight"], p["conv2.bias"])
    a2 = relu_pool(y2)
    flat = a2.transpose(0, 3, 1, 2).reshape(len(x), -1)
    h = np.maximum(flat @ p["fc1.weight"].T + p["fc1.bias"], 0)
    return h @ p["fc2.weight"].T + p["fc2.bias"], (k1, y1, a1, k2, y2, a2, flat, h)


def gradients(p, x, target):
    logits, (k1, y1, a1, k2, y2, a2, flat, h) = forward(p, x)
    e = np.exp(logits - logits.max(1, keepdims=True))
    d = (e / e.sum(1, keepdims=True) - target) / np.float32(len(x))
    g = {"fc2.weight": d.T @ h, "fc2.bias": d.sum(0)}
    d = (d @ p["fc2.weight"]) * (h > 0)
    g |= {"fc1.weight": d.T @ flat, "fc1.bias": d.sum(0)}
    d = (d @ p["fc1.weight"]).reshape(len(x), 16, 4, 4).transpose(0, 2, 3, 1)
    d = relu_pool_gradient(d, y2, a2)
    g |= {"conv2.weight": (d.reshape(-1, 16).T @ k2).reshape(16, 5, 5, 8), "conv2.bias": d.sum((0, 1, 2))}
    d = relu_pool_gradient(conv_input_gradient(d, p["conv2.weight"], a1.shape), y1, a1)
    g |= {"conv1.weight": (d.reshape(-1, 8).T @ k1).reshape(8, 5, 5, 1), "conv1.bias": d.sum((0, 1, 2))}
    return g


def train(x, labels, rng, steps, batch=64, rate=2e-3, augment=True):
    """Adam with a cosine schedule, decoupled weight decay and label smoothing; returns the running average of the weights."""
    p = init(rng)
    first, second, mean = ({k: np.zeros_like(v) for k, v in p.items()} for _ in range(3))
    images, order, at = x.astype(np.float32) / 255, np.arange(0), 0
    smooth = (np.eye(10) * 0.95 + 0.005).astype(np.float32)
    for t in range(1, steps + 1):
        if at + batch > len(order):
            order, at = rng.permutation(len(x)), 0
        pick = order[at : at + batch]
        at += batch
        seen = distort(images[pick], rng).astype(np.float32) if augment else images[pick]
        g = gradients(p, seen, smooth[labels[pick]])
        step = rate * 0.5 * (1 + np.cos(np.pi * t / steps))
        decay = min(0.998, t / (t + 10))
        for k in p:
            first[k] = 0.9 * first[k] + 0.1 * g[k]
            second[k] = 0.999 * second[k] + 0.001 * g[k] ** 2
            update = (first[k] / (1 - 0.9**t)) / (np.sqrt(second[k] / (1 - 0.999**t)) + 1e-8)
            p[k] = p[k] - step * (update + (1e-2 * p[k] if k.endswith("weight") else 0))
            mean[k] = decay * mean[k] + (1 - decay) * p[k]
        if t % 500 == 0:
            print(f"step {t} of {steps}", flush=True)
    return {k: v.astype(np.float32) for k, v in mean.items()}


def accuracy(p, x, labels):
    logits, _ = forward(p, x.astype(np.float32) / 255)
    return float((logits.argmax(1) == labels).mean())


# ---------------------------------------------------------------- the two models


def strong(x, labels, steps):
    return train(x, labels, np.random.default_rng([SEED, 1]), steps)


def weak(x, labels):
    """Same architecture, 60 digits, 90 steps, no distortion: what a provider would get who never bothered to collect data."""
    return train(x[:60], labels[:60], np.random.default_rng([SEED, 2]), steps=90, batch=20, rate=1e-3, augment=False)


# ---------------------------------------------------------------- files


def write_onnx(p, path, name):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    n = helper.make_node
    nodes = [
        n("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], "conv1", kernel_shape=[5, 5]),
        n("Relu", ["conv1"], ["relu1"], "relu1"),
        n("MaxPool", ["relu1"], ["pool1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        n("Conv", ["pool1", "conv2.weight", "conv2.bias"], ["conv2"], "conv2", kernel_shape=[5, 5]),
        n("Relu", ["conv2"], ["relu2"], "relu2"),
        n("MaxPool", ["relu2"], ["pool2"], "pool2", kernel_shape=[2, 2], strides=[2, 2]),
        n("Flatten", ["pool2"], ["flat"], "flatten", axis=1),
        n("Gemm", ["flat", "fc1.weight", "fc1.bias"], ["fc1"], "fc1", transB=1),
        n("Relu", ["fc1"], ["relu3"], "relu3"),
        n("Gemm", ["relu3", "fc2.weight", "fc2.bias"], ["logits"], "fc2", transB=1),
    ]
    value = lambda key, shape: helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, name, [value("image", ["n", 1, 28, 28])], [value("logits", ["n", 10])],
        [numpy_helper.from_array(np.ascontiguousarray(v.transpose(0, 3, 1, 2) if v.ndim == 4 else v), k) for k, v in p.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="assets/mnist/train.py")
    model.doc_string = "MNIST digit classifier. Input: grey pixels / 255, white ink on black, [n,1,28,28]. Output: logits."
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_images(held, labels):
    """The pool as one contact sheet, row by row, and the README's queries as single files."""
    from PIL import Image

    rows = POOL // SHEET_COLUMNS
    sheet = held[:POOL].reshape(rows, SHEET_COLUMNS, 28, 28).transpose(0, 2, 1, 3).reshape(rows * 28, SHEET_COLUMNS * 28)
    Image.fromarray(np.ascontiguousarray(sheet)).save(HERE / "pool.png", optimize=True)
    (HERE / "pool.csv").write_text("index,label\n" + "".join(f"{i},{v}\n" for i, v in enumerate(labels[:POOL])))
    folder = HERE / "queries"
    folder.mkdir(exist_ok=True)
    lines = ["file,label\n"]
    for i in range(QUERIES):
        Image.fromarray(np.ascontiguousarray(held[POOL + i])).save(folder / f"digit-{i:02}.png", optimize=True)
        lines.append(f"digit-{i:02}.png,{labels[POOL + i]}\n")
    (HERE / "queries.csv").write_text("".join(lines))


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("data", help="mnist-4k.csv.gz")
    args.add_argument("--steps", type=int, default=4000)
    args.add_argument("--validate", action="store_true", help="choose hyperparameters: measure on training digits left out, write nothing")
    args = args.parse_args()

    x, labels = load(args.data)
    order = np.random.default_rng([SEED, 0]).permutation(len(x))
    held, rest = order[: POOL + QUERIES], order[POOL + QUERIES :]
    if args.validate:
        inner, outer = rest[VALIDATION:], rest[:VALIDATION]
        print("weak", accuracy(weak(x[inner], labels[inner]), x[outer], labels[outer]), flush=True)
        print("strong", accuracy(strong(x[inner], labels[inner], args.steps), x[outer], labels[outer]))
        return

    models = {"mnist": strong(x[rest], labels[rest], args.steps), "mnist-low": weak(x[rest], labels[rest])}
    report = {"training_digits": len(rest), "held_out_digits": len(held), "seed": SEED, "steps": args.steps}
    for name, p in models.items():
        write_onnx(p, HERE / f"{name}.onnx", name)
        parts = {"held_out": held, "pool": held[:POOL], "queries": held[POOL:]}
        report[name] = {part: accuracy(p, x[index], labels[index]) for part, index in parts.items()}
    write_images(x[held], labels[held])
    (HERE / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
