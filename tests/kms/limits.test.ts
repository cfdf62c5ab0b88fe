/** Limits of calls to key services, in virtual time: many at once, unreachable services, and kept keys. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { KMS_LIMITS } from "@hayloft/access/keys/service-limits.js"
import { hangs, jsonAnswer, says } from "./stand-in.js"
import { CONTEXT, keyOf, KmsWorld, OTHER_CONTEXT } from "./world.js"

const isUnavailable = (error: unknown): boolean => isFailure(error, "keyServiceUnavailable")

/** How a call ended, and when. */
async function endOf(world: KmsWorld, work: PromiseLike<unknown>): Promise<{ failed: boolean; atMs: number }> {
  const failed = await work.then(
    () => false,
    error => {
      assert.ok(isUnavailable(error), String(error))
      return true
    },
  )
  return { failed, atMs: world.clock.monotonicMs() }
}

test("at most 64 calls run at once, and more than 1,000 that wait are refused at once", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("vault")
  const held: (() => void)[] = []
  world.vault.trouble = request =>
    new Promise<void>(resolve => held.push(resolve)).then(() => world.vault.answer(request))
  const total = KMS_LIMITS.callsMax + KMS_LIMITS.waitingMax + 7
  const ends = Array.from({ length: total }, () => endOf(world, Promise.resolve(provider.newDataKey(key, CONTEXT))))
  await world.clock.advance(0)
  assert.equal(world.vault.open, KMS_LIMITS.callsMax)
  const [report] = world.keys.report()
  assert.deepEqual([report?.running, report?.waiting], [KMS_LIMITS.callsMax, KMS_LIMITS.waitingMax])
  world.vault.trouble = () => undefined
  for (const release of held) release()
  const all = await world.clock.runUntil(Promise.all(ends))
  assert.equal(all.filter(({ failed }) => failed).length, 7)
  assert.ok(all.filter(({ failed }) => failed).every(({ atMs }) => atMs === 0))
  const [after] = world.keys.report()
  assert.deepEqual([after?.running, after?.waiting], [0, 0])
})

test("calls of a service that hangs end within 2 seconds and then at once; one is tried every 5 seconds", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("vault")
  world.vault.trouble = hangs
  const ends = Array.from({ length: 300 }, () => endOf(world, Promise.resolve(provider.newDataKey(key, CONTEXT))))
  const first = await world.clock.runUntil(Promise.all(ends))
  assert.ok(first.every(({ failed, atMs }) => failed && atMs <= KMS_LIMITS.attemptMs + KMS_LIMITS.pauseMs))
  const received = world.vault.received
  assert.ok(received <= KMS_LIMITS.callsMax)
  const [report] = world.keys.report()
  assert.deepEqual([report?.state, report?.running, report?.waiting], ["unreachable", 0, 0])
  assert.equal(world.telemetry.entries("key_service_unreachable").length, 1)

  for (let i = 0; i < 100; i += 1) await assert.rejects(async () => provider.newDataKey(key, CONTEXT), isUnavailable)
  assert.equal(world.vault.received, received)

  await world.clock.advance(KMS_LIMITS.probeEveryMs)
  const probes = Array.from({ length: 10 }, () => endOf(world, Promise.resolve(provider.newDataKey(key, CONTEXT))))
  await world.clock.runUntil(Promise.all(probes))
  assert.equal(world.vault.received, received + 1)

  world.vault.trouble = () => undefined
  await world.clock.advance(KMS_LIMITS.probeEveryMs)
  assert.ok(world.telemetry.metric("hayloft_kms_unreachable_seconds", { service: "vault" }) >= 10)
  await provider.newDataKey(key, CONTEXT)
  await provider.newDataKey(key, CONTEXT)
  assert.equal(world.keys.report()[0]?.state, "reachable")
  assert.equal(world.telemetry.metric("hayloft_kms_unreachable_seconds", { service: "vault" }), 0)
  assert.equal(world.telemetry.entries("key_service_reachable_again").length, 1)
})

test("status says why a service that is off is unreachable", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("aws")
  world.disconnect()
  for (let i = 0; i < 3; i += 1)
    await world.clock.runUntil(endOf(world, Promise.resolve(provider.newDataKey(key, CONTEXT))))
  const report = world.keys.report().find(({ name }) => name === "aws")
  assert.deepEqual([report?.state, report?.reason], ["unreachable", "connection refused"])
  assert.equal(report?.sinceMs, world.clock.wallMs())
})

test("an unreachable service does not hold up the other one", async () => {
  const world = await KmsWorld.open()
  const { vault, aws } = { vault: world.provider("vault"), aws: world.provider("aws") }
  world.vault.trouble = hangs
  const ends = Array.from({ length: 2_000 }, () =>
    endOf(
      world,
      Promise.resolve().then(() => vault.provider.newDataKey(vault.key, CONTEXT)),
    ),
  )
  await aws.provider.newDataKey(aws.key, CONTEXT)
  assert.equal(world.clock.monotonicMs(), 0)
  await world.clock.runUntil(Promise.all(ends))
})

