"""Exports one network of torchvision, with seeded weights, by both ONNX exporters of PyTorch.

Freshly seeded weights make networks that say the same of every photo: a wrong import would go
unseen. So the photos themselves scale each layer, as in LSUV (Mishkin and Matas, All you need is a
good init, ICLR 2016), are what batch norms take their statistics from, and are each imprinted on a
class of the last layer (Qi, Brown and Lowe, Low-shot learning with imprinted weights, CVPR 2018).
"""

import argparse
import pathlib
import warnings

import numpy as np
import torch
import torchvision
from torch import nn

# Deviations of the other logits at which a photo's class is, on average: so that the best logit
# leads the second by about as much as in a trained network.
IMPRINT = 5.0


def centred(layer, inputs, output):
    """Makes each channel's mean over the photos 0, and the layer's deviation 1."""
    axes = [axis for axis in range(output.dim()) if axis != 1]
    mean = output.mean(axes)
    spread = output.var(axes).mean().sqrt()
    layer.weight.div_(spread)
    layer.bias.sub_(mean).div_(spread)
    return layer.forward(inputs[0])


def imprinted(layer, inputs, output):
    """The same for the last layer, and gives each photo a class of its own."""
    centred(layer, inputs, output)
    features = inputs[0].flatten(2).mean(2) if inputs[0].dim() > 2 else inputs[0]
    # Medians, because a few photos may be far from all others.
    middle = features.median(0).values
    off = features - middle
    reach = off.norm(dim=1).median()
    classes = torch.randperm(len(layer.bias))
    for photo, row in enumerate(off):
        # By angle: were photos near the middle to lead by as much, their classes would take all.
        turn = IMPRINT * row / (row.norm() * reach)
        layer.weight[classes[photo]] += turn.reshape(layer.weight.shape[1:])
        layer.bias[classes[photo]] -= turn @ middle
    return layer.forward(inputs[0])


@torch.no_grad()
def calibrate(model, photos):
    """One pass in which every layer is scaled, or takes statistics, before the next one reads it."""
    model.eval()
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [m.register_forward_hook(centred) for m in layers[:-1] if not norms]
    hooks.append(layers[-1].register_forward_hook(imprinted))
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0.0, 0.2)
        norm.train()
    model(photos)
    for hook in hooks:
        hook.remove()
    model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True)
    parser.add_argument("--photos", required=True, help="raw f32, [photo][channel][row][column]")
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--dynamo", type=pathlib.Path, help="file for the current exporter")
    parser.add_argument("--torchscript", type=pathlib.Path, help="file for the TorchScript exporter")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    aux = {"aux_logits": False, "init_weights": False}
    more = aux if args.network in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(args.network, weights=None, **more)
    photos = np.fromfile(args.photos, "<f4").reshape(-1, 3, args.side, args.side)
    calibrate(model, torch.from_numpy(photos))
    example = (torch.from_numpy(photos[:1]),)
    if args.dynamo:
        torch.onnx.export(model, example, args.dynamo)
    if args.torchscript:
        axes = {"input": {0: "batch"}, "output": {0: "batch"}}
        names = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": axes}
        torch.onnx.export(model, example, args.torchscript, dynamo=False, **names)


if __name__ == "__main__":
    main()
