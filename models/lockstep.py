"""R replicates of one model as a single function of one tensor of parameters, and its gradient as a flat program.

Small networks on small batches are bound by the cost of calling operations, not by arithmetic. So the parameters of
all replicates are stacked (`torch.func.stack_module_state`), the loss is mapped over them (`torch.vmap`), and what
that amounts to, forward and backward, is recorded once as a list of tensor operations (`make_fx`) that needs neither
modules nor distributions nor autograd to be run again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.passes.shape_prop import ShapeProp

aten = torch.ops.aten
Loss = Callable[..., Tensor]
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Lockstep:
    """R replicates: parameters (R, P), losses (R,) and gradients (R, P) of batches (R, b, d).

    A single replicate need not be one that `vmap` can map.
    """

    def __init__(self, models: Sequence[nn.Module], loss: Loss, trains: tuple[str, ...], generator: Generator) -> None:
        """loss(model, x, generator) is a scalar; trains: prefixes of the parameters that move, none for all."""
        stacked, buffers = torch.func.stack_module_state([_Loss(model, loss) for model in models])
        prefixes = tuple(f"model.{name}" for name in trains)
        moving = [name for name in stacked if not trains or name.startswith(prefixes)]
        if not moving:
            raise ValueError(f"{type(models[0]).__name__} has no parameters that training could move")
        self._models = models
        self._generator = generator
        self._names = moving
        self._shapes = [stacked[name].shape[1:] for name in moving]
        self._frozen = {name: value.detach() for name, value in stacked.items() if name not in moving} | buffers
        self._skeleton = copy.deepcopy(_Loss(models[0], loss))
        self.parameters = torch.cat([stacked[name].detach().reshape(len(models), -1) for name in moving], dim=1)

    def losses(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The loss of each replicate, (R,), on its own batch x (R, b, d)."""
        state = self._named(parameters) | self._frozen
        if len(self._models) == 1:
            return self._one({name: value[0] for name, value in state.items()}, x[0])[None]
        return torch.vmap(self._one, randomness="different")(state, x)

    def gradient(self, parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """∂ losses/∂ parameters (R, P) and the losses (R,). Replicates do not know of each other."""
        with torch.enable_grad():
            parameters = parameters.detach().requires_grad_()
            losses = self.losses(parameters, x)
            (gradient,) = torch.autograd.grad(losses.sum(), parameters)
        return gradient, losses.detach()

    def recorded(self, x: Tensor) -> Step | None:
        """`gradient` as a flat program for batches like x; None for a loss that cannot be recorded.

        Whatever the loss takes from Python, a counter say, is frozen as it is now: hold it against `losses`.
        """

        def step(parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            def total(parameters: Tensor) -> tuple[Tensor, Tensor]:
                losses = self.losses(parameters, x)
                return losses.sum(), losses

            gradient, losses = torch.func.grad(total, has_aux=True)(parameters)
            return gradient, losses

        state = self._generator.get_state()
        try:
            program = make_fx(step)(self.parameters, x)
            ShapeProp(program).propagate(self.parameters, x)
        except Exception:  # whatever is wrong with the loss, calling it plainly will say so better
            return None
        finally:
            self._generator.set_state(state)
        return _without_idle(program)

    def can_be_mapped(self, x: Tensor) -> bool:
        """Whether `vmap` can map the loss: tried on a few points of x (R, b, d)."""
        state = self._generator.get_state()
        try:
            self.gradient(self.parameters, x[:, :4])
        except (RuntimeError, ValueError):
            return False
        finally:
            self._generator.set_state(state)
        return True

    def write_back(self, parameters: Tensor) -> None:
        """Give each model its own row of parameters (R, P)."""
        named = self._named(parameters)
        for position, model in enumerate(self._models):
            own = dict(model.named_parameters())
            with torch.no_grad():
                for name, value in named.items():
                    own[name.removeprefix("model.")].copy_(value[position])

    def _named(self, parameters: Tensor) -> dict[str, Tensor]:
        pieces = parameters.split([shape.numel() for shape in self._shapes], dim=1)
        return {
            name: piece.reshape(len(parameters), *shape)
            for name, piece, shape in zip(self._names, pieces, self._shapes, strict=True)
        }

    def _one(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(self._skeleton, state, (x, self._generator))


def _without_idle(program: GraphModule) -> GraphModule:
    """The program without the operations that return what they are given: a quarter of them, left by `vmap`."""
    for node in program.graph.nodes:
        source = node.args[0] if node.args else None
        if isinstance(source, Node) and _is_idle(node, source):
            node.replace_all_uses_with(source)
    program.graph.eliminate_dead_code()
    program.recompile()
    return program


def _is_idle(node: Node, source: Node) -> bool:
    """Whether a node reshapes its source to the same shape, multiplies it by one or takes its first power."""
    if node.target in (aten.view.default, aten._unsafe_view.default, aten.expand.default):
        before, after = source.meta["tensor_meta"], node.meta["tensor_meta"]
        return (before.shape, before.stride) == (after.shape, after.stride)
    return node.target in (aten.mul.Scalar, aten.pow.Tensor_Scalar) and node.args[1:] == (1,)


class _Loss(nn.Module):
    """A loss as a forward pass, which is what `functional_call` calls."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, x: Tensor, generator: Generator) -> Tensor:
        return self.loss(self.model, x, generator)
