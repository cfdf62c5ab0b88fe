/** Warnings of plans, and changes for which yes is not enough. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName, parseDeviceId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { notesOf, type NewDisk } from "./plan-warnings-core.js"

const SAME = { survives: { before: 1, during: 1, after: 1 } }
const step = (before: string, after: string) => [{ before: parsePolicy(before), after: parsePolicy(after) }]
const drain = { kind: "drainDevice", id: parseDeviceId("0123456789abcdef") } as const
const add = { kind: "addDevice", path: "/mnt/new", weight: undefined } as const
const disk: NewDisk = {
  isReplacement: false,
  path: "/mnt/new",
  disk: "new",
  systemDisk: "system",
  otherDisks: ["a", "b"],
  weight: 1,
  otherWeights: [1, 1.5],
}
const added = (of: Partial<NewDisk>) => notesOf(add, SAME, step("replica:2", "replica:2"), { ...disk, ...of })

test("a policy that survives fewer lost disks is confirmed by its name, whatever its cause", () => {
  const lower = notesOf(drain, { survives: { before: 2, during: 1, after: 1 } }, step("ec:2+2", "ec:2+1"), undefined)
  assert.equal(lower.confirmBy, "ec:2+1")
  assert.match(
    lower.warnings.join("\n"),
    /after this change 1 disks may fail.*\nec:2\+1 survives fewer lost disks than ec:2\+2/,
  )
  assert.equal(notesOf(drain, SAME, step("replica:2", "ec:2+1"), undefined).confirmBy, undefined)
  assert.equal(notesOf(drain, SAME, step("replica:2", "ec:4+2"), undefined).confirmBy, undefined)
})

test("a new device on the system disk, on a shared disk, or with a very unequal weight is confirmed by its folder", () => {
  assert.deepEqual(added({}), { warnings: [], confirmBy: undefined })
  const cases: readonly (readonly [Partial<NewDisk>, RegExp])[] = [
    [{ disk: "system" }, /is on the system disk/],
    [{ disk: "b" }, /shares its disk with a device/],
    [{ weight: 7 }, /its weight is 7, those of the others 1 to 1.5/],
    [{ weight: 0.1 }, /its weight is 0.1/],
  ]
  for (const [of, warning] of cases) {
    const { warnings, confirmBy } = added(of)
    assert.match(warnings.join(), warning)
    assert.equal(confirmBy, "/mnt/new")
  }
  const together = added({ disk: "system", otherDisks: ["system", "system"] })
  assert.deepEqual([together.confirmBy, together.warnings.length], [undefined, 2])
})

test("a replacement on the system disk is confirmed by its folder, unless the store has a device there", () => {
  const replacing = (of: Partial<NewDisk>) => added({ isReplacement: true, ...of })
  const doubtful = replacing({ disk: "system" })
  assert.match(doubtful.warnings.join(), /is on the system disk/)
  assert.equal(doubtful.confirmBy, "/mnt/new")
  assert.equal(replacing({ disk: "system", otherDisks: ["a", "system"] }).confirmBy, undefined)
  assert.deepEqual(
    replacing({ weight: 7 }),
    { warnings: [], confirmBy: undefined },
    "the weight is that of the device before",
  )
})

test("a plan warns of machines and zones that may fail no more", () => {
  const zones = { ...SAME, survivesMachines: SAME.survives, survivesZones: { before: 1, during: 0, after: 0 } }
  const { warnings } = notesOf(drain, zones, step("ec:4+2", "ec:4+2"), undefined)
  assert.deepEqual(warnings, ["after this change 0 zones may fail, now 1"])
})

test("the redundancy of buckets counts too: the weakest one is confirmed, and the buckets are named", () => {
  const [ofStore, own] = [step("replica:2", "ec:4+1"), step("ec:2+2", "ec:4+1")]
  const steps = [
    ...ofStore,
    ...own.flatMap(each => ["a", "b"].map(name => ({ ...each, bucket: parseBucketName(name + "-bucket") }))),
  ]
  const clear = { kind: "setClass", storageClass: "STANDARD_IA", policy: undefined } as const
  const notes = notesOf(clear, SAME, steps, undefined)
  assert.deepEqual(notes, {
    warnings: [
      "ec:4+1 survives fewer lost disks than ec:2+2 in buckets with redundancy of their own: a-bucket, b-bucket",
    ],
    confirmBy: "ec:4+1",
  })
  const both = notesOf(clear, SAME, [...step("ec:2+2", "ec:4+1"), ...step("ec:2+2", "replica:1")], undefined)
  assert.equal(both.confirmBy, "replica:1")
})
