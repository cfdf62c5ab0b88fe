import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { parseIncarnation, type DeviceId } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { decodeKeyring, encodeKeyring } from "@hayloft/engine/format/device/keyring.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import {
  convertingIn,
  deviceForAll,
  deviceKeysIn,
  hasPlainObjects,
  mustSealNewBytes,
  PURPOSE_AT_REST,
  withAtRest,
  withConverted,
  withEmptyUpTo,
  withNewDevices,
} from "./at-rest.js"
import { newKeyring, openEpochKey, sealEpochKey } from "./epoch-keys.js"
import { deviceEntry, idOf, recordOf } from "./testing-record.js"

const random = new SimRandom(1)
const FIRST = parseIncarnation(4)
const MASTER_KEY = new Uint8Array(32).fill(7)
const [A, B, C] = [idOf(1), idOf(2), idOf(3)]
const UP_TO = { needles: 7, payloads: 1 }

const PLAIN = recordOf(1, [1, 2])
const withDevices = (record: ControlRecord, numbers: readonly number[]): ControlRecord => ({
  ...record,
  devices: numbers.map(n => deviceEntry(n)),
})
const begin = (record = PLAIN): ControlRecord => must(withAtRest(record, MASTER_KEY, random, 5, FIRST), "it begins")
const namesOf = (record: ControlRecord) => convertingIn(record).map(({ id }) => id)
const acceptsPlain = (record: ControlRecord, id: DeviceId): boolean =>
  new DeviceCipher(must(deviceKeysIn(record, MASTER_KEY, id), "keys"), random).acceptsPlain

test("an existing store that begins to encrypt lists its devices, and keeps the keys that it has", () => {
  assert.equal(mustSealNewBytes(PLAIN), false)
  const begun = begin()
  assert.ok(mustSealNewBytes(begun) && hasPlainObjects(begun))
  assert.deepEqual(namesOf(begun), [A, B])
  assert.ok(acceptsPlain(begun, A) && acceptsPlain(begun, B))
  assert.equal(withAtRest(begun, MASTER_KEY, random, 6, FIRST), undefined, "once")
  const keyring = newKeyring(MASTER_KEY, random, 1)
  const [epoch] = keyring.epochs
  const ring = must(begin({ ...PLAIN, keyring }).keyring, "a ring")
  assert.deepEqual(ring.epochs[0], epoch)
  const { converting, firstIncarnation } = must(decodeKeyring(encodeKeyring(ring)).atRest, "a key at rest")
  assert.deepEqual([converting, firstIncarnation], [ring.atRest?.converting, FIRST])
})

test("an old record opens nothing of a store whose master key was rotated before it began to encrypt", () => {
  const old = newKeyring(MASTER_KEY, random, 1)
  const [epoch] = old.epochs
  const next = new Uint8Array(32).fill(8)
  const resealed = sealEpochKey(next, epoch.number, openEpochKey(MASTER_KEY, epoch), random)
  const rotated = { ...PLAIN, keyring: { ...old, masterKeyNumber: 2, epochs: [{ ...epoch, sealed: resealed }] } }
  const begun = must(withAtRest(rotated, next, random, 5, FIRST), "it begins")
  const { atRest, epochs } = must(begun.keyring, "a ring")
  const { epoch: number, sealed } = must(atRest, "its key")
  assert.deepEqual([number, epochs.length], [epoch.number + 1, 2])
  assert.equal(openBytes(openEpochKey(MASTER_KEY, epoch), PURPOSE_AT_REST, sealed), undefined)
  assert.ok(deviceKeysIn(begun, next, A))
})

test("a device is plain until it is done, and the list stays until all are", () => {
  const marked = withEmptyUpTo(begin(), new Map([[A, UP_TO]]))
  assert.ok(hasPlainObjects(marked), "of the other device nothing is known yet")
  const again = withEmptyUpTo(marked, new Map([[A, { needles: 99, payloads: 99 }]]))
  assert.deepEqual(convertingIn(again)[0]?.emptyUpTo, UP_TO, "volumes that came later have nothing plain")
  const one = withConverted(marked, [A])
  assert.deepEqual(namesOf(one), [B])
  assert.ok(!acceptsPlain(one, A) && acceptsPlain(one, B))
  assert.equal(deviceForAll(one), B, "what all have alike may be plain as long as one device is")
  const all = withConverted(one, [B])
  assert.deepEqual(all.keyring?.atRest?.converting, [])
  assert.ok(!acceptsPlain(all, B) && mustSealNewBytes(all) && !hasPlainObjects(all))
  assert.equal(deviceForAll(all), A)
})

test("a device that joins meanwhile is treated like the others; one that is forgotten is not waited for", () => {
  assert.equal(withNewDevices(PLAIN), undefined)
  const done = withConverted(begin(), [A])
  assert.equal(withNewDevices(done), undefined, "one that is done is not new")
  const grown = withDevices(done, [1, 2, 3])
  assert.deepEqual(namesOf(must(withNewDevices(grown), "it has joined")), [B, C])
  assert.deepEqual(namesOf(withConverted(grown, [B])), [C], "the end does not miss it")
  const forgotten = withDevices(done, [1])
  assert.deepEqual(namesOf(forgotten), [])
  assert.deepEqual(withConverted(forgotten, []).keyring?.atRest?.converting, [])
})
