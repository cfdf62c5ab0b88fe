/** A node's identity on the simulated disk: made once, kept, and never replaced silently. */
import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import { isFailure } from "../../base/failures.js"
import { readRecordFile, replaceRecordFile } from "../../device/index.js"
import { encodeNodeIdentity } from "../../format/node-identity.js"
import { crashStates, SimDisk } from "../../seams/disk/index.js"
import { SimRandom } from "../../seams/random/sim.js"
import { makeIdentity, openNodeIdentity } from "./node-identity.js"

const PATH = "/node/identity"
const random = (seed: number) => new SimRandom(seed)

async function diskWithFolder() {
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/node")
  return disk
}

test("the first start makes an identity, and every later one has the same", async () => {
  const disk = await diskWithFolder()
  const first = await openNodeIdentity(disk, PATH, random(1))
  assert.deepEqual(await openNodeIdentity(disk, PATH, random(2)), first)
  const certificate = new X509Certificate(first.certificatePem)
  assert.equal(certificate.fingerprint256.replaceAll(":", "").toLowerCase(), first.fingerprint)
  assert.deepEqual(await disk.list("/node"), ["identity"])
})

test("two nodes have different keys, serial numbers and fingerprints", async () => {
  const [a, b] = await Promise.all(
    [1, 2].map(async seed => openNodeIdentity(await diskWithFolder(), PATH, random(seed))),
  )
  assert.notEqual(a?.fingerprint, b?.fingerprint)
  assert.notEqual(a?.privateKeyPem, b?.privateKeyPem)
  const serials = [a, b].map(one => new X509Certificate(one?.certificatePem ?? "").serialNumber)
  assert.notEqual(serials[0], serials[1])
})

test("a damaged identity is refused with its path, and stays as it is", async () => {
  const disk = await diskWithFolder()
  await openNodeIdentity(disk, PATH, random(1))
  const whole = (await readRecordFile(disk, PATH)) ?? new Uint8Array(0)
  const [mine, others] = [makeIdentity(random(1)), makeIdentity(random(2))]
  const damaged = [
    new Uint8Array(0),
    whole.subarray(0, 100),
    encodeNodeIdentity({ ...mine, certificate: others.certificate }),
    encodeNodeIdentity({ ...mine, certificate: Uint8Array.of(...mine.certificate, 0) }),
    encodeNodeIdentity({ ...mine, certificate: new Uint8Array(200) }),
  ]
  for (const bytes of damaged) {
    await replaceRecordFile(disk, PATH, bytes)
    await assert.rejects(openNodeIdentity(disk, PATH, random(3)), error => {
      assert.ok(isFailure(error, "corruptRecord"))
      assert.match(error.message, /the identity of the node is damaged; .*path=\/node\/identity/)
      return true
    })
    assert.deepEqual(await readRecordFile(disk, PATH), bytes)
  }
})

test("a power cut at any moment of the first start leaves a whole identity or none", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/node")
  const record = sim.record()
  const { fingerprint } = await openNodeIdentity(disk, PATH, random(1))
  const ends = new Set<boolean>()
  for (const state of crashStates(record, { window: 8, subsetsMax: 64, tearsMax: 20, random: random(2) })) {
    const after = new SimDisk(state.medium).boot()
    const isMade = await after.exists(PATH)
    const opened = await openNodeIdentity(after, PATH, random(3))
    assert.equal(opened.fingerprint === fingerprint, isMade, state.what)
    ends.add(isMade)
  }
  assert.equal(ends.size, 2)
})
