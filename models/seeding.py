"""Initial parameters from a generator that is passed in, though torch's initialisers know only the global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Inside, torch's global CPU generator is seeded from `generator`; outside it is as if nothing had happened.

    `nn.Linear` and its kin initialise themselves from the global generator and accept no other. So

        with seeded(generator):
            module = nn.Linear(3, 4)

    gives a module that is a function of the generator's state, advances that generator by one draw, and leaves the
    global state as it was, whatever is raised inside. CUDA's generators are not touched: build on the CPU.
    Not for threads that draw from the global generator meanwhile: there is only one.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    state = torch.get_rng_state()
    # Not torch.manual_seed, which would seed every other device too.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