test("a service whose answers alternate with failures stays reachable", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("aws")
  let isOdd = false
  world.aws.trouble = () => {
    isOdd = !isOdd
    return isOdd ? Promise.resolve({ status: 500, body: new Uint8Array() }) : undefined
  }
  for (let i = 0; i < 10; i += 1) await world.clock.runUntil(Promise.resolve(provider.newDataKey(key, CONTEXT)))
  assert.equal(world.keys.report()[1]?.state, "reachable")
})

test("equal requests share a call and get bytes of their own; new data keys are never shared", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("aws")
  const [one, two] = await Promise.all([provider.newDataKey(key, CONTEXT), provider.newDataKey(key, CONTEXT)])
  assert.notDeepEqual(one.plain, two.plain)
  const before = world.aws.received
  const opened = await Promise.all(Array.from({ length: 20 }, async () => provider.open(key, one.ciphertext, CONTEXT)))
  assert.equal(world.aws.received, before + 1)
  opened[0]?.fill(0)
  assert.deepEqual(Buffer.from(opened[1] ?? []), Buffer.from(one.plain))
  await provider.open(key, one.ciphertext, CONTEXT)
  assert.equal(world.aws.received, before + 2)
})

test("a kept key opens without its service until its time is over, and no longer because it is used", async () => {
  const world = await KmsWorld.open(300_000)
  const { provider, key } = world.provider("aws")
  const { plain, ciphertext } = await provider.newDataKey(key, CONTEXT)
  world.disconnect()
  world.aws.setState(world.arn, "Disabled")
  for (let i = 0; i < 3; i += 1) {
    await world.clock.advance(99_000)
    assert.deepEqual(Buffer.from(await provider.open(key, ciphertext, CONTEXT)), Buffer.from(plain))
  }
  assert.equal(world.aws.received, 1)
  await world.clock.advance(3_000)
  world.connect()
  await assert.rejects(
    async () => provider.open(key, ciphertext, CONTEXT),
    error => isFailure(error, "kmsKeyDisabled"),
  )
})

test("a kept key opens only with its context, and copies of it may be overwritten", async () => {
  const world = await KmsWorld.open(300_000)
  const { provider, key } = world.provider("vault")
  const { plain, ciphertext } = await provider.newDataKey(key, CONTEXT)
  const expected = Buffer.from(plain)
  plain.fill(0)
  const opened = await provider.open(key, ciphertext, CONTEXT)
  assert.deepEqual(Buffer.from(opened), expected)
  opened.fill(0)
  assert.deepEqual(Buffer.from(await provider.open(key, ciphertext, CONTEXT)), expected)
  const wrong = async () => provider.open(key, ciphertext, OTHER_CONTEXT)
  await assert.rejects(wrong, error => isFailure(error, "invalidCiphertext"))
})

for (const [service, trouble] of [
  ["vault", says(429, '{"errors":["rate limit quota exceeded"]}')],
  ["aws", says(400, '{"__type":"ThrottlingException","message":"Rate exceeded"}')],
] as const) {
  test(`${service} that throttles is not unreachable: each call gets its two attempts, and there is no alarm`, async () => {
    const world = await KmsWorld.open()
    const { provider, key, standIn } = world.provider(service)
    standIn.trouble = trouble
    for (let i = 0; i < 2 * KMS_LIMITS.failuresMax; i += 1) {
      const { failed } = await world.clock.runUntil(endOf(world, Promise.resolve(provider.newDataKey(key, CONTEXT))))
      assert.ok(failed)
    }
    assert.equal(standIn.received, 2 * KMS_LIMITS.failuresMax * KMS_LIMITS.attemptsMax)
    assert.equal(world.keys.report().find(({ name }) => name === service)?.state, "reachable")
    assert.deepEqual(world.telemetry.entries("key_service_unreachable"), [])
    standIn.trouble = () => undefined
    await provider.newDataKey(key, CONTEXT)
  })
}

test("aws: a key whose custom key store is not connected is unavailable at once, and other keys go on", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("aws")
  const lost = keyOf(world.aws.addKey("lost"))
  world.aws.trouble = ({ body }) =>
    Buffer.from(body).includes(lost.name)
      ? Promise.resolve(jsonAnswer(500, { __type: "KeyUnavailableException", message: "not connected" }))
      : undefined
  const calls = 2 * KMS_LIMITS.failuresMax
  for (let i = 0; i < calls; i += 1) {
    await assert.rejects(async () => provider.newDataKey(lost, CONTEXT), {
      kind: "keyServiceUnavailable",
      message: "AWS KMS says that the key is not available",
    })
  }
  assert.equal(world.aws.received, calls)
  await provider.newDataKey(key, CONTEXT)
  assert.equal(world.clock.monotonicMs(), 0)
  assert.equal(world.keys.report().find(({ name }) => name === "aws")?.state, "reachable")
})
