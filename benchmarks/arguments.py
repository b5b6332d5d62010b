"""Constructor arguments in a name: `gaussian_vae[hidden=16, depth=1]`, checked against the constructor's own types."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import re
import warnings
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from benchmarks.errors import UserError, short, unknown

Arguments = tuple[tuple[str, Any], ...]

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
WORDS = {"true": True, "false": False, "none": None}
LONGEST = 1_000  # characters between the brackets
MOST = 1_000  # of a sweep
LARGEST = 2**63


def split(name: str) -> tuple[str, list[Arguments]]:
    """The bare name and its arguments, more than one set of them where a list of values makes a sweep.

    Values are Python literals, or bare words. Raises UserError for what is neither.
    """
    bare, bracket, inside = name.partition("[")
    if not bracket:
        return name, [()]
    try:
        if not inside.endswith("]"):
            raise SyntaxError("the closing bracket is missing")
        if len(inside) > LONGEST:
            raise SyntaxError(f"more than {LONGEST:,} characters between the brackets")
        with warnings.catch_warnings(action="ignore"):  # of what Python takes for a slip in its own source
            call = ast.parse(f"f({inside[:-1]})", mode="eval").body
        plain_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if not isinstance(call, ast.Call) or not plain_call or call.args or any(not one.arg for one in call.keywords):
            raise SyntaxError("an argument is name=value")
        values = {str(one.arg): _value(one.value) for one in call.keywords}
        if len(values) < len(call.keywords):
            raise SyntaxError("an argument is repeated")
        choices = [value if isinstance(value, list) else [value] for value in values.values()]
        if not 1 <= math.prod(map(len, choices)) <= MOST:
            raise SyntaxError(f"a sweep is of 1 to {MOST:,} sets of values")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        example = f"{short(bare)}[argument=value, …]"
        raise UserError(f"{short(name)!r}: {message}; write it as {example}") from error
    return bare, [tuple(zip(values, chosen, strict=True)) for chosen in itertools.product(*choices)]


def check(kind: str, name: str, constructor: Callable[..., Any], arguments: Arguments) -> Arguments:
    """The arguments, converted to the types that the constructor declares.

    Raises UserError for an argument that it does not have, with the nearest it has, and for a value of another type.
    """
    function = constructor.__init__ if inspect.isclass(constructor) else constructor  # type: ignore[misc]
    try:
        parameters = inspect.signature(constructor).parameters
        hints = get_type_hints(function)
    except Exception as error:  # whatever an annotation that means nothing makes Python raise
        raise UserError(f"{kind} {name}: what its arguments are cannot be read: {error}") from error
    checked = []
    for argument, value in arguments:
        if argument not in parameters:
            raise UserError(
                f"{kind} {name}: {unknown('argument', argument, parameters)}"
                if parameters
                else f"{kind} {name} has no arguments, so no {argument!r}"
            )
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hints.get(argument, Any), config=ConfigDict(strict=False))
            checked.append((argument, adapter.validate_python(value)))
        except PydanticSchemaGenerationError as error:
            raise UserError(f"{kind} {name}: {argument} cannot be set in a name: no number, no word") from error
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{kind} {name}: {argument} = {value!r}: {first['msg']}") from error
    return tuple(checked)


def written(name: str, arguments: Arguments) -> str:
    """The one way to write a name with its arguments: what tables, files and seeds call it.

    Raises UserError for a value that cannot be part of a file's name.
    """
    for argument, value in arguments:
        if isinstance(value, str) and not WORD.fullmatch(value):
            raise UserError(
                f"{name}: {argument} = {value!r}: a word is letters, digits, _, - and ., at most 40 of them"
            )
    inside = ",".join(f"{argument}={value}" for argument, value in arguments)
    return f"{name}[{inside}]" if inside else name


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return WORDS.get(node.id, node.id)
    if isinstance(node, ast.List):
        return [_value(each) for each in node.elts]
    return _plain(ast.literal_eval(node))


def _plain(value: Any) -> Any:
    """The value. Raises ValueError unless it is a number that a machine has, a word, or a tuple of these."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError("a number is too large")
    if value is None or isinstance(value, int | float | str):
        return value
    raise ValueError(f"a value is a number, a word or a list of them, and no {type(value).__name__}")
