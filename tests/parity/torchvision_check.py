"""The zoo against torchvision: logits, gradients, weights in both directions.

usage: torchvision_check.py PATH_OF_zoo_exchange [--all | --model NAME ...] [--seed 1]

Each model gets random weights with statistics that fit them roughly, as training leaves them, and two kinds of images. Compared
are logits, in both memory formats, with folded batch norms, and in bf16; with dropout off and in training mode, where there are
batch norms, the gradients of a cross-entropy by the images and by every parameter, and the running statistics afterwards; then the
initial weights that the library saved must load strictly and give the library's logits. PyTorch in f64 is right: a tensor must agree
with it in relative L2 norm within 1e-4, and where it is a gradient, within 1e-4 or twice of what PyTorch itself is off in f32; bf16
logits within 2e-2, or twice of what PyTorch is off in bf16, since random weights magnify rounding more than trained ones.
Exits 77 where a package is not installed.
"""
import argparse
import copy
import pathlib
import subprocess
import sys
import tempfile
import time

try:
    import torch
    import torchvision
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"skipped: {sys.executable}: {error}; see tests/requirements.txt")
    sys.exit(77)

TOLERANCE, BF16_TOLERANCE = 1e-4, 2e-2
# ReLU and max-pooling have kinks: where a value comes within rounding of one, f32 may take the other side, and gradients move by more
# than rounding, here or in PyTorch. That depends on the images (VGG-19 meets one in two draws of three); a gradient is wrong when it is
# so in each of several draws.
DRAWS = 5
SIZES = [(64, 64), (97, 75)]
MODELS = (["alexnet", "googlenet", "googlenet_auxiliary", "mobilenet_v2"] + [f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")]
          + [f"resnet{n}" for n in (18, 34, 50, 101, 152)] + [f"efficientnet_b{n}" for n in range(8)])
# One of each kind, the smallest.
SOME = ["alexnet", "googlenet_auxiliary", "mobilenet_v2", "vgg11_bn", "resnet18", "resnet50", "efficientnet_b0"]


def make(name):
    if name.startswith("googlenet"):
        return torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=name.endswith("auxiliary"), transform_input=False)
    return torchvision.models.get_model(name, weights=None)


