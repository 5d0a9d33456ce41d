"""A pickle interpreter that can build plain data and nothing else.

Python's own unpickler, even restricted, sets attributes on any object that the file names, and
trusts the file's sizes and memo slots. This one has only the opcodes for plain values, resolves
names in a literal table of constructors, and never imports.
"""

import dataclasses
import io
import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tvae.convert.torch_file.budget import Budget
from tvae.convert.torch_file.zip_archive import printable
from tvae.errors import UserError

# Beyond any counter, seed or size that a training run writes.
_MAX_INTEGER_BITS = 128
MAX_INSTRUCTIONS = 400_000
"""Of a pickle; a checkpoint has some 20,000, and each makes one small value at most."""

_BROKEN = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)

_PUSH_ARGUMENT = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
)
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUSH_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name as the file spells it; its value is a constructor for ``REDUCE``, or plain."""

    name: str
    value: Any


class Buildable:
    """A value that receives part of its state after it was made (``BUILD``)."""

    def build(self, state: Any) -> None:
        """Take over ``state``, or raise ``ValueError``."""
        raise NotImplementedError


class Machine:
    """One run over one pickle."""

    def __init__(
        self, table: Mapping[str, Any], load_persistent: Callable[[Any], Any], budget: Budget
    ) -> None:
        # The replacement of each admitted global, and the value of a persistent id.
        self.table = table
        self.load_persistent = load_persistent
        self.budget = budget
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: list[Any] = []

    def run(self, data: bytes) -> Any:
        """Interpret ``data`` and return the value it leaves.

        Raises:
          UserError: for an opcode or global that is not admitted, and for malformed input.
        """
        try:
            for count, (name, argument) in enumerate(_instructions(data), start=1):
                if count > MAX_INSTRUCTIONS:
                    raise UserError(f"its pickle has more than {MAX_INSTRUCTIONS} instructions")
                self._step(name, argument)
        except UserError:
            raise
        except _BROKEN as error:
            raise UserError(f"damaged pickle: {printable(str(error))}") from None
        if self.outer or len(self.stack) != 1:
            raise UserError("damaged pickle: it leaves more or less than one value")
        return self.stack[0]

    def _step(self, name: str, argument: Any) -> None:
        if name in _PUSH_ARGUMENT:
            if isinstance(argument, int) and argument.bit_length() > _MAX_INTEGER_BITS:
                raise UserError(f"damaged pickle: integer of {argument.bit_length()} bits")
            self.stack.append(argument)
        elif name in _PUSH_CONSTANT:
            self.stack.append(_PUSH_CONSTANT[name])
        elif name in _PUSH_EMPTY:
            self.stack.append(_PUSH_EMPTY[name]())
        else:
            _ACTIONS[name](self, argument)

    def _items(self) -> list[Any]:
        """Values pushed since the last mark; replaces the stack by the one below the mark."""
        items, self.stack = self.stack, self.outer.pop()
        return items

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _mark(self, _: Any) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def _put(self, slot: int) -> None:
        # In a list: slots of an author's choice would be colliding keys of a dictionary.
        if not 0 <= slot <= len(self.memo):
            raise IndexError(f"memo slot {slot} follows {len(self.memo)} others")
        self.memo[slot : slot + 1] = [self.stack[-1]]

    def _memoize(self, _: Any) -> None:
        self.memo.append(self.stack[-1])

    def _get(self, slot: int) -> None:
        if not 0 <= slot < len(self.memo):
            raise IndexError(f"memo slot {slot} is empty")
        self.stack.append(self.memo[slot])

    def _tuple_of(self, n: int) -> None:
        if len(self.stack) < n:
            raise IndexError("a tuple needs more values than there are")
        self.stack[-n:] = [tuple(self.stack[-n:])]

    def _dict(self, _: Any) -> None:
        items = self._items()
        self.stack.append({})
        self._set_pairs(items)

    def _top(self, *kinds: type) -> Any:
        if not isinstance(self.stack[-1], kinds):
            raise ValueError("a value of the wrong type is filled")
        return self.stack[-1]

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._top(list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._items()
        self._top(list).extend(items)

    def _additems(self, _: Any) -> None:
        items = self._items()
        self._top(set).update(map(self.budget.check_key, items))

    def _frozenset(self, _: Any) -> None:
        items = self._items()
        self.stack.append(frozenset(map(self.budget.check_key, items)))

    def _set_pairs(self, items: list[Any]) -> None:
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.budget.check_key(key)] = value

    def _setitem(self, _: Any) -> None:
        items = self.stack[-2:]
        del self.stack[-2:]
        self._set_pairs(items)

    def _global(self, names: tuple[str, str]) -> None:
        dotted = ".".join(names)
        if dotted not in self.table:
            raise UserError(f"the pickle asks for {printable(dotted)}, which no checkpoint needs")
        self.stack.append(Global(dotted, self.table[dotted]))

    def _stack_global(self, _: Any) -> None:
        module, name = self.stack[-2:]
        del self.stack[-2:]
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("the name of a global must be a string")
        self._global((module, name))

    def _reduce(self, _: Any) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if not (isinstance(function, Global) and callable(function.value)):
            raise ValueError("a value that is no function is called")
        if not isinstance(arguments, tuple):
            raise ValueError(f"arguments of {function.name} must be a tuple")
        try:
            self.stack.append(function.value(*arguments))
        except UserError:
            raise
        except _BROKEN as error:
            raise UserError(f"bad call of {function.name}: {printable(str(error))}") from None

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        self._top(Buildable).build(state)


# By opcode. Arguments of _push are computed first: _items() replaces the stack.
_ACTIONS: dict[str, Callable[[Machine, Any], object]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda *_: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._get),
    "MARK": Machine._mark,
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine._items(),
    "DUP": lambda machine, _: machine._push(machine.stack[-1]),
    "MEMOIZE": Machine._memoize,
    "TUPLE": lambda machine, _: machine._push(tuple(machine._items())),
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "LIST": lambda machine, _: machine._push(machine._items()),
    "DICT": Machine._dict,
    "FROZENSET": Machine._frozenset,
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "ADDITEMS": Machine._additems,
    "SETITEM": Machine._setitem,
    "SETITEMS": lambda machine, _: machine._set_pairs(machine._items()),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "BUILD": Machine._build,
    "BINPERSID": lambda machine, _: machine._push(machine.load_persistent(machine.stack.pop())),
}
_ADMITTED = {
    opcode.code.encode("latin1"): opcode
    for opcode in pickletools.opcodes
    if opcode.name in {*_PUSH_ARGUMENT, *_PUSH_CONSTANT, *_PUSH_EMPTY, *_ACTIONS}
}
_KNOWN = {opcode.code.encode("latin1"): opcode.name for opcode in pickletools.opcodes}


def _line(file: io.BytesIO) -> str:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ValueError("a name has no end")
    return line[:-1].decode()


def _instructions(data: bytes) -> Iterator[tuple[str, Any]]:
    """Opcodes and their arguments up to ``STOP``; one that is not admitted is not even parsed.

    Not ``pickletools.genops``, which looks for escape sequences in the names of globals.
    """
    file = io.BytesIO(data)
    while (code := file.read(1)) != b".":
        if not code:
            raise ValueError("it has no end")
        opcode = _ADMITTED.get(code)
        if opcode is None:
            name = _KNOWN.get(code, repr(code))
            raise UserError(f"pickle opcode {name} at byte {file.tell() - 1} is not admitted")
        if opcode.name == "GLOBAL":
            yield opcode.name, (_line(file), _line(file))
        else:
            yield opcode.name, opcode.arg.reader(file) if opcode.arg else None
