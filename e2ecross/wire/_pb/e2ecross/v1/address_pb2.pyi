# SPDX-License-Identifier: Apache-2.0
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Address(_message.Message):
    __slots__ = ("app", "user", "device")
    APP_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    app: str
    user: str
    device: int
    def __init__(self, app: _Optional[str] = ..., user: _Optional[str] = ..., device: _Optional[int] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("app", "user")
    APP_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    app: str
    user: str
    def __init__(self, app: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...
