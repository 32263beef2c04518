"""Small changes of a module's functions: each is one that somebody could make by mistake."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip

Change = Callable[[], None]


@dataclass(frozen=True)
class Mutant:
    """A function with one change."""

    function: str
    """Its qualified name."""
    begins: int
    """The line where it begins, with its decorators: a property has two functions of one name."""
    line: int
    """Where the change is."""
    was: str
    became: str
    code: CodeType
    """The function's code as it is now."""

    def __str__(self) -> str:
        return f"{self.line} {self.function}: {self.was}  ->  {self.became}"


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """All changes of the functions of a module, one after the other."""
    tree = ast.parse(source)
    count = sum(1 for _ in _changes(tree))
    for place in range(count):
        changed = copy.deepcopy(tree)
        changes = _changes(changed)
        for _ in range(place):
            next(changes)
        function, begins, node, change = next(changes)
        was = _text(node)
        change()
        became = _text(node)
        ast.fix_missing_locations(changed)
        code = _code_of(compile(changed, path, "exec", dont_inherit=True), function, begins)
        if was != became and code is not None:
            yield Mutant(function, begins, getattr(node, "lineno", 0), was, became, code)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return ast.unparse(node)


def _code_of(code: CodeType, function: str, begins: int) -> CodeType | None:
    """The code of a function within that of its module."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if (constant.co_qualname, constant.co_firstlineno) == (function, begins):
                return constant
            if function.startswith(f"{constant.co_qualname}."):
                return _code_of(constant, function, begins)
    return None


def _changes(tree: ast.Module) -> Iterator[tuple[str, int, ast.AST, Change]]:
    for name, function in _functions(tree, ""):
        begins = min(one.lineno for one in (function, *function.decorator_list))
        for statement in _without_docstring(function.body):
            for node, change in _in_statement(statement):
                yield name, begins, node, change


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Function]]:
    """The functions that are in no other; what is within one belongs to it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _functions(child, prefix)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(ast.Constant(str())), *others]:
            return others
    return body


def _in_statement(statement: ast.stmt) -> Iterator[tuple[ast.AST, Change]]:
    """The changes of a statement and of all in it: what is for type checkers, and texts, stay."""
    if isinstance(statement, ast.Assert):
        return
    if isinstance(statement, _Function | ast.ClassDef):
        for inner in _without_docstring(statement.body):
            yield from _in_statement(inner)
        return
    yield from _of_statement(statement)
    for name, value in ast.iter_fields(statement):
        if name == "annotation":
            continue
        for child in value if isinstance(value, list) else [value]:
            yield from _below(child)


def _below(child: object) -> Iterator[tuple[ast.AST, Change]]:
    if isinstance(child, ast.stmt):
        yield from _in_statement(child)
    elif isinstance(child, ast.expr):
        yield from _in_expression(child)
    elif isinstance(child, ast.match_case):
        for inner in (child.guard, *child.body):
            yield from _below(inner)
    elif isinstance(child, ast.ExceptHandler):
        for inner in child.body:
            yield from _in_statement(inner)
    elif isinstance(child, ast.withitem):
        yield from _in_expression(child.context_expr)


def _of_statement(statement: ast.stmt) -> Iterator[tuple[ast.AST, Change]]:
    match statement:
        case ast.Expr(ast.Call()) | ast.Expr(ast.Await(ast.Call())):
            yield statement, _become(statement, "value", ast.Constant(None))
        case ast.Assign(targets=[ast.Attribute()]) if not _is_none(statement.value):
            yield statement, _become(statement, "value", ast.Constant(None))
        case ast.AugAssign(op=operator) if type(operator) in _CALCULATED:
            yield statement, _become(statement, "op", _CALCULATED[type(operator)]())
        case ast.Return(ast.expr() as value) if not _is_none(value):
            yield statement, _become(statement, "value", ast.Constant(None))
        case ast.If(test=test) | ast.While(test=test) if not _is_changed_itself(test):
            yield statement, _become(statement, "test", ast.UnaryOp(ast.Not(), test))


def _in_expression(expression: ast.expr) -> Iterator[tuple[ast.AST, Change]]:
    if isinstance(expression, ast.JoinedStr):
        return
    yield from _of_expression(expression)
    for child in ast.iter_child_nodes(expression):
        if isinstance(child, ast.expr):
            yield from _in_expression(child)
        elif isinstance(child, ast.keyword):
            yield from _in_expression(child.value)
        elif isinstance(child, ast.comprehension):
            for inner in (child.iter, *child.ifs):
                yield from _in_expression(inner)


def _of_expression(expression: ast.expr) -> Iterator[tuple[ast.AST, Change]]:
    match expression:
        case ast.Compare(ops=operators):
            for place, operator in enumerate(operators):
                other = _COMPARED[type(operator)]()
                changed = [*operators[:place], other, *operators[place + 1 :]]
                yield expression, _become(expression, "ops", changed)
        case ast.BinOp(op=operator) if type(operator) in _CALCULATED:
            yield expression, _become(expression, "op", _CALCULATED[type(operator)]())
        case ast.BoolOp(op=ast.And()):
            yield expression, _become(expression, "op", ast.Or())
        case ast.BoolOp(op=ast.Or()):
            yield expression, _become(expression, "op", ast.And())
        case ast.UnaryOp(op=ast.Not()):
            again = ast.UnaryOp(ast.Not(), expression.operand)
            yield expression, _become(expression, "operand", again)
        case ast.IfExp(test=test) if not _is_changed_itself(test):
            yield expression, _become(expression, "test", ast.UnaryOp(ast.Not(), test))
        case ast.Constant(value=bool() as value):
            yield expression, _become(expression, "value", not value)
        case ast.Constant(value=int() as value):
            yield expression, _become(expression, "value", value + 1)
        case ast.Constant(value=bytes() as value):
            yield expression, _become(expression, "value", value + b"?")


def _become(node: ast.AST, field: str, value: object) -> Change:
    return lambda: setattr(node, field, value)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_changed_itself(test: ast.expr) -> bool:
    """Whether a condition that is turned round is among the changes of its own."""
    return isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)
