/** The first use of a storage class, on this node and on another one. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { firstRecordOf } from "../testing-engine.js"
import type { RecordManager } from "./record-manager.js"
import { RecordClasses } from "./record-classes.js"

/** The record of a store, and the devices of one node. */
class Node {
  readonly raised: number[] = []
  record: ControlRecord = firstRecordOf(2, 65_536)
  private readonly listeners: Parameters<RecordManager["onChange"]>[0][] = []
  readonly classes: RecordClasses

  constructor() {
    const recordNow = () => this.record
    this.classes = new RecordClasses(
      {
        get record() {
          return recordNow()
        },
        change: async (_name, decide) => this.take(decide(this.record)),
        onChange: listener => {
          this.listeners.push(listener)
          return () => undefined
        },
      },
      { raiseFormatEpoch: async epoch => void this.raised.push(epoch) },
    )
  }

  /** Applies a record that this node or another one has decided. */
  take(record: ControlRecord | undefined): ControlRecord {
    const before = this.record
    this.record = record ?? before
    if (record !== undefined) for (const listener of this.listeners) listener(record, before)
    return this.record
  }
}

const EPOCH = 2

test("the devices are raised before the record tells, and nothing is done a second time", async () => {
  const node = new Node()
  const using = node.classes.use()
  assert.equal(node.record.classes, undefined)
  await using
  assert.deepEqual([node.record.classes, node.raised], [[], [EPOCH, EPOCH]])
  assert.equal(node.classes.use(), undefined)
})

test("a class that another node has used first, or mapped, raises the devices of this node", async () => {
  for (const classes of [[], [["GLACIER", parsePolicy("replica:2")]]] as const) {
    const node = new Node()
    node.take({ ...node.record, policyVersion: 2 })
    assert.deepEqual(node.raised, [])
    node.take({ ...node.record, classes })
    await node.classes.use()
    assert.deepEqual([node.record.classes, new Set(node.raised)], [classes, new Set([EPOCH])])
  }
})
