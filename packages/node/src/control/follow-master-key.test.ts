/** The master key of a process follows the record, forwards and back, or the process is told that it has none. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys } from "@hayloft/access/index.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { purposeOfMasterKey, randomSecrets, sealSecrets } from "../open/secrets.js"
import { newKeyring } from "./epoch-keys.js"
import { followMasterKey } from "./follow-master-key.js"
import type { ChangeListener } from "./record-manager.js"
import { recordOf } from "./testing-record.js"

const [OLD, NEW, OTHER] = [1, 2, 3].map(byte => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array]

/** The records of one rotation. */
function rotation() {
  const random = new SimRandom(1)
  const secrets = randomSecrets(random, 0, { current: OLD }, undefined)
  const ring = newKeyring(OLD, random, 0)
  const before = { ...recordOf(1, [1, 2]), secrets: sealSecrets(secrets, random), keyring: ring }
  const sealed = sealBytes(NEW, purposeOfMasterKey(1), OLD, random)
  const during = {
    ...recordOf(2, [1, 2]),
    secrets: sealSecrets({ ...secrets, masterKey: NEW }, random),
    keyring: { ...ring, masterKeyNumber: 2, previous: { number: 1, sinceMs: 0, sealed } },
  }
  const after = { ...during, generation: 3, keyring: { ...during.keyring, previous: undefined } }
  return { before, during, after, random }
}

function follow(first: ControlRecord, keys: MasterKeys) {
  let record = first
  const listeners = new Set<ChangeListener>()
  const lost: Failure[] = []
  const onChange = (listener: ChangeListener) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  followMasterKey({ onChange }, keys, reason => void lost.push(reason))
  const publish = (next: ControlRecord) => {
    const before = record
    record = next
    for (const listener of listeners) listener(next, before)
  }
  return { publish, lost }
}

const namesOf = ({ current, former }: MasterKeys) =>
  [current, former].map(key => key && (equalBytes(key, OLD) ? "old" : "new"))

test("the keys are those of the record: before, during and after a rotation, and after it was rolled back", () => {
  const { before, during, after, random } = rotation()
  const keys = new MasterKeys(OLD, undefined, NEW)
  const { publish, lost } = follow(before, keys)
  const early = new MasterKeys(NEW).seal("a secret", "of a faster node", random)
  assert.equal(keys.open("a secret", early), "of a faster node")
  publish(during)
  assert.deepEqual(namesOf(keys), ["new", "old"])
  const late = new MasterKeys(OLD).seal("a secret", "of a slower node", random)
  assert.equal(keys.open("a secret", late), "of a slower node")
  publish({ ...before, generation: 3 })
  assert.deepEqual(namesOf(keys), ["old", undefined])
  publish({ ...during, generation: 4 })
  publish({ ...after, generation: 5 })
  assert.deepEqual([...namesOf(keys), keys.openers.some(each => equalBytes(each, OLD))], ["new", undefined, false])
  assert.deepEqual(lost, [])
})

test("a process without the new key seals nothing any more, and is told the numbers once", () => {
  for (const keys of [new MasterKeys(OLD), new MasterKeys(OLD, undefined, OTHER)]) {
    const { before, during, after, random } = rotation()
    const { publish, lost } = follow(before, keys)
    publish(during)
    publish(after)
    assert.equal(lost.length, 1)
    const [reason] = lost
    assert.ok(isFailure(reason, "wrongMasterKey"))
    assert.match(reason.message, /under master key 2, and the file holds another one, perhaps master key 1/)
    assert.throws(() => keys.seal("a secret", "too late", random), reason)
  }
})

test("a change of the record that leaves the secrets as they are opens nothing", () => {
  const { before } = rotation()
  const keys = new MasterKeys(OTHER)
  const { publish, lost } = follow(before, keys)
  publish({ ...before, generation: 2, pausedWork: ["scrub"] })
  assert.deepEqual(lost, [])
})
