"""What an offline run of Weights & Biases left on disk."""

from __future__ import annotations

import json
import struct
from pathlib import Path


def wandb_history(path: Path) -> list[dict[str, float]]:
    """Numbers of the history rows in an offline run's file: LevelDB's log format after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, offset, record, rows = path.read_bytes(), 7, b"", []
    while offset + 7 <= len(data):
        if 32_768 - offset % 32_768 < 7:  # no header fits into the rest of a block
            offset += 32_768 - offset % 32_768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, offset)
        if offset + 7 + length > len(data):
            break
        record += data[offset + 7 : offset + 7 + length]
        offset += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            items = Record.FromString(record).history.item
            values = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
            rows += [{name: v for name, v in values.items() if isinstance(v, float)}] if values else []
            record = b""
    return rows
