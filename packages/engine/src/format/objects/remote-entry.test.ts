/** Remote entries are what they always were, byte for byte, and hostile bytes are refused. */
import { readFileSync } from "node:fs"
import { decodeRemoteEntry, encodeRemoteEntry, type RemoteEntry } from "./remote-entry.js"
import { sample, testGoldens } from "../testing-golden.js"

const CACHED: RemoteEntry = {
  kind: "cached",
  id: "00112233445566778899aabb",
  sizeBytes: 20_000_000_000,
  blockBytes: 8_388_608,
  etag: "d41d8cd98f00b204e9800998ecf8427e",
  etagIsMd5: true,
  lastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  checkedMs: Date.UTC(2026, 0, 2, 3, 4, 5) + 1,
  headers: [
    ["contentType", "text/plain; charset=utf-8"],
    ["cacheControl", "max-age=60"],
  ],
  userMetadata: [
    ["author", "Zoë"],
    ["empty", ""],
  ],
}

const BARE: RemoteEntry = {
  kind: "cached",
  id: "ffeeddccbbaa998877665544",
  sizeBytes: 0,
  blockBytes: 8_388_608,
  etag: "",
  etagIsMd5: false,
  lastModifiedMs: 0,
  checkedMs: 0,
  headers: [],
  userMetadata: [],
}

const SAMPLES = [
  sample<RemoteEntry>(
    "changing",
    { kind: "changing", id: "0102030405060708090a0b0c" },
    encodeRemoteEntry,
    decodeRemoteEntry,
  ),
  sample<RemoteEntry>(
    "changed",
    { kind: "changed", id: "0102030405060708090a0b0c" },
    encodeRemoteEntry,
    decodeRemoteEntry,
  ),
  sample<RemoteEntry>("cached", CACHED, encodeRemoteEntry, decodeRemoteEntry),
  sample<RemoteEntry>("cached, empty", BARE, encodeRemoteEntry, decodeRemoteEntry),
]

testGoldens(
  SAMPLES,
  readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/remote-entry-v1.txt", import.meta.url),
    "utf8",
  ),
)
