/** The order in which the collector deletes, if some processes released their bytes too recently. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parsePosition, parseUploadId, type UploadId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { encodePendingDeletion } from "@hayloft/engine/format/records.js"
import { decisionIdOf, pendingDeletionRowKey } from "@hayloft/engine/format/row-key.js"
import { incarnationAt, POSITIONS_OF_INCARNATION } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import type { ByteRetention } from "@hayloft/objects/bodies/retention.js"
import { Collector, COLLECTOR_LIMITS } from "./collector.js"

const noSignal = new AbortController().signal
const PAGE = COLLECTOR_LIMITS.pendingDeletionsPerStep

class Scene {
  readonly metadata = new MemoryMetadata()
  readonly removed: UploadId[] = []
  /** Incarnations whose releases are due; `until`: only up to this number. */
  readonly due = new Map<number, number>()
  full: UploadId | undefined
  /** A device that may have some of its bytes is out of reach. */
  unreachable: UploadId | undefined
  private releases = 0

  readonly collector = new Collector(
    this.metadata,
    {
      remove: async ({ uploadId }) => {
        if (uploadId === this.full) throw fail("deviceFull")
        if (uploadId === this.unreachable) return false
        this.removed.push(uploadId)
        return true
      },
    },
    this.retention(),
  )

  private retention(): ByteRetention {
    const { due } = this
    return {
      now: () => ({
        isDue: position => position % POSITIONS_OF_INCARNATION <= (due.get(incarnationAt(position)) ?? -1),
        after: position => {
          const next = [...due.keys()].filter(each => each > incarnationAt(position)).sort((a, b) => a - b)[0]
          return next === undefined ? undefined : next * POSITIONS_OF_INCARNATION
        },
      }),
    }
  }

  /** Bytes that an incarnation released with its first decisions. */
  release(incarnation: number, count: number): readonly UploadId[] {
    return Array.from({ length: count }, (_, at) => {
      const position = parsePosition(incarnation * POSITIONS_OF_INCARNATION + at)
      this.releases += 1
      const uploadId = parseUploadId(this.releases.toString(16).padStart(32, "0"))
      const blocks = { blockBytes: 4096, policy: parsePolicy("replica:1"), generation: 0, exceptions: [] }
      const extent = { uploadId, part: 0, lengthBytes: 1, ...blocks }
      const record = { kind: "extent", bucketId: parseBucketId(1), key: objectKeyOfText("k"), extent } as const
      this.metadata.plant(
        "pendingDeletions",
        pendingDeletionRowKey(decisionIdOf(position), 0),
        encodePendingDeletion(record),
      )
      return uploadId
    })
  }

  /** Steps until the collector rests; returns how it does, and after how many steps. */
  async rest() {
    for (let steps = 1; steps < 100; steps += 1) {
      const outcome = await this.collector.step(noSignal)
      if (outcome !== "busy") return { outcome, steps }
    }
    return assert.fail("it never rests")
  }
}

test("what one process released too recently does not delay what others released", async () => {
  const scene = new Scene()
  const old = scene.release(3, 5)
  const recent = scene.release(5, 10 * PAGE)
  const others = scene.release(7, PAGE + 3)
  scene.due.set(3, Infinity).set(5, 1).set(7, Infinity)
  const { outcome, steps } = await scene.rest()
  assert.deepEqual(scene.removed, [...old, ...recent.slice(0, 2), ...others])
  assert.equal(outcome, "idle")
  assert.ok(steps < 10, `${steps} steps`)
  assert.equal(scene.metadata.rows("pendingDeletions"), 10 * PAGE - 2)
})

test("nothing is due: the collector rests at once", async () => {
  const scene = new Scene()
  scene.release(5, 3 * PAGE)
  assert.deepEqual(await scene.rest(), { outcome: "idle", steps: 1 })
  assert.deepEqual(scene.removed, [])
})

test("a deletion that a full device refuses is retried after all others", async () => {
  const scene = new Scene()
  const [first, ...others] = scene.release(3, 2 * PAGE)
  scene.due.set(3, Infinity)
  scene.full = first
  assert.equal((await scene.rest()).outcome, "throttled")
  assert.deepEqual(scene.removed, others)
  scene.full = undefined
  assert.equal((await scene.rest()).outcome, "idle")
  assert.deepEqual(scene.removed, [...others, first])
})

test("a deletion that a device out of reach misses is kept, does not delay others, and is repeated later", async () => {
  const scene = new Scene()
  const [first, ...others] = scene.release(3, 2 * PAGE)
  scene.due.set(3, Infinity)
  scene.unreachable = first
  assert.equal((await scene.rest()).outcome, "idle")
  assert.deepEqual(scene.removed, others)
  assert.equal(scene.metadata.rows("pendingDeletions"), 1)
  assert.deepEqual(await scene.rest(), { outcome: "idle", steps: 1 })
  scene.unreachable = undefined
  assert.equal((await scene.rest()).outcome, "idle")
  assert.deepEqual(scene.removed, [...others, first])
})
