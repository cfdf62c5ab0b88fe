#!/usr/bin/env python3
"""Where the shards of a block are, computed from an exported layout, without the store.

    hayloft ring export layout.json
    python3 placement.py layout.json UPLOAD PART BLOCK   # one block, with its devices
    python3 placement.py layout.json < ids.txt           # lines "UPLOAD PART BLOCK"

For each block it prints the partition and the devices of its shards, in the order of the shards. While shards move from
one layout to the next, a shard that has not moved yet is on the device of the previous layout, which is printed behind "<".
Uses the standard library only. The file and the rules: placement.md.
"""
import base64
import hashlib
import json
import sys

MASK = 0xFFFF_FFFF_FFFF_FFFF
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def rotate(value, bits):
    return ((value << bits) | (value >> (64 - bits))) & MASK


def xxh64_of_short(data):
    """XXH64 with the seed 0 of fewer than 32 bytes."""
    hashed, at = (P5 + len(data)) & MASK, 0
    while at + 8 <= len(data):
        lane = int.from_bytes(data[at : at + 8], "little") * P2 & MASK
        hashed = (rotate(hashed ^ (rotate(lane, 31) * P1 & MASK), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= len(data):
        lane = int.from_bytes(data[at : at + 4], "little") * P1 & MASK
        hashed = (rotate(hashed ^ lane, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        hashed = rotate(hashed ^ (byte * P5 & MASK), 11) * P1 & MASK
    hashed = (hashed ^ (hashed >> 33)) * P2 & MASK
    hashed = (hashed ^ (hashed >> 29)) * P3 & MASK
    return hashed ^ (hashed >> 32)


def partition_of(upload, part, block):
    """The top 16 bits of the hash of the block's id: upload (16 bytes), part (2), block (4), big-endian."""
    block_id = bytes.fromhex(upload) + part.to_bytes(2, "big") + block.to_bytes(4, "big")
    return xxh64_of_short(block_id) >> 48


class Layout:
    """A table of devices: `width` slots for each partition."""

    def __init__(self, facts, partitions):
        self.width, self.devices = facts["width"], facts["devices"]
        self.bytes_per_slot, self.table = facts["bytesPerSlot"], base64.b64decode(facts["table"], validate=True)
        if len(self.table) != partitions * self.width * self.bytes_per_slot:
            raise ValueError("the table has the wrong length")

    def devices_of(self, partition):
        """The device of shard 0, 1, 2 ... of each block of the partition; a policy of fewer shards uses the first."""
        size = self.bytes_per_slot
        starts = range(partition * self.width * size, (partition + 1) * self.width * size, size)
        return [self.devices[int.from_bytes(self.table[at : at + size], "little")] for at in starts]


def read_layout_file(path):
    """The present layout, and the previous one while shards move. Raises ValueError for anything else."""
    with open(path, encoding="utf-8") as file:
        facts = json.load(file)
    if facts.get("format") != "hayloft-layout" or facts.get("formatVersion") != 1 or facts.get("partitions") != 65_536:
        raise ValueError("not an exported layout of version 1")
    checksum = facts.pop("checksum")
    # RFC 8785: sorted members, no spaces; the file has no fractions.
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if checksum != "sha256:" + hashlib.sha256(canonical.encode()).hexdigest():
        raise ValueError("the checksum does not match")
    tables = [facts["layout"]] + ([facts["previous"]] if "previous" in facts else [])
    return [Layout(table, facts["partitions"]) for table in tables]


def main(path, *block_id):
    layouts = read_layout_file(path)
    for line in [" ".join(block_id)] if block_id else sys.stdin:
        upload, part, block = line.split()
        partition = partition_of(upload, int(part), int(block))
        print(partition, " < ".join(" ".join(layout.devices_of(partition)) for layout in layouts))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 5):
        sys.exit("usage: placement.py LAYOUT [UPLOAD PART BLOCK]")
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"placement.py: {error}")
