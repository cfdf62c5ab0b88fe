/** Which entries of a device's log are the history of a replica incarnation. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseDeviceId,
  parseEpoch,
  parseLogSequence,
  parsePosition,
  parseTabletId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import type { CommitLog } from "../device/index.js"
import type { Entry } from "../format/device/entry.js"
import { encodeEntry } from "../format/device/testing-entry.js"
import { Replica } from "./replica.js"

/** Epoch, position, and whether it is a snapshot. */
type Logged = readonly [epoch: number, position: number, isSnapshot?: "snapshot"]

const TABLET = parseTabletId(1)
const unused = () => assert.fail("not used")

function memberOf(since: number, contained: number | undefined, logged: readonly Logged[]): Replica {
  const records = logged.map(([epoch, position, isSnapshot]) =>
    encodeEntry({
      tabletId: TABLET,
      epoch: parseEpoch(epoch),
      position: parsePosition(position),
      writes: [{ family: "current", key: rowKeyOf("key"), value: Uint8Array.of(position) }],
      ...(isSnapshot && { isSnapshot: true }),
    }),
  )
  const log: CommitLog = {
    durable: parseLogSequence(records.length),
    lengthBytes: 0,
    stopped: undefined,
    cutUpTo: parseLogSequence(0),
    append: unused,
    confirm: unused,
    read: unused,
    cut: unused,
    close: unused,
    async *records() {
      for (const [i, { record }] of records.entries()) {
        const bytes = Uint8Array.from(record)
        yield { sequence: parseLogSequence(i + 1), bytes, place: { segment: 1, offsetBytes: 0 } }
        // They were valid until now.
        bytes.fill(0xff)
      }
    },
  }
  const rows = { get: unused, range: unused, scan: unused, warm: unused, apply: unused }
  const device = {
    id: parseDeviceId("00000000000000d1"),
    log,
    rows,
    contained: parseLogSequence(0),
    containedPosition: () => (contained === undefined ? undefined : parsePosition(contained)),
    readPayload: unused,
    verifyMetadataStore: unused,
    spaceForWrites: () => undefined,
  }
  return new Replica(device, TABLET, parseEpoch(since))
}

const positionOf = (since: number, contained: number | undefined, logged: readonly Logged[]) =>
  memberOf(since, contained, logged).durablePosition()

test("a history continues from position to position, with snapshots between them", async () => {
  assert.equal(await positionOf(1, undefined, []), 0)
  assert.equal(
    await positionOf(1, undefined, [
      [1, 1],
      [1, 2],
      [2, 3],
    ]),
    3,
  )
  assert.equal(await positionOf(1, 7, [[1, 8]]), 8)
  assert.equal(
    await positionOf(5, undefined, [
      [5, 9, "snapshot"],
      [5, 9, "snapshot"],
      [5, 10],
      [6, 10, "snapshot"],
      [6, 11],
    ]),
    11,
  )
  assert.equal(
    await positionOf(5, undefined, [
      [5, 0, "snapshot"],
      [5, 1],
    ]),
    1,
  )
  assert.equal(await positionOf(5, 0, [[5, 1]]), 1)
})

test("entries of earlier epochs are not part of the history", async () => {
  const logged: readonly Logged[] = [
    [1, 1],
    [1, 2],
    [4, 3],
    [5, 9, "snapshot"],
    [5, 10],
  ]
  assert.equal(await positionOf(5, undefined, logged), 10)
})

const BROKEN: readonly (readonly [
  what: string,
  since: number,
  contained: number | undefined,
  logged: readonly Logged[],
])[] = [
  [
    "an entry is missing",
    1,
    undefined,
    [
      [1, 1],
      [1, 3],
    ],
  ],
  ["the beginning is missing", 1, undefined, [[1, 2]]],
  [
    "an entry is there twice",
    1,
    undefined,
    [
      [1, 1],
      [1, 1],
    ],
  ],
  ["the rows of the metadata store are not followed", 1, 5, [[1, 7]]],
  ["a later membership does not begin with a snapshot", 5, undefined, [[5, 1]]],
  ["a later membership has nothing", 5, undefined, [[1, 1]]],
  [
    "a snapshot is of another position",
    5,
    undefined,
    [
      [5, 9, "snapshot"],
      [5, 10],
      [5, 9, "snapshot"],
    ],
  ],
]

for (const [what, since, contained, logged] of BROKEN) {
  test(`a history is refused in which ${what}`, async () => {
    await assert.rejects(positionOf(since, contained, logged), error => isFailure(error, "corruptLog"))
  })
}

test("a replica that lacks entries is sent entries, never snapshots, each valid for as long as it is needed", async () => {
  const replica = memberOf(5, undefined, [
    [5, 8, "snapshot"],
    [5, 9],
    [5, 9, "snapshot"],
    [5, 10],
  ])
  const sent: Entry[] = []
  for await (const entry of replica.entriesAfter(parsePosition(8))) sent.push(entry)
  assert.deepEqual(
    sent.map(({ position, writes }) => [position, ...(writes[0]?.value ?? [])]),
    [
      [9, 9],
      [10, 10],
    ],
  )
})
