"""Payloads that are Protocol Buffers, described by a file of `protoc -o`. Sans-IO.

By the package protobuf, whose own mapping to JSON they are shown and written in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

_DEEPEST = 100  # messages within each other
_NAMED = 10  # message types that an error names
# What comes with the package: files that import these need not bring them.
_WELL_KNOWN = ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")


class Protobuf:
    """The message type `name` of a FileDescriptorSet; without a name, that of its last file.

    Raises ValueError, whose text is a sentence about the file.
    """

    def __init__(self, descriptors: bytes, name: str | None) -> None:
        try:
            files = FileDescriptorSet.FromString(descriptors).file
        except DecodeError:
            raise ValueError("is not what protoc -o writes.") from None
        self._pool = DescriptorPool()
        known = [one.name for one in files]
        try:
            for well_known in _WELL_KNOWN:
                module = import_module(f"google.protobuf.{well_known}_pb2")
                if module.DESCRIPTOR.name not in known:
                    self._pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
            for one in files:
                self._pool.AddSerializedFile(one.SerializeToString())
        except (TypeError, ValueError) as error:
            missing = _missing(list(files))
            if missing is None:
                raise ValueError(f"cannot be used: {error}.") from None
            raise ValueError(
                f"lacks {missing}, which it needs: make it by protoc --include_imports -o FILE."
            ) from None
        self._kind = GetMessageClass(self._descriptor(list(files), name))

    def decode(self, payload: bytes) -> bytes:
        """The payload as JSON. Raises ValueError, whose text is the end of a sentence."""
        message = self._kind()
        try:
            message.ParseFromString(payload)
            text: str = json_format.MessageToJson(
                message, indent=None, preserving_proto_field_name=True, ensure_ascii=False
            )
            return text.encode()
        except Exception as error:
            # Of another type, cut off, with an Any of what is not in the file, a time out of range.
            raise ValueError(str(error) or type(error).__name__) from None

    def encode(self, text: bytes) -> bytes:
        """JSON as this message. Raises ValueError, whose text is the end of a sentence."""
        message: Message = self._kind()
        try:
            json_format.Parse(
                text.decode(),
                message,
                descriptor_pool=self._pool,
                max_recursion_depth=_DEEPEST,
            )
            packed: bytes = message.SerializeToString()
        except Exception as error:
            raise ValueError(str(error) or type(error).__name__) from None
        return packed

    def _descriptor(self, files: list[FileDescriptorProto], name: str | None) -> Descriptor:
        # The file that was asked for comes last, after those that it imports.
        files.reverse()
        names = [found for one in files for found in _names(one.message_type, one.package)]
        if name is None and files and len(files[0].message_type) == 1:
            name = names[0]
        if name in names:
            return self._pool.FindMessageTypeByName(name)
        there = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        if not names:
            raise ValueError("describes no message.")
        if name is None:
            raise ValueError(f"describes several messages; say which: {there}.")
        raise ValueError(f"describes no message {name!r}: there are {there}.")


def _names(kinds: Iterable[DescriptorProto], above: str) -> Iterator[str]:
    for kind in kinds:
        name = f"{above}.{kind.name}" if above else kind.name
        if not kind.options.map_entry:
            yield name
            yield from _names(kind.nested_type, name)


def _missing(files: list[FileDescriptorProto]) -> str | None:
    """What files import, and nobody has."""
    known = {one.name for one in files} | {f"google/protobuf/{name}.proto" for name in _WELL_KNOWN}
    return next((name for one in files for name in one.dependency if name not in known), None)
