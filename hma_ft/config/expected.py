"""What a setting takes, in words, from the types of the schema."""

from enum import Enum
from typing import Any, get_origin

from omegaconf import BooleanNode, DictConfig, EnumNode, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode
from omegaconf.base import Node

_LISTS = {
    int: "a list of whole numbers, such as [1, 2]",
    float: "a list of numbers, such as [0.5, 1]",
    str: "a list of texts, such as [a, b]",
}


def expected(cfg: DictConfig, key: str) -> str:
    """Return what the setting of that dotted key takes, such as `a whole number or null`; empty where anything goes."""
    words = _words(node_of(cfg, key))
    return f"{words} or null" if words and takes_null(cfg, key) else words


def takes_text(cfg: DictConfig, key: str) -> bool:
    """Whether any text is a value of the setting, or the setting is not known."""
    node = node_of(cfg, key)
    return node is None or isinstance(node, StringNode) or not _words(node)


def takes_null(cfg: DictConfig, key: str) -> bool:
    """Whether null is a value of the setting."""
    node = node_of(cfg, key)
    return node is not None and bool(node._is_optional())


def node_of(cfg: DictConfig, key: str) -> Node | None:
    """The node of a dotted key, which knows its type; None where there is none."""
    node: Any = cfg
    for name in key.split("."):
        if not OmegaConf.is_config(node) or node._is_none() or node._is_interpolation():
            return None
        if isinstance(node, ListConfig):
            node = node._get_node(int(name)) if name.isdecimal() and int(name) < len(node) else None
        else:
            node = node._get_node(name, validate_access=False)
    return node if isinstance(node, Node) else None


def _words(node: Node | None) -> str:
    if isinstance(node, EnumNode):
        return "one of " + ", ".join(choice.name for choice in node.enum_type)
    if isinstance(node, ListConfig):
        if get_origin(node._metadata.element_type) is list:
            return "a list of lists, such as [[a, b], [c, d]]"
        return _LISTS.get(node._metadata.element_type, "a list, such as [a, b]")
    if isinstance(node, DictConfig):
        fixed = OmegaConf.get_type(node) is not dict  # by a dataclass
        return "settings of its own, each given as NAME.SETTING=VALUE" if fixed else "a mapping, such as {NAME: VALUE}"
    kinds = {BooleanNode: "true or false", IntegerNode: "a whole number", FloatNode: "a number", StringNode: "text"}
    return next((words for kind, words in kinds.items() if isinstance(node, kind)), "")


def shown(value: Any) -> str:
    """A value as it would be typed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Node):
        return shown(value._value()) if not OmegaConf.is_config(value) else shown(OmegaConf.to_container(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return str(value)
