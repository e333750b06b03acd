"""The small changes of the program's files that `make mutants` tries; a test should notice each."""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

# Arguments that only people read.
WORDS = {"help", "metavar", "description", "epilog", "summary", "example", "title", "prog", "formatter_class", "name"}
COMPARED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
COMPUTED = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.FloorDiv: "*", ast.Div: "*", ast.Mod: "//",
    ast.BitOr: "&", ast.BitAnd: "|",
}  # fmt: skip
# Patterns in SQL, outside of comments and quotes, and their replacements.
SQL = [
    (r"\bfor (no key )?update( of \w+)?\b|\bskip locked\b|\bnowait\b|\bif not exists\b|\bdistinct\b(?! from)", ""),
    (r"(?<=\bwhere )\S[^\n;]*", "true"),
    (r"(?m)^ +(and|or) [^\n;]*", ""),
    (r"(?m)\b(and|or) [^\n;)]*(?=[;)\n])", ""),
    (r"\bnot (?!null|exists)", ""),
    (r"\bis not null", "is null"),
    (r"\bis null", "is not null"),
    (r"(?<= )<=(?= )", "<"), (r"(?<= )<(?= )", "<="), (r"(?<= )>=(?= )", ">"), (r"(?<= )>(?= )", ">="),
    (r"(?<= )<>(?= )", "="), (r"(?<= )\+(?= )", "-"), (r"(?<= )-(?= )", "+"),
    (r"\bon conflict [^\n;]*do nothing", ""),
    (r"\bdo update set [^;]*", "do nothing"),
    (r"\bmin\(", "max("), (r"\bmax\(", "min("), (r"\bleast\(", "greatest("), (r"\bgreatest\(", "least("),
    (r"\btrue\b", "false"), (r"\bfalse\b", "true"),
    (r"\bleft join\b|\bfull join\b", "inner join"), (r"\bunion all\b", "union"),
    (r"(?m)^ *set_config\([^\n]*\),$|^ *(order by|limit|offset|having) [^\n;]*", ""),
    (r"(?m)^ *(grant|revoke|alter|set local|execute format)\b[^;]*;", ""),
    (r"(?m)^(create (unique )?index|delete from|insert into|truncate|discard)\b[^;]*;", ""),
    (r"(?<=[a-z]) not null(?=[ ,\n])|\bcheck \([^\n]*\)(?=,?\n)|\breferences [^,\n]*|\bunlogged ", ""),
    (r"\b[1-9]\d{0,5}\b", "0"),
]  # fmt: skip
HTML = [
    (r"(?<={% if )[^%]+(?= %})", r"not (\g<0>)"),
    (r" \| (name|filesizeformat|number|rate|interval|time)\b(?= )", ""),
    (r"(?m)^<meta [^\n]*\n", ""),
]


Change = tuple[int, int, bytes]  # start, stop, and the bytes that replace those between them


class Mutant(NamedTuple):
    """A file with one change, at these bytes."""

    path: str
    line: int
    start: int
    stop: int
    text: bytes
    change: str
    name: str

    def rank(self, seed: str) -> str:
        """Return its position among all mutants, drawn by the seed; edits elsewhere in the file do not change it."""
        return hashlib.sha256(f"{seed} {self.name}".encode()).hexdigest()


def mutants(root: Path, path: str) -> list[Mutant]:
    """Return all mutants of a file below a folder, each once."""
    source = (root / path).read_bytes()
    found = {
        ".py": lambda: Python(source).changes(ast.parse(source)),
        ".sql": lambda: replaced(source, SQL, r"--[^\n]*|'[^']*'"),
        ".html": lambda: replaced(source, HTML, r"<style>[^<]*</style>"),
    }[Path(path).suffix]()
    made, seen = [], Counter[str]()
    for start, stop, text in sorted(set(found)):
        changed = source[:start] + text + source[stop:]
        if path.endswith(".py"):
            try:
                compile(changed, path, "exec")
            except SyntaxError:
                continue
        begun = source.rfind(b"\n", 0, start) + 1
        words = source[begun : source.find(b"\n", stop)].decode().strip()
        old, new = (" ".join(part.decode().split()) for part in (source[start:stop], text))
        before = source[max(begun, start - 24) : start].decode(errors="ignore").lstrip()
        change = f"{before}[{old} -> {new}]"
        name = f"{path}: {words}: {change}"
        seen[name] += 1
        made.append(Mutant(path, source.count(b"\n", 0, start) + 1, start, stop, text, change, f"{name} {seen[name]}"))
    return made


