"""A configuration document: plain data, and the file and line every part of it came from.

What reads the data reports to the document (`wrong`, `warn`), naming a path; the document knows the
place.  It keeps one problem a path: what follows from the first would only be noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import yaml

from llmroute.config.origin import Origin, Place
from llmroute.errors import ConfigError, Problem

__all__ = ["Document", "Path", "Source", "from_data", "from_yaml", "spelled"]

Path: TypeAlias = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_TEXT = frozenset({_TAG + "str", _TAG + "timestamp", _TAG + "value"})
_SCALARS = yaml.constructor.SafeConstructor
_MOST_NODES = 250_000
_TOO_DEEP = "is nested too deeply, or holds itself"
_QUOTED = re.compile(r" ?'(?!<)[^']*'")


class _Place(NamedTuple):
    file: str
    line: int
    path: Path  # in that file: an included list starts at 0 there


class Source(NamedTuple):
    """What one file, or one dict, holds.

    Attributes:
        data: Settings as plain data.
        places: Where each path of `data` stands; the empty path is always there.
        problems: What could not be read, by path.
    """

    data: dict[str, Any]
    places: dict[Path, _Place]
    problems: dict[Path, str]


def spelled(path: Path) -> str:
    """Write a path as people do: `model_list[0].litellm_params.api_key`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class Document:
    """The data of one configuration, merged from its files, and what was found wrong with it.

    Attributes:
        name: The name of the main file, or what stands for it.
        data: Settings as plain data.
        references: Paths whose value came from outside the file, and must not be shown.
        credentials: Whether the credentials must exist.
    """

    def __init__(self, name: str, main: Source, *, credentials: bool = True) -> None:
        self.name = name
        self.credentials = credentials
        self.data: dict[str, Any] = {}
        self.references: set[Path] = set()
        self._places: dict[Path, _Place] = {(): main.places[()]}
        self._wrong: dict[Path, Problem] = {}
        self._warned: dict[Path, Problem] = {}
        self.merge(main)

    def wrong(self, path: Path, text: str) -> None:
        """Report a problem with the setting at `path`, unless one is known there already."""
        self._wrong.setdefault(path, self._problem(path, text))

    def warn(self, path: Path, text: str) -> None:
        """Report something that will not be as the file says, and does no harm."""
        self._warned.setdefault(path, self._problem(path, text))

    def origin(self, at: Path, settings: Mapping[str, Path]) -> Origin:
        """Return where a deployment stands.

        Args:
            at: The place of its settings.
            settings: Those of them that are given, and those that have another name there.
        """
        places = {name: self._place(path) for name, path in settings.items()}
        return Origin(self._place(at), MappingProxyType(places))

    def is_wrong(self, path: Path) -> bool:
        """Whether a problem is known at just this path."""
        return path in self._wrong

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Every warning, by file and line."""
        return tuple(sorted(self._warned.values()))

    def check(self) -> None:
        """Raise `ConfigError` with every problem, by file and line, if there is one."""
        if self._wrong:
            raise ConfigError(sorted(self._wrong.values()))

    def merge(self, source: Source) -> None:
        """Add a file's settings: lists are appended, mappings joined, all else must be new."""
        for path, text in source.problems.items():
            self._wrong.setdefault(
                self._moved(source, path), Problem(*_nearest(source.places, path), text)
            )
        for name, value in source.data.items():
            present = self.data.get(name)
            if isinstance(present, list) and isinstance(value, list):
                for index, item in enumerate(value):
                    self._adopt(source, (name, index), (name, len(present)))
                    present.append(item)
            elif isinstance(present, dict) and isinstance(value, dict):
                for key, member in value.items():
                    self._add(present, key, member, source, (name, key))
            elif present is None or value is not None:
                self._add(self.data, name, value, source, (name,))

    def _moved(self, source: Source, path: Path) -> Path:
        """Return where a path of `source` is going to be: in a list, after what is there."""
        match path:
            case (str(name), int(index), *rest) if isinstance(source.data.get(name), list):
                present = self.data.get(name)
                shift = len(present) if isinstance(present, list) else 0
                return (name, index + shift, *rest)
            case _:
                return path

    def _add(
        self, target: dict[str, Any], key: str, value: Any, source: Source, path: Path
    ) -> None:
        if target.get(key) is None:
            self._adopt(source, path, path)
            target[key] = value
        else:
            first = self._places[path]
            text = f"is set already, at {first.file}:{first.line}"
            self._wrong.setdefault(path, Problem(*_nearest(source.places, path), text))

    def _adopt(self, source: Source, old: Path, new: Path) -> None:
        for path, place in source.places.items():
            if path[: len(old)] == old:
                self._places[new + path[len(old) :]] = place

    def _problem(self, path: Path, text: str) -> Problem:
        return Problem(*self._place(path), text)

    def _place(self, path: Path) -> Place:
        return _nearest(self._places, path)