def norms_of(model):
    return [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def last_of_residuals(model):
    """The norms before additions. As in trained networks, what a block adds is small: else rounding grows from block to block."""
    resnet, v2, b = torchvision.models.resnet, torchvision.models.mobilenetv2, torchvision.models.efficientnet
    for m in model.modules():
        if isinstance(m, resnet.Bottleneck):
            yield m.bn3
        elif isinstance(m, resnet.BasicBlock):
            yield m.bn2
        elif isinstance(m, v2.InvertedResidual):
            yield m.conv[-1]
        elif isinstance(m, b.MBConv):
            yield m.block[-1][1]


def randomise(model, generator):
    """Weights as they begin, everything else random; running statistics as this model has them, within a factor. Biases are positive,
    which leaves most ReLUs open: else such a network magnifies rounding, as no trained one does."""
    def uniform(like, low, high):
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    with torch.no_grad():
        for m in model.modules():
            if getattr(m, "bias", None) is not None:
                m.bias.copy_(uniform(m.bias, 0, 1))
        for m in norms_of(model):
            m.weight.copy_(uniform(m.weight, 0.5, 1.5))
        for m in last_of_residuals(model):
            m.weight.mul_(0.3)
        momenta = [m.momentum for m in norms_of(model)]
        for m in norms_of(model):
            m.momentum = None  # the mean over what follows
            m.reset_running_stats()
        model.train()
        for height, width in SIZES:
            model(torch.randn(8, 3, height, width, generator=generator))
        for m, momentum in zip(norms_of(model), momenta):
            m.momentum = momentum
            m.running_mean.add_(uniform(m.running_mean, -0.1, 0.1) * m.running_var.sqrt())
            # A channel that these images left flat must not become a loud one for others.
            m.running_var.mul_(uniform(m.running_var, 0.7, 1.4)).clamp_(min=0.1 * m.running_var.mean().item())
            m.num_batches_tracked.fill_(41)


def without_dropout(model, train):
    model.train(train)
    for m in model.modules():
        if isinstance(m, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            m.eval()


def logits_of(model, x):
    model.eval()
    with torch.no_grad():
        return model(x)


def bf16_logits_of(model, x):
    model = copy.deepcopy(model).bfloat16()
    for m in norms_of(model):
        m.float()
    return logits_of(model, x.bfloat16())


def gradients_of(model, x, labels, train):
    without_dropout(model, train)
    x = x.clone().requires_grad_()
    out = model(x)
    loss = torch.nn.functional.cross_entropy
    if isinstance(out, tuple):
        total = loss(out.logits, labels) + 0.3 * (loss(out.aux_logits1, labels) + loss(out.aux_logits2, labels))
    else:
        total = loss(out, labels)
    total.backward()
    gradients = {"grad/x": x.grad} | {f"grad/{n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    return gradients | {f"after/{n}": b.detach().clone() for n, b in model.named_buffers()}


class Report:
    """What is off, and by how much at most."""

    def __init__(self):
        self.wrong, self.worst = {}, {}

    def compare(self, kind, name, actual, right, pytorch=None, scale=0.0, tolerance=TOLERANCE):
        """scale: the norm of the largest gradient. One that is 0 but for the rounding of f64, as that of a bias before a batch norm,
        is held against it."""
        if actual is None or actual.shape != right.shape:
            self.wrong[name] = f"{'missing' if actual is None else list(actual.shape)}, expected {list(right.shape)}"
            return
        right, allowed = right.double(), tolerance
        norm = right.norm().item()
        if norm <= 1e-10 * scale:
            norm = scale
        elif pytorch is not None:
            allowed = max(tolerance, 2 * (pytorch.double() - right).norm().item() / norm)
        distance = (actual.double() - right).norm().item() / norm
        self.worst[kind] = max(self.worst.get(kind, 0), distance)
        if not distance <= allowed:
            self.wrong[name] = f"{distance:.2g} off, allowed {allowed:.2g}"


def check(name, exchange, folder, seed):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = make(name)
    randomise(model, generator)
    train = bool(norms_of(model))
    x0, x1 = (torch.randn(count, 3, height, width, generator=generator) for count, (height, width) in zip((4, 1), SIZES))
    labels = torch.randint(1000, (4,), generator=generator)
    state = model.state_dict()
    files = {n: folder / f"{n}.safetensors" for n in ("in", "out", "saved")}
    save_file({f"weights/{n}": v for n, v in state.items()} | {"x0": x0, "x1": x1, "labels": labels}, files["in"])
    subprocess.run([exchange, name, files["in"], files["out"], files["saved"]] + (["--train"] if train else []), check=True)

    report = Report()
    results = load_file(files["out"])
    wide = copy.deepcopy(model).double()
    for i, x in enumerate((x0, x1)):
        right = logits_of(wide, x.double())
        report.compare("logits", f"logits{i}", results.pop(f"logits{i}"), right)
        if i == 0:
            report.compare("logits", "channels-last logits", results.pop("channels_last0"), right)
            report.compare("folded", "logits of folded batch norms", results.pop("folded"), right)
            report.compare("bf16", "bf16 logits", results.pop("bf16"), right, bf16_logits_of(model, x), tolerance=BF16_TOLERANCE)
    initial = results.pop("initial_logits")

    right, pytorch = gradients_of(wide, x0.double(), labels, train), gradients_of(model, x0, labels, train)
    scale = max(v.norm().item() for n, v in right.items() if n.startswith("grad/"))
    for key, value in right.items():
        report.compare(key.split("/")[0], key, results.pop(key, None), value, pytorch[key], scale if key.startswith("grad/") else 0)
    report.wrong |= {key: "unexpected" for key in results}

    model.load_state_dict(load_file(files["saved"]), strict=True)
    report.compare("saved", "logits of the saved weights", initial, logits_of(model.double(), x0.double()))
    return report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("exchange")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--model", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for name in options.model or (MODELS if options.all else SOME):
        start, wrong = time.monotonic(), None
        for draw in range(DRAWS):
            with tempfile.TemporaryDirectory() as folder:
                report = check(name, options.exchange, pathlib.Path(folder), options.seed + draw)
            kinks = {key: reason for key, reason in report.wrong.items() if key.startswith("grad/")}
            wrong = kinks if wrong is None else {key: reason for key, reason in kinks.items() if key in wrong}
            if len(kinks) < len(report.wrong):
                wrong = report.wrong
                break
            if not wrong:
                break
        worst = ", ".join(f"{kind} {value:.1e}" for kind, value in report.worst.items())
        print(f"{name}: {'FAILED' if wrong else 'ok'} ({worst}; draws {draw + 1}; {time.monotonic() - start:.0f} s)", flush=True)
        for key, reason in list(wrong.items())[:20]:
            print(f"    {key}: {reason}")
        failed += bool(wrong)
    sys.exit(1 if failed else 0)


main()
