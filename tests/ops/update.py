"""Optimiser updates: several steps from the same parameter, with a gradient for each."""
import torch

from table import case, op, tensor

STEPS = 3


def steps(make):
    def run(x, p):
        # The low-precision variants keep master weights in f32; f64 stands for them here.
        parameter = torch.nn.Parameter(x[0].detach().clone())
        optimiser = make([parameter], p)
        for gradient in x[1:]:
            parameter.grad = gradient
            optimiser.step()
        return [parameter.detach()]
    return run


def updates(*shape, **params):
    return case([tensor(*shape, grad=False)] + [tensor(*shape, grad=False) for _ in range(STEPS)], **params)


SIZES = [(0,), (1,), (3,), (33,), (7, 5), (257,), (3, 1025), (40001,), (70001,)]


def enter(name, make, params, slack=0, because=""):
    op(name, steps(make), [updates(*shape, **params[i % len(params)]) for i, shape in enumerate(SIZES)],
       lambda rng: updates(rng.randint(1, 300), **rng.choice(params)), numeric=False, slack=slack, because=because)


enter("sgd_update", lambda ps, p: torch.optim.SGD(ps, p["lr"], p["momentum"], weight_decay=p["decay"], nesterov=p["nesterov"]),
      [{"lr": lr, "momentum": m, "decay": d, "nesterov": n} for lr, m, d, n in
       [(0.5, 0.0, 0.0, False), (0.125, 0.9, 0.0, False), (0.25, 0.5, 0.125, True), (0.5, 0.0, 0.25, False)]])
enter("rmsprop_update", lambda ps, p: torch.optim.RMSprop(ps, p["lr"], p["alpha"], p["epsilon"], p["decay"], p["momentum"]),
      [{"lr": lr, "alpha": a, "epsilon": e, "decay": d, "momentum": m} for lr, a, e, d, m in
       [(0.01, 0.99, 1e-8, 0.0, 0.0), (0.125, 0.5, 0.01, 0.0, 0.9), (0.25, 0.9, 1e-4, 0.125, 0.5)]])
enter("adam_update", lambda ps, p: (torch.optim.AdamW if p["decoupled"] else torch.optim.Adam)(ps, p["lr"], tuple(p["betas"]), p["epsilon"], p["decay"]),
      [{"lr": lr, "betas": b, "epsilon": e, "decay": d, "decoupled": w} for lr, b, e, d, w in
       [(0.001, [0.9, 0.999], 1e-8, 0.0, False), (0.125, [0.5, 0.75], 0.01, 0.125, False), (0.125, [0.9, 0.99], 1e-4, 0.25, True)]])
