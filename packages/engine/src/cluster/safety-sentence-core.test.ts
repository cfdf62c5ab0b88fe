import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import type { Safety, SafetyCauses } from "./safety-core.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { DomainSafety } from "./safety-domains-core.js"
import { domainAnswers, mayFail, safetySentence } from "./safety-sentence-core.js"

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
    isRepairPaused: false,
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
    isRepairPaused: false,
  })
  assert.equal(
    sentence,
    `ec:4+3 in 7 folders (2 offline) on 5 disks: any 3 disks ${ONCE}; today only 1, because /c and /d are offline`,
  )
})

test("paused repair does not check what may fail", () => {
  const facts = { policy: "ec:4+2", pathOf: String, wholeInSeconds: undefined, isRepairPaused: true }
  const sentence = safetySentence(store(7, 7, [2, 0], { isUnseen: true }), facts)
  assert.match(sentence, /; what may fail today is not known, since repair is paused, .*\(hayloft repair resume\)$/)
})

test("the sentence begins with the policy, the folders and the disks", () => {
  const sentence = safetySentence(store(1, 1, [0, 0]), {
    policy: "replica:1",
    pathOf: String,
    wholeInSeconds: undefined,
    isRepairPaused: false,
  })
  assert.equal(sentence, "replica:1 in 1 folder on 1 disk: no disk may fail; a lost disk loses objects")
})

const yes: DomainSafety = { count: 3, now: 1, whole: 1, critical: [] }
const crowded = { policy: parsePolicy("ec:4+2"), shards: 3, spare: 2 }
const DOMAINS: readonly (readonly [Partial<Safety>, string])[] = [
  [{ machines: yes }, "any machine: yes"],
  [{ machines: { ...yes, count: 12, now: 2, whole: 2 }, zones: yes }, "any machine: yes, any 2 of 12; any zone: yes"],
  [
    { machines: { ...yes, count: 1, now: 0, whole: 0, critical: ["m1"] } },
    "any machine: no, because there is only one",
  ],
  [
    { zones: { count: 2, now: 0, whole: 0, critical: ["a", "b"], crowded } },
    "any zone: no, because up to 3 shards of a block (ec:4+2) are in one zone, and only 2 may be lost",
  ],
  [
    {
      machines: { count: 2, now: 0, whole: 0, critical: [], crowded: { ...crowded, shards: 1, spare: 0 } },
    },
    "any machine: no, because up to 1 shard of a block (ec:4+2) is in one machine, and none may be lost",
  ],
  [
    { machines: { ...yes, now: 0, critical: ["a/m1", "a/m2"] } },
    "any machine: yes once complete, not today: the loss of a/m1 and a/m2 would lose objects",
  ],
  [
    { zones: { ...yes, count: 9, now: 0, critical: ["a", "b", "c", "d", "e"] } },
    "any zone: yes once complete, not today: the loss of a, b, c and 2 more would lose objects",
  ],
  [{ zones: { ...yes, now: -1 } }, "any zone: yes once complete, not today"],
  [{ zones: yes, causes: { ...NOTHING, isUnseen: true } }, "any zone: yes once complete; today is being checked"],
]
for (const [domains, sentence] of DOMAINS) {
  test(`of domains: ${sentence}`, () => {
    const safety = { ...store(9, 9, [2, 2]), ...domains }
    assert.equal(domainAnswers(safety).join("; "), sentence)
    assert.ok(sentenceOf(safety).includes(`may fail without loss; ${sentence}`))
  })
}

test("for disks, machines and zones there is an answer of its own, with the reason", () => {
  const answersOf = (safety: Safety) =>
    mayFail(safety, id => (id === C ? "/mnt/c" : "/mnt/d")).map(({ what, answer, losses, because }) =>
      [what, answer, losses, because].join("|"),
    )
  assert.deepEqual(answersOf(store(7, 7, [2, 2])), ["disk|yes|2|"])
  assert.deepEqual(answersOf(store(1, 1, [0, 0])), ["disk|no|0|there is only one"])
  assert.deepEqual(answersOf(store(4, 4, [0, 0])), [
    "disk|no|0|no shard or copy is to spare that would replace a lost disk",
  ])
  assert.deepEqual(answersOf({ ...store(7, 7, [2, 0]), critical: [C] }), [
    "disk|later|0|the loss of /mnt/c would lose objects",
  ])
  const unseen = answersOf({ ...store(7, 7, [2, 0], { isUnseen: true }), zones: yes })
  const reason = "shards have not all been scanned since the start"
  assert.deepEqual(unseen, [`disk|unknown|0|${reason}`, `zone|unknown|0|${reason}`])
})
