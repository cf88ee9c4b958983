"""C source text: defines, headers, strings and arrays."""

import numpy as np


def defines(**values) -> list[str]:
    """Returns ``#define KWS_<NAME> value`` lines."""
    return [f"#define KWS_{name} {value}" for name, value in values.items()]


def header(guard: str, lines: list[str]) -> str:
    """Returns a C header with an include guard."""
    return "\n".join([f"#ifndef {guard}", f"#define {guard}", "", *lines, "", "#endif", ""])


def c_float(value) -> str:
    """Returns a float32 literal that reads back to the same bits."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"({text}f)" if text.startswith("-") else f"{text}f"


def c_string(text: str) -> str:
    """Returns a C string literal of any text, UTF-8 in octal escapes."""
    plain = {ord(c) for c in map(chr, range(32, 127)) if c not in '"\\?'}
    body = "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode())
    return f'"{body}"'


def c_array(kind: str, name: str, values: np.ndarray, alignment: str = "") -> str:
    """Returns the definition of a const array."""
    values = np.ravel(values)
    if values.dtype == np.float32:
        texts = [c_float(value).strip("()") for value in values]
    else:
        texts = [str(value) for value in values.tolist()]
    return wrapped(f"{alignment}const {kind} {name}[{len(values)}] = {{", ", ".join(texts))


def wrapped(start: str, body: str) -> str:
    """Returns an initialiser with its values in lines of at most 100 characters."""
    lines, line = [], " "
    for value in body.split(", "):
        if len(line) + len(value) + 2 > 100:
            lines.append(line)
            line = " "
        line += f" {value},"
    return "\n".join([start, *lines, line, "};", ""])
