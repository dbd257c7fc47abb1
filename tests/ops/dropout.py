"""Dropout, with the masks of Philox4x32-10 (Salmon et al., 2011) computed here by themselves."""
import numpy as np
import torch

from table import case, image, op, tensor


def philox(key, position, ordinal, step):
    """Four words for each position."""
    mask = np.uint64(0xFFFFFFFF)
    position = np.asarray(position, dtype=np.uint64)
    c = [position & mask, position >> np.uint64(32), np.full_like(position, ordinal), np.full_like(position, step)]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), p1 & mask, (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), p0 & mask]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1)


def keep(count, p, seed, ordinal, step):
    words = philox(seed, np.arange((count + 3) // 4), ordinal, step).reshape(-1)[:count]
    return torch.from_numpy(words >= np.uint64(int(p["p"] * 2**32 + 0.5)))


def dropped(x, p, mask):
    return x * mask.to(x.dtype) * (np.float32(1 / (1 - p["p"])).item() if p["p"] < 1 else 0.0)


def dropout(x, p):
    mask = keep(x[0].numel(), p, p["seed"], p["ordinal"], p["step"])
    return [dropped(x[0], p, mask.reshape(x[0].shape))]


def channel_dropout(x, p):
    n, c = x[0].shape[:2]
    mask = keep(n * c, p, p["seed"], p["ordinal"], p["step"])
    return [dropped(x[0], p, mask.reshape([n, c] + [1] * (x[0].dim() - 2)))]


def sample_dropout(x, p):
    n = x[0].shape[0]
    mask = keep(n, p, p["seed"], p["ordinal"], p["step"])
    return [dropped(x[0], p, mask.reshape([n] + [1] * (x[0].dim() - 1)))]


def drop_case(x, probability=0.5, seed=7, ordinal=0, step=0):
    return case([x], p=probability, seed=seed, ordinal=ordinal, step=step)


# Element dropout counts in the order of memory: the mask of a channels-last tensor is another one, so no images here.
op("dropout", dropout,
   [drop_case(tensor()), drop_case(tensor(0)), drop_case(tensor(1), 0.3), drop_case(tensor(31), 0.1, step=5), drop_case(tensor(257), 0.9, ordinal=3),
    drop_case(tensor(3, 5, 7), 0.0), drop_case(tensor(4, 4), 1.0), drop_case(tensor(2, 3, 4, 5), 0.25, seed=2**63 + 11), drop_case(tensor(70_001), 0.4)],
   lambda rng: drop_case(tensor(rng.randint(0, 300)), rng.choice([0.1, 0.5, 0.75]), rng.randrange(2**62), rng.randint(0, 9), rng.randint(0, 9)))

op("channel_dropout", channel_dropout,
   [drop_case(tensor(1, 1)), drop_case(tensor(3, 5), 0.3), drop_case(image(2, 3, 4, 5), step=2), drop_case(image(0, 3, 2, 2)), drop_case(image(2, 33, 1, 3), 0.9),
    drop_case(image(2, 6, 3, 3), 0.0), drop_case(image(2, 6, 3, 3), 1.0), drop_case(tensor(4, 300), 0.25, ordinal=9), drop_case(image(2, 37, 13, 11), 0.4)],
   lambda rng: drop_case(image(rng.randint(1, 4), rng.randint(1, 9), rng.randint(1, 4), rng.randint(1, 4)), rng.choice([0.1, 0.5, 0.75]), rng.randrange(2**62),
                         rng.randint(0, 9), rng.randint(0, 9)))

op("sample_dropout", sample_dropout,
   [drop_case(tensor(1)), drop_case(tensor(7), 0.3), drop_case(tensor(0, 3)), drop_case(image(5, 3, 4, 5), step=2), drop_case(image(31, 2, 1, 3), 0.9),
    drop_case(image(4, 3, 3, 3), 0.0), drop_case(image(4, 3, 3, 3), 1.0), drop_case(tensor(300, 5), 0.25, ordinal=9), drop_case(image(9, 37, 13, 11), 0.4)],
   lambda rng: drop_case(image(rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 4), rng.randint(1, 4)), rng.choice([0.1, 0.5, 0.75]), rng.randrange(2**62),
                         rng.randint(0, 9), rng.randint(0, 9)))
