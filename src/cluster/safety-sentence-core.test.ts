import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, type DeviceId } from "../base/ids.js"
import type { Safety, SafetyCauses } from "./safety-core.js"
import { safetySentence } from "./safety-sentence-core.js"

const [C, D] = [parseDeviceId("000000000000000c"), parseDeviceId("000000000000000d")]
const NOTHING: SafetyCauses = {
  isUnseen: false,
  offline: [],
  rebuilding: [],
  lacking: [],
  isMoving: false,
  misplacedBytes: 0,
  lostBytes: 0,
  decommissioningBytes: 0,
  metadataCopiesMissing: 0,
}
const store = (devices: number, disks: number, [whole, now]: readonly [number, number], causes = {}): Safety => ({
  devices,
  offline: 0,
  disks,
  now: { disks: now, devices: now },
  whole: { disks: whole, devices: whole },
  opensWithout: Math.ceil(devices / 2) - 1,
  weakest: "blocks",
  critical: [],
  levels: [],
  riskiest: [],
  causes: { ...NOTHING, ...causes },
})
const sentenceOf = (safety: Safety, wholeInSeconds?: number): string =>
  safetySentence(safety, {
    policy: "ec:4+2",
    pathOf: (id: DeviceId) => (id === C ? "/mnt/c" : "/mnt/d"),
    wholeInSeconds,
  }).replace(/^ec:4\+2 in \d folders?( \(\d offline\))? on \d disks?: /, "")

/** `offline` of its folders are offline; each online folder is a disk. */
const without = (offline: number, safety: Safety): Safety => ({ ...safety, offline, disks: safety.disks - offline })
const ONCE = "may fail without loss once every folder is back, on a disk of its own"

const SENTENCES: readonly (readonly [Safety, number | undefined, string])[] = [
  [store(7, 7, [2, 2]), undefined, "any 2 of 7 disks may fail without loss"],
  [
    without(1, store(7, 7, [2, 1], { offline: [C] })),
    40 * 60,
    `any 2 disks ${ONCE}; today only 1, because /mnt/c is offline; whole again in about 40 min`,
  ],
  [
    without(1, store(7, 7, [2, 0], { offline: [C], rebuilding: [D] })),
    3 * 3600,
    `any 2 disks ${ONCE}; today none, because /mnt/c is offline and /mnt/d is being rebuilt; whole again in about 3 h`,
  ],
  [
    without(2, store(7, 7, [2, -1], { offline: [C, D] })),
    undefined,
    `any 2 disks ${ONCE}; something cannot be read today, because /mnt/c and /mnt/d are offline`,
  ],
  [
    store(1, 1, [0, -1], { lostBytes: 9 }),
    undefined,
    "no disk may fail; a lost disk loses objects; something cannot be read today, because too few shards of some blocks are left",
  ],
  [
    store(4, 4, [2, 2]),
    undefined,
    "any 2 of 4 disks may fail without loss (a start without 2 of them needs hayloft device forget)",
  ],
  [
    store(2, 2, [1, 1]),
    undefined,
    "any 1 of 2 disks may fail without loss (a start without one of them needs hayloft device forget)",
  ],
  [store(1, 1, [0, 0]), undefined, "no disk may fail; a lost disk loses objects"],
  [
    { ...store(4, 1, [0, 0]), now: { disks: 0, devices: 2 }, whole: { disks: 0, devices: 2 } },
    undefined,
    "protects against bit rot and 2 deleted folders, not against the disk",
  ],
  [
    {
      ...store(4, 1, [0, 0], { offline: [C] }),
      offline: 1,
      now: { disks: 0, devices: 1 },
      whole: { disks: 0, devices: 2 },
    },
    undefined,
    "protects against bit rot and 2 deleted folders, not against the disk; today 1 folder, because /mnt/c is offline",
  ],
  [
    store(5, 5, [2, 2], { isMoving: true }),
    50,
    "any 2 of 5 disks may fail without loss; shards are moving to a new layout; whole again in about 50 s",
  ],
  [
    store(5, 5, [2, 1], { metadataCopiesMissing: 2 }),
    undefined,
    "any 2 of 5 disks may fail without loss; today only 1, because metadata has 2 copies too few",
  ],
]
for (const [safety, seconds, sentence] of SENTENCES) {
  test(sentence, () => assert.equal(sentenceOf(safety, seconds), sentence))
}

test("offline folders are counted as such, and not as disks", () => {
  const sentence = safetySentence(without(2, store(7, 7, [3, 1], { offline: [C, D] })), {
    policy: "ec:4+3",
    pathOf: (id: DeviceId) => (id === C ? "/c" : "/d"),
    wholeInSeconds: undefined,
  })
  assert.equal(
    sentence,
    `ec:4+3 in 7 folders (2 offline) on 5 disks: any 3 disks ${ONCE}; today only 1, because /c and /d are offline`,
  )
})

test("the sentence begins with the policy, the folders and the disks", () => {
  const sentence = safetySentence(store(1, 1, [0, 0]), {
    policy: "replica:1",
    pathOf: String,
    wholeInSeconds: undefined,
  })
  assert.equal(sentence, "replica:1 in 1 folder on 1 disk: no disk may fail; a lost disk loses objects")
})
