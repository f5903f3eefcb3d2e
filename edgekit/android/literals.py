"""A user's words (names of outputs are the keys of a model's dict) as literals of the languages that are generated."""

MARKDOWN = str.maketrans({"|": "\\u007c", "`": "\\u0060"})
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}
"""What all three languages write alike."""


def jvm(text: str) -> str:
    """A string literal of Kotlin and of Java, in ASCII; `$` would start a template in Kotlin."""
    return f'"{"".join(map(_jvm_character, text))}"'


def cpp(text: str) -> str:
    """A string literal of C++: the text in UTF-8. Octal escapes end after three digits, hexadecimal ones do not."""
    return f'"{"".join(map(_cpp_character, text))}"'


def markdown(text: str) -> str:
    """The literal of Kotlin and Java as code that can stand in a table."""
    return f"`{jvm(text).translate(MARKDOWN)}`"


def _jvm_character(character: str) -> str:
    if character in SHORT:
        return SHORT[character]
    if " " <= character <= "~" and character != "$":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _cpp_character(character: str) -> str:
    if character in SHORT:
        return SHORT[character]
    if " " <= character <= "~" and character != "?":  # two of them could start a trigraph
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode())
