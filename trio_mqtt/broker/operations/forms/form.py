"""What all forms have in common."""

from typing import Any, ClassVar


class Form:
    """What an operation is asked with, or answers.

    Who makes JSON of it, or checks that, is told here how: bytes are base64, and what is not known
    is refused.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "ser_json_bytes": "base64",
        "val_json_bytes": "base64",
    }