def replaced(source: bytes, rules: list[tuple[str, str]], kept: str) -> Iterator[Change]:
    """Return the changes of a text by rules, outside of the parts that are kept."""
    left = [match.span() for match in re.finditer(kept.encode(), source)]
    for pattern, text in rules:
        for match in re.finditer(pattern.encode(), source):
            if not any(start <= match.start() < stop for start, stop in left):
                yield *match.span(), match.expand(text.encode())


class Python:
    """The changes of a module, including those that the compiler refuses."""

    def __init__(self, source: bytes) -> None:
        """Take its source, in UTF-8."""
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def changes(self, node: ast.AST, inside: str = "") -> Iterator[Change]:
        """Yield the changes of a node and of all nodes below it, in the function of that name."""
        if isinstance(node, ast.FunctionDef):
            inside = node.name
        match node:
            case (
                ast.JoinedStr()
                | ast.Assert()
                | ast.Import()
                | ast.ImportFrom()
                | ast.If(test=ast.Name("TYPE_CHECKING"))
            ):
                return
            case ast.Expr(value=ast.Constant()) | ast.Subscript(value=ast.Name("Literal")):
                return
            case ast.keyword(arg=str() as arg) if arg in WORDS:
                return
            case ast.Raise():
                yield self._put(node, "pass")
                return  # the rest is its message
        yield from self._own(node, inside)
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from self.changes(child, inside)

    def _own(self, node: ast.AST, inside: str) -> Iterator[Change]:
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                if not isinstance(test, ast.Constant):
                    yield self._put(test, f"not ({self._text(test)})")
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield self._put(test, "True")
            case ast.BoolOp(op=op, values=values):
                word = " and " if isinstance(op, ast.And) else " or "
                for left in values:
                    yield self._put(node, word.join(f"({self._text(it)})" for it in values if it is not left))
            case ast.Compare(left=left, ops=ops, comparators=others):
                operands = [f"({self._text(it)})" for it in (left, *others)]
                signs = [
                    self._source[self._at(a)[1] : self._at(b)[0]].strip(b" ()\n").decode()
                    for a, b in pairwise((left, *others))
                ]
                for place, compared in enumerate(ops):
                    put = [*signs[:place], COMPARED[type(compared)], *signs[place + 1 :], ""]
                    yield self._put(node, " ".join(chain.from_iterable(zip(operands, put, strict=True))))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in COMPUTED:
                if not any(isinstance(it, ast.JoinedStr) or is_text(it) for it in (left, right)):
                    yield self._put(node, f"({self._text(left)}) {COMPUTED[type(op)]} ({self._text(right)})")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._put(node, f"({self._text(operand)})")
            case ast.Constant(value=bool() as value):
                yield self._put(node, str(not value))
            case ast.Constant(value=int() | float() as value):
                yield self._put(node, "0" if value > 2 else f"{value + 1}")
            case ast.ExceptHandler(type=ast.expr() as kind):
                for one in kind.elts if isinstance(kind, ast.Tuple) else [kind]:
                    yield self._put(one, "()")
            case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Delete():
                yield self._put(node, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) if inside != "__init__":
                yield self._put(node, "pass")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield self._put(node, "return None")
            case ast.With(items=items):
                for item in items:
                    if item.optional_vars is None:
                        yield self._put(item.context_expr, "__import__('contextlib').nullcontext()")
            case ast.Break() | ast.Continue():
                yield self._put(node, "continue" if isinstance(node, ast.Break) else "break")
            case ast.List(elts=elements) | ast.Set(elts=elements) | ast.Tuple(elts=elements, ctx=ast.Load()):
                if len(elements) > 1 and not any(isinstance(it, ast.Name | ast.Starred) for it in elements):
                    for element in elements:
                        yield self._put(element, "*()")
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if key is not None:
                        yield self._at(key)[0], self._at(value)[1], b"**{}"
            case ast.Call(func=function, args=arguments, keywords=keywords):
                for keyword in keywords:
                    if keyword.arg not in WORDS:
                        yield self._put(keyword, "**{}")
                if isinstance(function, ast.Name) and function.id == "suppress":
                    for argument in arguments:
                        yield self._put(argument, "*()")
                if isinstance(function, ast.Name) and function.id in ("min", "max"):
                    yield self._put(function, {"min": "max", "max": "min"}[function.id])

    def _at(self, node: ast.AST) -> tuple[int, int]:
        place = [getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]
        return self._lines[place[0] - 1] + place[1], self._lines[place[2] - 1] + place[3]

    def _text(self, node: ast.AST) -> str:
        start, stop = self._at(node)
        return self._source[start:stop].decode()

    def _put(self, node: ast.AST, text: str) -> Change:
        return *self._at(node), text.encode()


def is_text(node: ast.AST) -> bool:
    """Whether a node is a literal text."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
