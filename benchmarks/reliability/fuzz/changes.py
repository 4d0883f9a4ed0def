"""How sound content is changed: bytes, words of text, values in JSON."""

import json
from random import Random
from typing import Any

NUMBERS = (
    *(-1, 0, 1, 2, 7, 127, 128, 255, 256, 65535, 65536, 2**24, 2**24 + 1, 2**31 - 1, 2**31),
    *(2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), 10**19, 10**400),
)
WORDS = (
    *("", " ", "0", "-0", "1e999", "-1e999", "nan", "inf", "0x10", "1_000", "1.5", "٣", "²"),
    *(
        "../other",
        "/etc/passwd",
        "a\0b",
        "x" * 300,
        "é×中",
        "\ud800",
        "\x1b[2J",
        "=1+1",
        "__proto__",
    ),
    *("O", "|O8", "<f4,<f4", "S0", "U0", "F8_E4M3", "BF16", "F64", "true", "null", "1" * 5000),
)
VALUES = (None, True, False, [], {}, [[]], {"": {}}, 1.5, -0.0, 1e308, *NUMBERS, *WORDS)

_DEEP = "[" * 3000
_LONG = "1" * 5000


def bytes_changed(content: bytes, draw: Random) -> bytes:
    """Some bytes flipped, cut, repeated, moved or put in."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at, length = draw.randrange(len(data) + 1), draw.choice((1, 2, 4, 8, 50))
        match draw.randrange(8):
            case 0 | 1 if data:
                data[min(at, len(data) - 1)] ^= 1 << draw.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = draw.randbytes(length)
            case 5:
                data[at:at] = data[at : at + length] * draw.choice((1, 3, 100))
            case 6:
                number = draw.choice(NUMBERS) & (2 ** (8 * length) - 1)
                data[at : at + length] = number.to_bytes(length, draw.choice(("little", "big")))
            case _:
                data[at : at + length] = draw.choice((b"\xff", b"\0", b"\n", b" ")) * length
    return bytes(data)


def words_changed(text: bytes, draw: Random) -> bytes:
    """Some words or lines of a text replaced, repeated or taken away."""
    is_of_lines = draw.random() < 0.3
    between = b"\n" if is_of_lines else b" "
    parts = text.split(between)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(parts))
        match draw.randrange(5):
            case 0 | 1:
                tail = b"\n" if parts[at].endswith(b"\n") else b""
                parts[at] = _as_bytes(draw.choice((*WORDS, *NUMBERS))) + tail
            case 2 if len(parts) > 1:
                del parts[at]
            case 3:
                parts[at:at] = parts[at : at + 1] * draw.choice((1, 2, 50))
            case _:
                other = draw.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
    return between.join(parts)


def json_changed(value: Any, draw: Random) -> bytes:
    """JSON of `value` with some of its values, keys or their text changed."""
    for _ in range(draw.choice((0, 1, 1, 2, 4))):
        value = _value_changed(value, draw)
    text = json.dumps(value, ensure_ascii=draw.random() < 0.5)
    match draw.randrange(12):
        case 0:
            return words_changed(_as_bytes(text), draw)
        case 1:
            return bytes_changed(_as_bytes(text), draw)
        case 2:
            return _as_bytes(text.replace("1", _LONG, 1))
        case 3:
            return _as_bytes(text.replace(":", f": {_DEEP}", 1))
        case 4:
            inner = text[1:-1]
            return _as_bytes(f"{text[:1]}{inner},{inner}{text[-1:]}")  # every key twice
        case _:
            return _as_bytes(text)


def _value_changed(value: Any, draw: Random) -> Any:
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(sorted(value))
        match draw.randrange(8):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return {**value, str(draw.choice(WORDS)): value[key]}
            case _:
                return {**value, key: _value_changed(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.85:
        at = draw.randrange(len(value))
        match draw.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[:at] + value[at : at + 1] * draw.choice((2, 40)) + value[at + 1 :]
            case _:
                return [*value[:at], _value_changed(value[at], draw), *value[at + 1 :]]
    return draw.choice(VALUES)


def _as_bytes(word: object) -> bytes:
    return str(word if not isinstance(word, int) or abs(word) < 10**300 else "9" * 401).encode(
        "utf-8", "surrogatepass"
    )
