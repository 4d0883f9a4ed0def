"""YAML files; whatever is wrong with one is told in one line."""

from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.files.reading import content, parsing
from sparse_formats.memory import claim

MOST_BYTES = 10**6
"""Of a YAML file: a reference table of energies of a chip with 100 components has about 10^5."""

_MEMORY_PER_BYTE = 200
"""PyYAML keeps events, nodes and values of a character at a time."""


def read_yaml(path: Path) -> Any:
    """The plain values in the YAML file at `path`: no tag of it makes any other object.

    Raises:
        InputError: there is no such file, it cannot be read, is no regular file or too long, is
            not UTF-8 text or not YAML, or has merge keys; PyYAML is not installed; the running
            command will write over it.
    """
    text = content(path, "a YAML file", MOST_BYTES)
    try:
        import yaml
    except ModuleNotFoundError:
        raise InputError(
            f"{path} needs PyYAML to be read; install with pip install -e '.[accelergy]'"
        ) from None

    class Loader(yaml.SafeLoader):
        # A few merge keys within each other make a mapping of any length.
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                line = node.start_mark.line + 1
                raise ValueError(f"the mapping at line {line} has a merge key (<<)")

    claim(path, _MEMORY_PER_BYTE * len(text), "reading its YAML")
    with parsing(path, "YAML that is read here", "correct the file"):
        try:
            return yaml.load(text.decode("utf-8"), Loader)
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from None
