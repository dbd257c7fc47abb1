"""The ways in which PyTorch may run a step of a model, and the step itself for each of them."""
import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from models.darknet import yolo_loss

# How a step is run. "folded": batch norms folded into the convolutions, for inference. "graph": the whole step, update included,
# recorded as a CUDA graph by hand; "compile-graph": the same of a compiled model.
EXECUTIONS = ["eager", "folded", "graph", "compile", "compile-reduce-overhead", "compile-max-autotune", "compile-graph"]
COMPILE_MODES = {"compile": "default", "compile-reduce-overhead": "reduce-overhead", "compile-max-autotune": "max-autotune",
                 "compile-graph": "max-autotune-no-cudagraphs"}


@dataclass(frozen=True)
class Work:
    """What is measured, however it is run."""
    model: object  # models.Model
    train: bool
    batch_size: int
    input: tuple
    classes: int
    precision: str
    device: torch.device


# The precisions that are not f32, as PyTorch calls them.
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Configuration:
    execution: str
    channels_last: bool
    numbers: str = "f32"  # bf16, fp16: "autocast", or "pure": everything but the norms' statistics
    adam: str = ""        # of training: "plain", "foreach", "fused"

    def __str__(self):
        parts = [self.execution, "channels-last" if self.channels_last else "contiguous"]
        parts += [self.numbers] if self.numbers != "f32" else []
        parts += [f"{self.adam} Adam"] if self.adam else []
        return ", ".join(parts)


def configurations(work, executions, channels_last=(False, True)):
    """All that make sense for this work. Those that do not compute anything else on this device are left out."""
    cuda = work.device.type == "cuda"
    for execution in executions:
        if execution == "folded" and work.train or "graph" in execution and not cuda or execution == "compile-reduce-overhead" and not cuda:
            continue
        adams = ([("fused",) if execution != "eager" else ("foreach", "fused") if cuda else ("plain", "foreach", "fused")][0]
                 if work.train else ("",))
        if work.precision not in HALVES:
            numbers = ("f32",)
        else:  # in f16 weights are trained with autocast and a scaled loss only
            numbers = ("autocast",) if work.precision == "fp16" and work.train else ("autocast", "pure")
        for last, number, adam in itertools.product(channels_last, numbers, adams):
            yield Configuration(execution, last, number, adam)


def make_targets(work):
    """The same ones that the library's benchmark takes."""
    n, (_, h, w), c = work.batch_size, work.input, work.classes
    if work.model.targets == "classes":
        return (torch.arange(n) * 7 % c,)
    if work.model.targets == "pixels":
        return ((torch.arange(h) // 8 % min(c, 255))[None, :, None].expand(n, h, w).contiguous(),)
    labels, boxes = torch.full((n, 30), -1), torch.zeros(n, 30, 4)
    labels[:, :4] = torch.arange(4 * n).reshape(n, 4) * 7 % c
    corner = 0.2 * torch.arange(4)
    boxes[:, :4] = torch.stack([corner, corner, corner + 0.1 * torch.arange(1, 5), corner + 0.1 * torch.arange(1, 5)], 1)
    return labels, boxes


def loss_of(model, work, output, targets):
    if work.model.targets == "boxes":
        return yolo_loss(output, model.anchors, *targets)
    if work.model.targets == "pixels" and output.shape[2:] != targets[0].shape[1:]:
        rows, columns = ((t - o) // 2 for t, o in zip(targets[0].shape[1:], output.shape[2:]))
        targets = (targets[0][:, rows:rows + output.shape[2], columns:columns + output.shape[3]],)
    return F.cross_entropy(output.float(), targets[0])


def fold_batch_norms(model):
    from torch.fx.experimental.optimization import fuse
    return fuse(model)


def make_pure(model, dtype):
    """In 16 bits but for the norms, which torch computes in f32 for such pictures."""
    model = model.to(dtype)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.float()
    for name, buffer in model.named_buffers(recurse=False):
        if name == "anchors":
            model.anchors = buffer.float()
    return model


def whole_step_graph(step):
    """The step recorded as a CUDA graph, as PyTorch's documentation tells: after a warm-up on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def make_step(work, configuration):
    """A function that runs one step, and the model. May throw whatever PyTorch throws where it cannot do this."""
    torch.manual_seed(1)
    model = work.model.make(work.classes, work.input[0]).to(work.device)
    images = torch.randn(work.batch_size, *work.input, device=work.device)
    targets = tuple(t.to(work.device) for t in make_targets(work))
    if not work.train:
        model.eval()
        if configuration.execution == "folded":
            model = fold_batch_norms(model)
    half = HALVES.get(work.precision, torch.bfloat16)
    if configuration.numbers == "pure":
        model, images = make_pure(model, half), images.to(half)
    if configuration.channels_last:
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    forward, mode = model, COMPILE_MODES.get(configuration.execution)
    if mode:
        if not work.train:
            torch._inductor.config.freezing = True  # constants folded, weights laid out beforehand
        forward = torch.compile(model, mode=mode)
    graph = configuration.execution in ("graph", "compile-graph")
    autocast = torch.autocast(work.device.type, half, enabled=configuration.numbers == "autocast")

    if work.train:
        flags = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}[configuration.adam]
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, capturable=graph, **flags)

        scaler = torch.amp.GradScaler(work.device.type, enabled=work.precision == "fp16")

        def step():
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                loss = loss_of(model, work, forward(images), targets)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    else:
        def step():
            with torch.inference_mode(), autocast:
                return forward(images)

    return whole_step_graph(step) if graph else step, model
