"""Find which fields of the settings the code reads, by the types of its expressions.

The code is parsed, not run. The type of an expression is the set of our classes of which its value may hold an object:
a list or a dictionary of them has the same type as one of them. Types come from annotations and go through assignments,
loops and calls; a function that is not ours, or generic, returns what it is given.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import networkx as nx

Types = frozenset[str]  # full names of classes, functions and modules of ours
NOTHING: Types = frozenset()
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
WHOLE = {"dataclasses.asdict", "dataclasses.astuple", "vars"}  # these read every field


class Code:
    """Modules of ours, parsed, and who reads what.

    `reads` has an edge from a module to each field and method that it uses. A method of the settings only reads when it
    is called, so it has edges of its own to what it uses.
    """

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        """Find the classes and functions of some modules, all types, and the reads."""
        self.trees = trees
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.imports = {module: dict(_imports(tree)) for module, tree in trees.items()}
        self.names: dict[str, Types] = {}  # types of the variables of modules and the attributes of classes
        self.reads = nx.DiGraph()
        for module, tree in trees.items():
            self._define(module, tree)
        self.settings = {name: _fields(cls) for name, cls in self.classes.items() if _is_settings(cls)}
        known = None
        while known != self.names:  # modules learn from each other
            known = dict(self.names)
            for module, tree in trees.items():
                Scope(self, module, module, {}, module).follow(tree)

    def _define(self, path: str, node: ast.Module | ast.ClassDef) -> None:
        for child in node.body:
            if isinstance(child, ast.ClassDef):
                self.classes[f"{path}.{child.name}"] = child
                self._define(f"{path}.{child.name}", child)
            elif isinstance(child, FUNCTION):
                self.functions[f"{path}.{child.name}"] = child

    def find(self, name: str) -> Types:
        """Return what a full name stands for, through imports."""
        if name in self.classes or name in self.functions or name in self.trees:
            return frozenset([name])
        module, _, last = name.rpartition(".")
        imported = self.imports.get(module, {}).get(last)
        return self.find(imported) if imported else self.names.get(name, NOTHING)

    def owner(self, cls: str, attribute: str) -> str | None:
        """Return the class that has an attribute: this one or a base of it."""
        if f"{cls}.{attribute}" in self.names or f"{cls}.{attribute}" in self.functions:
            return cls
        bases = (base for node in self.classes[cls].bases for base in self.scope_of(cls).types(node))
        owners = (self.owner(base, attribute) for base in bases if base in self.classes)
        return next(filter(None, owners), None)

    def scope_of(self, name: str) -> "Scope":
        """Return the scope of the module that a class or function stands in."""
        module = name.rpartition(".")[0]
        while module not in self.trees:
            module = module.rpartition(".")[0]
        return Scope(self, module, module, {})

    def read_by(self, modules: Iterable[str]) -> set[str]:
        """Return the full names of the fields and methods that some modules use."""
        return {name for module in modules if module in self.reads for name in nx.descendants(self.reads, module)}


class Scope:
    """A module, a class or a function: what its names stand for, and for whom it reads."""

    def __init__(self, code: Code, module: str, reader: str, names: dict[str, Types], path: str = "") -> None:
        """Begin with the names of the functions around it; `path`: of a module or class, whose names all may use."""
        self.code, self.module, self.reader, self.names, self.path = code, module, reader, names, path

    def types(self, node: ast.expr) -> Types:
        """Return the type of an expression or annotation, noting what it reads."""
        match node:
            case ast.Name(name):
                return self.names[name] if name in self.names else self.code.find(f"{self.module}.{name}")
            case ast.Attribute(value, name, ast.Load()):
                return _union(self.attribute(owner, name) for owner in self.types(value))
            case ast.Call():
                return self.call(node)
            case ast.ListComp(part) | ast.SetComp(part) | ast.GeneratorExp(part) | ast.Lambda(_, part):
                return self.types(part)
            case ast.IfExp(_, first, second):
                return self.types(first) | self.types(second)
            case ast.Compare():
                return NOTHING
            case _:
                return _union(self.types(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))

    def attribute(self, owner: str, name: str) -> Types:
        """Return the type of an attribute; that of a list or a dictionary is the type of what it holds."""
        if owner not in self.code.classes:
            return self.code.find(f"{owner}.{name}")
        cls = self.code.owner(owner, name)
        if cls is None:
            return frozenset([owner])
        full = f"{cls}.{name}"
        self.code.reads.add_edge(self.reader, full)
        return self.result(full) if _is_property(self.code.functions.get(full)) else self.code.find(full)

    def result(self, called: str) -> Types:
        """Return the type of what a class or a function returns."""
        if called in self.code.classes:
            return frozenset([called])
        returns = self.code.functions[called].returns if called in self.code.functions else None
        return self.code.scope_of(called).types(returns) if returns else NOTHING

    def call(self, node: ast.Call) -> Types:
        """Return the type of what a call returns, after the parameters of lambdas among its arguments have theirs."""
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if self.code.imports[self.module].get(name, name) in WHOLE:
            self.read_fields(self.types(arguments[0]))
            return NOTHING
        if name == "getattr" and isinstance(arguments[1], ast.Constant | ast.JoinedStr):
            self.read_fields(self.types(arguments[0]), _pattern(arguments[1]))
        for function in (argument for argument in arguments if isinstance(argument, ast.Lambda)):
            others = _union(self.types(other) for other in [node.func, *arguments] if other is not function)
            self.names |= {parameter.arg: others for parameter in function.args.args}
        return _union(map(self.result, self.types(node.func))) or _union(map(self.types, arguments))

    def read_fields(self, classes: Types, pattern: str = ".*") -> None:
        """Note that fields of some classes are read, and all of the classes that these fields hold."""
        for cls in classes & self.code.settings.keys():
            for name in self.code.settings[cls]:
                if re.fullmatch(pattern, name):
                    self.code.reads.add_edge(self.reader, f"{cls}.{name}")
                    self.read_fields(self.code.find(f"{cls}.{name}"))

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        """Let a target of an assignment or a loop hold what `value` holds, too."""
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple) else []
            paired = len(values) == len(target.elts)
            for part, held in zip(target.elts, values if paired else [value] * len(target.elts), strict=True):
                self.bind(part, held)
        elif isinstance(target, ast.Name) and target.id in self.names:
            self.names[target.id] |= self.types(value)
        elif isinstance(target, ast.Name):
            self.add(f"{self.path or self.module}.{target.id}", value)
        elif isinstance(target, ast.Attribute):
            for owner in self.types(target.value):
                self.add(f"{owner}.{target.attr}", value)
        elif isinstance(target, ast.Subscript | ast.Starred):
            self.bind(target.value, value)

    def add(self, full: str, value: ast.expr) -> None:
        """Let a variable of a module or an attribute of a class hold what `value` holds, too."""
        self.code.names[full] = self.code.names.get(full, NOTHING) | self.types(value)

    def follow(self, node: ast.AST) -> None:
        """Follow the values through the code below `node`."""
        own, bound = _own(node), _bindings(node)
        for _ in range(2):  # the beginning of a loop may use what its end binds
            for target, value in bound:
                self.bind(target, value)
        for child in own:
            if isinstance(child, FUNCTION):
                self.function(child).follow(child)
            elif isinstance(child, ast.ClassDef):
                path = f"{self.path or self.module}.{child.name}"
                Scope(self.code, self.module, self.reader, self.names, path).follow(child)
            elif isinstance(child, ast.Match):
                self.read_fields(self.types(child.subject))
            elif isinstance(child, ast.Attribute | ast.Call):
                self.types(child)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> "Scope":
        """Return the scope of a function or method of this one, with the types of its parameters."""
        names = self.names | dict.fromkeys(_variables(node), NOTHING)
        for parameter in node.args.posonlyargs + node.args.args + node.args.kwonlyargs:
            names[parameter.arg] = self.types(parameter.annotation) if parameter.annotation else NOTHING
        if self.path in self.code.classes and node.args.args and not node.args.args[0].annotation:
            names[node.args.args[0].arg] = frozenset([self.path])  # self
        reader = f"{self.path}.{node.name}" if self.path in self.code.settings else self.reader
        return Scope(self.code, self.module, reader, names)


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (name, what it stands for in full) of all imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _is_settings(cls: ast.ClassDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "settings" for decorator in cls.decorator_list)


def _fields(cls: ast.ClassDef) -> list[str]:
    return [ast.unparse(node.target) for node in cls.body if isinstance(node, ast.AnnAssign)]


def _is_property(function: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    return function is not None and any(
        isinstance(node, ast.Name) and node.id in ("property", "cached_property") for node in function.decorator_list
    )


def _variables(function: ast.AST) -> set[str]:
    """Return the names of a function's own variables."""
    return {node.id for node in _own(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


@cache
def _own(node: ast.AST) -> list[ast.AST]:
    """Return what is below a node, without the insides of other functions and classes."""
    below = list(ast.iter_child_nodes(node))
    for child in below:  # it grows meanwhile
        if not isinstance(child, (*FUNCTION, ast.ClassDef)):
            below.extend(ast.iter_child_nodes(child))
    return below


@cache
def _bindings(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """Return (target, value) of what the code of a node itself binds."""
    return [pair for child in _own(node) for pair in _bound(child)]


def _bound(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield (target, value) of what a node binds."""
    match node:
        case ast.Assign(targets, value):
            yield from ((target, value) for target in targets)
        case ast.AnnAssign(target, value) | ast.AugAssign(target, _, value) | ast.NamedExpr(target, value):
            yield target, value  # an annotation is worth as much as a value
        case ast.For(target, iterable) | ast.comprehension(target, iterable):
            yield target, _parallel(iterable)
        case ast.withitem(value, ast.expr() as target):
            yield target, value


def _parallel(iterable: ast.expr) -> ast.expr:
    """Return what a loop's targets hold, one by one where that is known: for zip, enumerate and items."""
    match iterable:
        case ast.Call(ast.Name("zip"), parts):
            return ast.Tuple(parts)
        case ast.Call(ast.Name("enumerate"), [part, *_]) | ast.Call(ast.Attribute(part, "items"), []):
            return ast.Tuple([ast.Constant(None), part])
    return iterable


def _pattern(name: ast.expr) -> str:
    """Return the pattern of what a string or an f-string may be."""
    parts = name.values if isinstance(name, ast.JoinedStr) else [name]
    return "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in parts)


def _union(types: Iterable[Types]) -> Types:
    return NOTHING.union(*types)
