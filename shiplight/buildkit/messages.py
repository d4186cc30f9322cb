"""The protobuf messages that BuildKit and its clients exchange, as classes of `protobuf`.

The table has the field numbers of https://github.com/moby/buildkit (0.8 to 0.32): api/services/
control, solver/pb, session/*, of https://github.com/tonistiigi/fsutil, types, and of
https://github.com/containerd/containerd, api/services/content/v1. Fields that are not read
here are left out; `protobuf` keeps unknown fields.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "shiplight.buildkit"

# message: field → (number, type); "*" marks a repeated field, "map" a map from string to string.
_MESSAGES = {
    # api/services/control
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Vertex": {
        "digest": (1, "string"),
        "inputs": (2, "string*"),
        "name": (3, "string"),
        "cached": (4, "bool"),
        "started": (5, "Timestamp"),
        "completed": (6, "Timestamp"),
        "error": (7, "string"),
    },
    "VertexStatus": {
        "ID": (1, "string"),
        "vertex": (2, "string"),
        "name": (3, "string"),
        "current": (4, "int64"),
        "total": (5, "int64"),
        "started": (7, "Timestamp"),
        "completed": (8, "Timestamp"),
    },
    "VertexLog": {"vertex": (1, "string"), "stream": (3, "int64"), "msg": (4, "bytes")},
    "VertexWarning": {
        "vertex": (1, "string"),
        "level": (2, "int64"),
        "short": (3, "bytes"),
        "detail": (4, "bytes*"),
        "url": (5, "string"),
        "ranges": (7, "Range*"),
    },
    "Range": {"start": (1, "Position"), "end": (2, "Position")},
    "Position": {"line": (1, "int32"), "character": (2, "int32")},
    "StatusResponse": {
        "vertexes": (1, "Vertex*"),
        "statuses": (2, "VertexStatus*"),
        "logs": (3, "VertexLog*"),
        "warnings": (4, "VertexWarning*"),
    },
    "StatusRequest": {"Ref": (1, "string")},
    "TypeAndAttrs": {"Type": (1, "string"), "Attrs": (2, "map")},
    "CacheOptions": {"Exports": (4, "TypeAndAttrs*")},
    "SolveRequest": {
        "Ref": (1, "string"),
        "ExporterDeprecated": (3, "string"),
        "ExporterAttrsDeprecated": (4, "map"),
        "Session": (5, "string"),
        "Frontend": (6, "string"),
        "FrontendAttrs": (7, "map"),
        "Cache": (8, "CacheOptions"),
        "Exporters": (13, "TypeAndAttrs*"),
    },
    "SolveResponse": {"ExporterResponse": (1, "map")},
    # fsutil; a path need not be UTF-8
    "Stat": {
        "path": (1, "bytes"),
        "mode": (2, "uint32"),
        "uid": (3, "uint32"),
        "gid": (4, "uint32"),
        "size": (5, "int64"),
        "modTime": (6, "int64"),
        "linkname": (7, "bytes"),
        "devmajor": (8, "int64"),
        "devminor": (9, "int64"),
        "xattrs": (10, "map of bytes"),
    },
    "Packet": {
        "type": (1, "int32"),
        "stat": (2, "Stat"),
        "ID": (3, "uint32"),
        "data": (4, "bytes"),
    },
    # session
    "HealthCheckResponse": {"status": (1, "int32")},
    "BytesMessage": {"data": (1, "bytes")},
    "GetSecretRequest": {"ID": (1, "string")},
    "GetSecretResponse": {"data": (1, "bytes")},
    "CredentialsRequest": {"Host": (1, "string")},
    "CredentialsResponse": {"Username": (1, "string"), "Secret": (2, "string")},
    "CheckAgentRequest": {"ID": (1, "string")},
    "Empty": {},
    # containerd, api/services/content/v1
    "InfoRequest": {"digest": (1, "string")},
    "Info": {"digest": (1, "string"), "size": (2, "int64")},
    "InfoResponse": {"info": (1, "Info")},
    "ReadContentRequest": {"digest": (1, "string"), "offset": (2, "int64"), "size": (3, "int64")},
    "ReadContentResponse": {"offset": (1, "int64"), "data": (2, "bytes")},
    "WriteContentRequest": {
        "action": (1, "int32"),
        "ref": (2, "string"),
        "total": (3, "int64"),
        "expected": (4, "string"),
        "offset": (5, "int64"),
        "data": (6, "bytes"),
    },
    "WriteContentResponse": {
        "action": (1, "int32"),
        "offset": (4, "int64"),
        "total": (5, "int64"),
        "digest": (6, "string"),
    },
}

_KINDS = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int64": _KINDS.TYPE_INT64,
    "int32": _KINDS.TYPE_INT32,
    "uint32": _KINDS.TYPE_UINT32,
    "string": _KINDS.TYPE_STRING,
    "bytes": _KINDS.TYPE_BYTES,
    "bool": _KINDS.TYPE_BOOL,
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    """The table, as protobuf's compiler would describe it."""
    file = descriptor_pb2.FileDescriptorProto(
        name="shiplight/buildkit.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            _add_field(described, field_name, number, kind)
    return file


def _add_field(described, name: str, number: int, kind: str) -> None:
    if kind.startswith("map"):
        entry = described.nested_type.add(name=f"{name[0].upper()}{name[1:]}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, "bytes" if kind.endswith("bytes") else "string")
        kind = f"{described.name}.{entry.name}*"
    label = _KINDS.LABEL_REPEATED if kind.endswith("*") else _KINDS.LABEL_OPTIONAL
    added = described.field.add(name=name, number=number, label=label)
    kind = kind.rstrip("*")
    added.type = _SCALARS.get(kind, _KINDS.TYPE_MESSAGE)
    if kind not in _SCALARS:
        added.type_name = f".{_PACKAGE}.{kind}"


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _message_class(name: str):
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


StatusResponse = _message_class("StatusResponse")
StatusRequest = _message_class("StatusRequest")
SolveRequest = _message_class("SolveRequest")
SolveResponse = _message_class("SolveResponse")
Stat = _message_class("Stat")
Packet = _message_class("Packet")
HealthCheckResponse = _message_class("HealthCheckResponse")
BytesMessage = _message_class("BytesMessage")
GetSecretRequest = _message_class("GetSecretRequest")
GetSecretResponse = _message_class("GetSecretResponse")
CredentialsRequest = _message_class("CredentialsRequest")
CredentialsResponse = _message_class("CredentialsResponse")
CheckAgentRequest = _message_class("CheckAgentRequest")
Empty = _message_class("Empty")
InfoRequest = _message_class("InfoRequest")
InfoResponse = _message_class("InfoResponse")
ReadContentRequest = _message_class("ReadContentRequest")
ReadContentResponse = _message_class("ReadContentResponse")
WriteContentRequest = _message_class("WriteContentRequest")
WriteContentResponse = _message_class("WriteContentResponse")
