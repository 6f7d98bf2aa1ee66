"""Pickles of plain containers, numbers, text and numpy arrays; whatever else a pickle asks for is refused.

A pickle is a program. This one may call a few functions, all of them here: numpy's own are not reached,
because a forged data type or state makes them read memory that is not theirs.
"""

import collections
import io
import pickle
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLAIN_TYPE = re.compile(r"[<>|=]?([biufcSU]\d*|\?)")
_BYTE_ORDERS = ("<", ">", "|", "=")

DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    MemoryError,
)
"""What bytes that are no pickle make the unpickler raise."""


class Refused(Exception):  # noqa: N818 - it names what happened
    """A pickle asks for something that no molecule needs."""


class _DataType:
    """Stands for a `numpy.dtype`: numbers, truth values and text of fixed width."""

    def __init__(self, kind: str) -> None:
        if not isinstance(kind, str) or not _PLAIN_TYPE.fullmatch(kind):
            raise Refused(f"numpy data type {kind!r}")
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in _BYTE_ORDERS:
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array whose state is checked before numpy sees it."""

    def __setstate__(self, state: Any, /) -> None:
        _version, shape, kind, by_column, content = state
        if min(shape, default=0) < 0:
            raise ValueError(f"array of shape {shape}")
        checked: Any = (tuple(map(int, shape)), _checked(kind), bool(by_column), bytes(content))
        super().__setstate__(checked)


# Only functions are handed out: a pickle may set attributes of what it is given, and so change a class.
def _data_type(kind: str, *_flags: object) -> _DataType:
    return _DataType(kind)


def _reconstruct(_subtype: object, _shape: object, _kind: object) -> _Array:
    return _Array((0,), "b")


def _from_buffer(content: bytes, kind: object, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    return np.frombuffer(content, _checked(kind)).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: object, content: bytes) -> object:
    return np.frombuffer(content, _checked(kind))[0]


def _latin1(text: str, encoding: str) -> bytes:
    """Protocol 2 writes bytes as text."""
    if encoding != "latin1":
        raise Refused(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _checked(kind: object) -> np.dtype[Any]:
    if not isinstance(kind, _DataType):
        raise Refused(f"an array of {type(kind).__name__}")
    return kind.dtype


_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "dtype"): _data_type,
    # Only ever an argument of _reconstruct: as text it cannot be called.
    ("numpy", "ndarray"): "numpy.ndarray",
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
# numpy 2 renamed numpy.core; files of both are around.
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer
for _builtins in ("builtins", "__builtin__"):
    for _plain in (set, frozenset, complex, bytearray):
        _ALLOWED[_builtins, _plain.__name__] = _plain


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None


def loads(content: bytes) -> object:
    """The value of a pickle.

    Raises:
        Refused: It asks for another class, function or data type; the message names it.
        DAMAGED: One of these where it is no whole pickle.
    """
    return _Unpickler(io.BytesIO(content)).load()
