/** Which failures a store that moves waits for, and which end its process. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { openUntilOpen } from "./reopen.js"

const never = new AbortController().signal

/** Fails with these, one after the other, and then opens. */
function opening(name: string, ...kinds: readonly FailureKind[]) {
  const left = [...kinds]
  return async (): Promise<string> => {
    const kind = left.shift()
    if (kind === undefined) return name
    throw fail(kind)
  }
}

const open = (ways: readonly (() => Promise<string>)[], signal = never) => {
  const clock = new SimClock()
  const failures: FailureKind[] = []
  const opened = clock.runUntil(openUntilOpen(clock, signal, ways, ({ kind }) => failures.push(kind)))
  return { opened, failures }
}

test("what may pass is tried again: the database, another node, disks, a port", async () => {
  const kinds: readonly FailureKind[] = [
    "databaseUnreachable",
    "peerUnreachable",
    "conflict",
    "tooManyInFlight",
    "deviceFailed",
    "deviceFull",
    "folderInUse",
    "devicesMissing",
    "invalidConfig",
    "incompatiblePeer",
  ]
  const { opened, failures } = open([opening("a node", ...kinds)])
  assert.equal(await opened, "a node")
  assert.deepEqual(failures, kinds)
})

for (const kind of ["wrongMasterKey", "foreignDatabase", "corruptRecord", "nodeRemoved", "internal"] as const) {
  test(`${kind} ends the process`, async () => {
    const { opened, failures } = open([opening("a node", "databaseUnreachable", kind)])
    await assert.rejects(opened, error => isFailure(error, kind))
    assert.deepEqual(failures, ["databaseUnreachable"])
  })
}

test("a mistake of the program ends the process", async () => {
  const mistake = (): Promise<string> => Promise.reject(new TypeError("a test"))
  await assert.rejects(open([mistake]).opened, TypeError)
})

test("the way that the devices refuse is left out, and asked again after each failure of the other", async () => {
  const alone = opening("alone", "metadataElsewhere", "metadataElsewhere")
  const { opened, failures } = open([alone, opening("a node", "databaseUnreachable")])
  assert.equal(await opened, "a node")
  assert.deepEqual(failures, ["databaseUnreachable"])
})

test("a store whose devices refuse every way is not opened", async () => {
  const refused = () => opening("", "metadataElsewhere")
  await assert.rejects(open([refused(), refused()]).opened, error => isFailure(error, "metadataElsewhere"))
})

test("a process that stops does not try again", async () => {
  const stop = new AbortController()
  stop.abort()
  const { opened } = open([opening("a node", "databaseUnreachable")], stop.signal)
  await assert.rejects(opened, error => isFailure(error, "databaseUnreachable"))
})
