"""Reads a table of Hayloft (docs/guide/tables.md) without other packages.

    python3 tables.py FILE KEY ...    # prints the values; the exit code is 1 if a key is missing
    python3 tables.py FILE            # prints all keys and values
"""
import mmap
import struct
import sys
from bisect import bisect_left

M = 2**64 - 1
P1, P2, P3 = 11400714785074694791, 14029467366897019727, 1609587929392839161
P4, P5 = 9650029242287828579, 2870177450012600261
NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xCB: ">d"}
LENGTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xDC: ">H", 0xDD: ">I"}


def rotl(x, r):
    return (x << r | x >> (64 - r)) & M


def turn(a, x):
    return rotl((a + x * P2) & M, 31) * P1 & M


def xxh64(data, seed=0):
    """xxHash, doc/xxhash_spec.md."""
    n, at = len(data), 0
    h = (seed + P5) & M
    if n >= 32:
        lanes = [(seed + P1 + P2) & M, (seed + P2) & M, seed, (seed - P1) & M]
        for stripe in struct.iter_unpack("<4Q", data[: n - n % 32]):
            lanes = [turn(a, x) for a, x in zip(lanes, stripe)]
        h = sum(rotl(a, r) for a, r in zip(lanes, (1, 7, 12, 18))) & M
        for a in lanes:
            h = ((h ^ turn(0, a)) * P1 + P4) & M
        at = n - n % 32
    h = (h + n) & M
    for _ in range((n - at) // 8):
        h = (rotl(h ^ turn(0, struct.unpack_from("<Q", data, at)[0]), 27) * P1 + P4) & M
        at += 8
    if n - at >= 4:
        h = (rotl(h ^ struct.unpack_from("<I", data, at)[0] * P1 & M, 23) * P2 + P3) & M
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * P5 & M, 11) * P1 & M
    h = (h ^ h >> 33) * P2 & M
    h = (h ^ h >> 29) * P3 & M
    return h ^ h >> 32


def unpack(data, at):
    """The MessagePack value at this place (numbers, bytes, arrays), and the place behind it."""
    kind = data[at]
    if kind < 0x80:
        return kind, at + 1
    if kind in NUMBERS:
        return int(struct.unpack_from(NUMBERS[kind], data, at + 1)[0]), at + 1 + struct.calcsize(NUMBERS[kind])
    if 0x90 <= kind < 0xA0:
        count, at = kind - 0x90, at + 1
    elif kind in LENGTHS:
        count = struct.unpack_from(LENGTHS[kind], data, at + 1)[0]
        at += 1 + struct.calcsize(LENGTHS[kind])
        if kind < 0xDC:
            return bytes(data[at : at + count]), at + count
    else:
        raise ValueError(f"MessagePack type {kind:#x}")
    items = []
    for _ in range(count):
        item, at = unpack(data, at)
        items.append(item)
    return items, at


def seed_of(number):
    return xxh64(b"hayloft table 1 users %d" % number)


class Table:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length, zero, checksum, magic = struct.unpack("<IIQ8s", self.data[-24:])
        footer = self.data[-24 - length : -24]
        if (zero, magic) != (0, b"HLTABLE1") or xxh64(footer, seed_of(0)) != checksum:
            raise ValueError(f"{path} is no table, or its end is damaged")
        _, _, self.run, *_, partitions, _ = unpack(footer, 0)[0]
        self.seed = seed_of(self.run)
        self.partitions = partitions
        self.last_keys = [last_key for last_key, _, _ in partitions]

    def rows(self, at, length):
        """The keys and values of a block, which is verified."""
        block = self.data[at : at + length]
        count, filter_bytes, checksum = struct.unpack("<IIQ", block[-16:])
        if xxh64(block[:-8], (self.seed + at) & M) != checksum:
            raise ValueError(f"the block at byte {at} is damaged")
        found = []
        for row in struct.unpack_from(f"<{count}I", block, length - 16 - filter_bytes - 4 * count):
            key_at, key_bytes = row + 6, struct.unpack_from("<H", block, row)[0]
            value_at, value_bytes = key_at + key_bytes, int.from_bytes(block[row + 3 : row + 6], "little")
            found.append((block[key_at:value_at], block[value_at : value_at + value_bytes]))
        return found

    def blocks(self, partition):
        """The last key, place and length of each block of a partition."""
        _, at, length = self.partitions[partition]
        begin = sum(self.partitions[partition - 1][1:]) if partition else 0
        for last_key, place in self.rows(at, length):
            low, block_bytes = struct.unpack("<II", place)
            yield last_key, begin + (low - begin) % 2**32, block_bytes

    def get(self, key):
        wanted = b"\xff" + key
        partition = bisect_left(self.last_keys, wanted)
        if partition == len(self.partitions):
            return None
        place = next(place for last_key, *place in self.blocks(partition) if last_key >= wanted)
        return dict(self.rows(*place)).get(wanted)

    def scan(self):
        for partition in range(len(self.partitions)):
            for _, *place in self.blocks(partition):
                yield from ((key[1:], value) for key, value in self.rows(*place) if key[0] == 0xFF)


if __name__ == "__main__":
    table = Table(sys.argv[1])
    keys = [key.encode() for key in sys.argv[2:]]
    rows = [(key, table.get(key)) for key in keys] if keys else table.scan()
    code = 0
    for key, value in rows:
        if value is None:
            code = 1
        else:
            sys.stdout.buffer.write(value + b"\n" if keys else key + b"\t" + value + b"\n")
    sys.exit(code)
