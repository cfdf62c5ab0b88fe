/** A request may ask, once it is known how bytes are encrypted, whether its caller may use their key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import type { EncryptionCheck, Protection, ShownEncryption } from "../contract.js"
import { noSignal, open } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "./testing-bodies.js"

const PROTECTION: Protection = {
  mode: "kms",
  keyArn: "arn:aws:kms:eu-west-1:123456789012:key/a",
  context: '{"aws:s3:arn":"arn:aws:s3:::bucket"}',
  usesBucketKey: false,
}
const [SOURCE, TARGET] = [objectKeyOfText("source"), objectKeyOfText("target")]

test("what a check refuses is neither read, nor copied, nor added to an upload, nor completed", async () => {
  const world = await open("ec:2+1")
  const { objects, multipart } = world.services
  const bucket = world.home
  const done = <Result>(work: Promise<Result>): Promise<Result> => world.clock.runUntil(work)
  await done(objects.put({ ...world.putting("source", sourceOf(Buffer.from("secret"))), encryption: PROTECTION }))

  const seen: (ShownEncryption["mode"] | undefined)[] = []
  const denies: EncryptionCheck = encryption => {
    seen.push(encryption?.mode)
    throw fail("accessDenied")
  }
  const allows: EncryptionCheck = encryption => void seen.push(encryption?.mode)
  const denied = (work: () => Promise<unknown>) =>
    assert.rejects(
      () => done(work()),
      error => isFailure(error, "accessDenied"),
    )

  let opened = 0
  const opening = world.keys.open.bind(world.keys)
  Object.assign(world.keys, {
    open: (...args: Parameters<typeof opening>) => {
      opened += 1
      return opening(...args)
    },
  })
  const source = { bucket, key: SOURCE, conditions: {} }
  await denied(async () => objects.get({ ...source, checkEncryption: denies }))
  const kept = { replaceAttributes: undefined, replaceTags: undefined, checksumAlgorithm: undefined }
  const copying = { bucket, key: TARGET, conditions: {}, signal: noSignal, ...kept }
  await denied(() => objects.copy({ ...copying, source: { ...source, checkEncryption: denies } }))
  await assert.rejects(
    async () => objects.get({ bucket, key: TARGET, conditions: {} }),
    error => isFailure(error, "noSuchKey"),
  )

  const attributes = { headers: {}, userMetadata: [] }
  const creating = { bucket, key: TARGET, attributes, tags: [], checksum: undefined, encryption: PROTECTION }
  const { multipartId } = await done(multipart.create(creating))
  const target = { bucket, key: TARGET, multipartId }
  const part = () => ({ ...target, partNumber: 1, body: sourceOf(Buffer.from("part")), signal: noSignal })
  const copied = { ...target, partNumber: 2, range: undefined, signal: noSignal }
  await denied(() => multipart.putPart({ ...part(), checkEncryption: denies }))
  await denied(() => multipart.copyPart({ ...copied, source, checkEncryption: denies }))
  assert.equal(opened, 0, "a key is opened only for callers who may use it")
  await denied(() => multipart.copyPart({ ...copied, source: { ...source, checkEncryption: denies } }))
  const { parts } = await done(multipart.listParts({ ...target, afterPart: 0, max: 10 }))
  assert.deepEqual(parts, [])

  const { etag } = await done(multipart.putPart({ ...part(), checkEncryption: allows }))
  const ending = { parts: [{ partNumber: 1, etag, checksum: undefined }], conditions: {}, signal: noSignal }
  const completing = { ...target, ...ending, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
  await denied(() => multipart.complete({ ...completing, checkEncryption: denies }))
  await done(multipart.complete({ ...completing, checkEncryption: allows }))
  await done(objects.copy({ ...copying, source: { ...source, checkEncryption: allows } }))
  assert.deepEqual(new Set(seen), new Set(["kms"]))
})
