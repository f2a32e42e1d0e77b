"""Writes what onnxruntime computes of photos, beside the ONNX file, and what the file is made of.

`inputs.bin` and `outputs.bin` are raw little-endian f32; `expected.json`, written last, names their
shapes. Photos are `[photo][channel][row][column]` here, whatever the network's layout is. The
outputs are what a softmax at the end reads, not what it makes: probabilities hide errors.
"""

import argparse
import collections
import json
import pathlib

import numpy as np
import onnx
import onnxruntime


def sides(value):
    """The shape of a graph's input; 0 where a side is not fixed."""
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def session(path, model):
    """An onnxruntime session of the file, and the name of its logits."""
    name = model.graph.output[0].name
    tail = next(node for node in model.graph.node if name in node.output)
    if tail.op_type != "Softmax":
        return onnxruntime.InferenceSession(path), name
    name = tail.input[0]
    whole = onnx.load(path)
    del whole.graph.output[:]
    whole.graph.output.append(onnx.ValueInfoProto(name=name))
    return onnxruntime.InferenceSession(whole.SerializeToString()), name


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--count", type=int, required=True, help="photos, from the first on")
    args = parser.parse_args()
    photos = np.fromfile(args.photos, "<f4").reshape(-1, args.channels, args.side, args.side)[: args.count]
    model = onnx.load(args.model, load_external_data=False)
    initial = {value.name for value in model.graph.initializer}
    (read,) = [value for value in model.graph.input if value.name not in initial]
    nhwc = sides(read)[1] != args.channels
    runner, logits = session(args.model, model)
    fed = photos.transpose(0, 2, 3, 1) if nhwc else photos
    outputs = np.stack([runner.run([logits], {read.name: photo[None]})[0].reshape(-1) for photo in fed])
    if not np.isfinite(outputs).all():
        raise SystemExit(f"{args.model}: onnxruntime's outputs are not all finite")
    photos.tofile(args.model.parent / "inputs.bin")
    outputs.astype("<f4").tofile(args.model.parent / "outputs.bin")
    made_of = collections.Counter(node.op_type for node in model.graph.node)
    facts = {
        "input": read.name,
        "model_input_shape": sides(read),
        "layout": "NHWC" if nhwc else "NCHW",
        "inputs": list(photos.shape),
        "output": model.graph.output[0].name,
        "logits": logits,
        "outputs": list(outputs.shape),
        "labels": outputs.argmax(1).tolist(),
        "opset": max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "operators": dict(sorted(made_of.items())),
    }
    (args.model.parent / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