def _nearest(places: Mapping[Path, _Place], path: Path) -> Place:
    """Find the line of what is not in the file at the nearest thing around it that is."""
    known = path
    while known not in places:
        known = known[:-1]
    place = places[known]
    return Place(place.file, place.line, spelled(place.path + path[len(known) :]))


def from_data(data: Mapping[str, Any], name: str) -> Source:
    """Take a copy of settings that come from a program; they have no lines."""
    problems: dict[Path, str] = {}
    try:
        copy = _copied(data, (), problems)
    except RecursionError:
        return Source({}, {(): _Place(name, 0, ())}, {(): _TOO_DEEP})
    return Source(copy, {(): _Place(name, 0, ())}, problems)


def _copied(value: Any, path: Path, problems: dict[Path, str]) -> Any:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                problems[(*path, str(key))] = "a key must be text"
        return {str(key): _copied(v, (*path, str(key)), problems) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(item, (*path, i), problems) for i, item in enumerate(value)]
    return value


def from_yaml(text: str, file: str) -> Source:
    """Read YAML; what is wrong with it stands in the result's `problems`."""
    try:
        return _read(text, file)
    except RecursionError:
        problem = _TOO_DEEP
    except _TooLargeError:
        problem = "is too large, its aliases written out"
    return Source({}, {(): _Place(file, 0, ())}, {(): problem})


def _read(text: str, file: str) -> Source:
    places: dict[Path, _Place] = {(): _Place(file, 0, ())}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Source({}, {(): _Place(file, line, ())}, {(): "holds a character YAML forbids"})
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        places[()] = _Place(file, mark.line + 1 if mark else 0, ())
        return Source({}, places, {(): f"is not YAML: {_plain(error.problem or '')}"})
    if node is None:
        return Source({}, places, {})
    if not isinstance(node, yaml.MappingNode):
        places[()] = _Place(file, node.start_mark.line + 1, ())
        return Source({}, places, {(): "must be a mapping of settings (name: value)"})
    builder = _Builder(file, places)
    return Source(builder.mapping(node, ()), places, builder.problems)


def _plain(problem: str) -> str:
    """Reword what the parser says where it would show what the file holds."""
    if "undefined alias" in problem:
        return "an unquoted * begins an alias, and none has that name; put the text in quotes"
    if "'\\t'" in problem:
        return "a tab where spaces must be"
    return _QUOTED.sub("", problem)


class _TooLargeError(Exception):
    """There is more in a file than settings: aliases of aliases, which double with each level."""


class _Builder:
    """Turns YAML's nodes into data, noting the line of each."""

    def __init__(self, file: str, places: dict[Path, _Place]) -> None:
        self.problems: dict[Path, str] = {}
        self._file = file
        self._places = places
        self._open: set[int] = set()
        self._built = 0
        self._scalars = _SCALARS()

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for merged in reversed(list(_merged(node))):
            data |= self._inside(merged, path, self.mapping) or {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                continue
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*path, key)
            self._places[here] = _Place(self._file, key_node.start_mark.line + 1, here)
            if key_node.tag not in _TEXT:
                self.problems[here] = "a key must be text; put it in quotes"
            elif key in seen:
                self.problems[here] = "is set twice"
            seen.add(key)
            data[key] = self._value(value_node, here)
        return data

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._count()
        if isinstance(node, yaml.MappingNode):
            return self._inside(node, path, self.mapping)
        if isinstance(node, yaml.SequenceNode):
            return self._inside(node, path, self._sequence)
        if node.tag in _TEXT:
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.problems[path] = "is not a YAML value; put it in quotes if it is text"
            return None

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._places[here] = _Place(self._file, item.start_mark.line + 1, here)
            items.append(self._value(item, here))
        return items

    def _count(self) -> None:
        self._built += 1
        if self._built > _MOST_NODES:
            raise _TooLargeError

    def _inside(self, node: Any, path: Path, build: Any) -> Any:
        self._count()
        if id(node) in self._open:
            self.problems[path] = "holds itself"
            return None
        self._open.add(id(node))
        try:
            return build(node, path)
        finally:
            self._open.discard(id(node))


def _merged(node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    """Yield what `<<` brings in, the strongest first."""
    for key, value in node.value:
        if key.tag == _TAG + "merge":
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (item for item in several if isinstance(item, yaml.MappingNode))
