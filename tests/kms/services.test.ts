/** Keys in Vault and AWS KMS, against stand-ins that speak their protocols: what opens, and every way to fail. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { ExternalKeys } from "@hayloft/access/keys/external-keys.js"
import { KMS_LIMITS } from "@hayloft/access/keys/service-limits.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SimServices } from "@hayloft/base/seams/web/sim.js"
import { hangs, jsonAnswer, says, type Trouble } from "./stand-in.js"
import { AWS_ORIGIN, CONTEXT, keyOf, KmsWorld, OTHER_CONTEXT, VAULT_ORIGIN } from "./world.js"

const SERVICES = ["vault", "aws"] as const
const failsAs = (kind: FailureKind) => (error: unknown) => isFailure(error, kind)

for (const service of SERVICES) {
  test(`${service}: a new data key opens with its context, and only with it`, async () => {
    const { provider, key } = (await KmsWorld.open()).provider(service)
    const made = await provider.newDataKey(key, CONTEXT)
    assert.equal(made.plain.length, 32)
    assert.deepEqual(Buffer.from(await provider.open(key, made.ciphertext, CONTEXT)), Buffer.from(made.plain))
    assert.notDeepEqual(made.plain, (await provider.newDataKey(key, CONTEXT)).plain)
    const opened = async () => provider.open(key, made.ciphertext, OTHER_CONTEXT)
    await assert.rejects(opened, failsAs("invalidCiphertext"))
    await assert.rejects(async () => provider.open(key, made.ciphertext, []), failsAs("invalidCiphertext"))
  })

  test(`${service}: a changed ciphertext does not open`, async () => {
    const { provider, key } = (await KmsWorld.open()).provider(service)
    const { ciphertext } = await provider.newDataKey(key, CONTEXT)
    for (const changed of [ciphertext.slice(0, -9), Buffer.from("garbage"), Buffer.from(ciphertext).fill(65, 20, 24)]) {
      await assert.rejects(async () => provider.open(key, changed, CONTEXT), failsAs("invalidCiphertext"))
    }
  })

  for (const [what, trouble] of [
    ["hangs", hangs],
    ["fails", says(500, '{"errors":["internal error"]}')],
    ["is overloaded", says(429, "")],
    ["answers no JSON", says(200, "<html>")],
    ["answers an empty object", says(200, "{}")],
    ["answers wrong types", says(200, '{"data":{"ciphertext":7},"Plaintext":[],"CiphertextBlob":null}')],
    ["answers a short key", says(200, '{"data":{"ciphertext":"v"},"Plaintext":"AAAA","CiphertextBlob":"AAAA"}')],
    ["answers too much", says(200, " ".repeat(KMS_LIMITS.answerBytesMax + 1))],
    ["redirects", says(307, "")],
  ] as const satisfies readonly (readonly [string, Trouble])[]) {
    test(`${service} ${what}: unavailable within the limits, after two attempts`, async () => {
      const world = await KmsWorld.open()
      const { provider, key, standIn } = world.provider(service)
      standIn.trouble = trouble
      const work = Promise.resolve(provider.newDataKey(key, CONTEXT))
      await assert.rejects(world.clock.runUntil(work, KMS_LIMITS.callMs), {
        kind: "keyServiceUnavailable",
        message: `the key service ${service} cannot be reached`,
      })
      assert.equal(standIn.received, 2)
    })
  }

  test(`${service} is off: unavailable at once, and works again when it is on`, async () => {
    const world = await KmsWorld.open()
    const { provider, key } = world.provider(service)
    world.disconnect()
    const work = Promise.resolve(provider.newDataKey(key, CONTEXT))
    await assert.rejects(world.clock.runUntil(work, KMS_LIMITS.pauseMs), failsAs("keyServiceUnavailable"))
    world.connect()
    await provider.newDataKey(key, CONTEXT)
  })

  test(`${service} restarts: the second attempt succeeds`, async () => {
    const world = await KmsWorld.open()
    const { provider, key, standIn } = world.provider(service)
    standIn.trouble = () => {
      standIn.trouble = () => undefined
      return Promise.reject(new Error("connection reset"))
    }
    world.web.serve(service === "vault" ? VAULT_ORIGIN : AWS_ORIGIN, async request => {
      try {
        return await standIn.answer(request)
      } catch {
        return { status: 502, body: new Uint8Array() }
      }
    })
    const { plain } = await world.clock.runUntil(Promise.resolve(provider.newDataKey(key, CONTEXT)))
    assert.equal(plain.length, 32)
    assert.equal(standIn.received, 2)
  })

  test(`${service} is slow: an answer within the limit is good`, async () => {
    const world = await KmsWorld.open()
    const { provider, key, standIn } = world.provider(service)
    const later = world.clock.sleep(KMS_LIMITS.attemptMs - 100, new AbortController().signal)
    standIn.trouble = request => {
      standIn.trouble = () => undefined
      return later.then(() => standIn.answer(request))
    }
    await world.clock.runUntil(Promise.resolve(provider.newDataKey(key, CONTEXT)))
    assert.equal(world.clock.monotonicMs(), KMS_LIMITS.attemptMs - 100)
  })

  test(`${service}: a key that does not exist says so, and leaves the service reachable`, async () => {
    const world = await KmsWorld.open()
    const { provider } = world.provider(service)
    const { ciphertext } = await provider.newDataKey(world.provider(service).key, CONTEXT)
    const other = keyOf(service === "vault" ? "nothing" : `${world.arn}x`)
    for (let i = 0; i < 2 * KMS_LIMITS.failuresMax; i += 1)
      await assert.rejects(async () => provider.open(other, ciphertext, CONTEXT), failsAs("noSuchKmsKey"))
    assert.deepEqual(
      world.keys.report().map(({ state }) => state),
      ["reachable", "reachable"],
    )
  })
}

for (const service of SERVICES) {
  test(`${service}: a key is tried with the service itself, also while opened keys are kept`, async () => {
    const world = await KmsWorld.open(300_000)
    const { key, standIn } = world.provider(service)
    await world.keys.tryKey(service, key)
    assert.equal(standIn.received, 3)
    await assert.rejects(
      world.keys.tryKey(service, keyOf(service === "vault" ? "nothing" : `${world.arn}x`)),
      (error: unknown) => isFailure(error),
    )
  })
}

test("aws: a service that ignores the encryption context is refused when a key is tried", async () => {
  const world = await KmsWorld.open()
  world.web.serve(AWS_ORIGIN, ({ headers }) => {
    const Plaintext = Buffer.alloc(32, 7).toString("base64")
    const isNew = headers["x-amz-target"]?.endsWith("GenerateDataKey") === true
    return Promise.resolve(jsonAnswer(200, isNew ? { Plaintext, CiphertextBlob: "AAAA" } : { Plaintext }))
  })
  await assert.rejects(world.keys.tryKey("aws", keyOf(world.arn)), /ignores the encryption context/)
})

test("a service without settings is unavailable and says so", () => {
  const seams = { clock: new SimClock(), telemetry: new SimTelemetry(), web: new SimServices() }
  const keys = new ExternalKeys(
    { ...seams, disk: new SimDisk().boot(), random: new SimRandom(1) },
    { vault: undefined, aws: undefined, keepMs: 0 },
  )
  assert.deepEqual(keys.report(), [])
  assert.throws(() => keys.provider("vault"), /the key service vault is not configured on this node/)
})

test("vault: a token that is renewed in its file is used at once", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("vault")
  await provider.newDataKey(key, CONTEXT)
  world.vault.token = "hvs.second"
  await world.writeToken()
  await provider.newDataKey(key, CONTEXT)
})

test("aws: credentials that are renewed in their file are used at once, with their session token", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("aws")
  await provider.newDataKey(key, CONTEXT)
  world.aws.credentials = { accessKeyId: "ASIARENEWED", secret: "renewed", sessionToken: "token/with+signs==" }
  await world.writeCredentials()
  await provider.newDataKey(key, CONTEXT)
})

for (const service of SERVICES) {
  test(`${service} refuses the credentials: 503 with the reason in status, and one alarm`, async () => {
    const world = await KmsWorld.open()
    const { provider, key, standIn } = world.provider(service)
    world.vault.token = "hvs.other"
    world.aws.credentials = { ...world.aws.credentials, secret: "other" }
    for (let i = 0; i < 10; i += 1) {
      await assert.rejects(async () => provider.newDataKey(key, CONTEXT), {
        kind: "keyServiceUnavailable",
        message: `the key service ${service} refuses the credentials of this store`,
      })
    }
    assert.equal(standIn.received, 10)
    assert.equal(world.telemetry.entries("key_service_refuses_credentials").length, 1)
    const report = world.keys.report().find(({ name }) => name === service)
    assert.equal(report?.state, "refuses")
    assert.match(report.reason ?? "", service === "vault" ? /permission denied/ : /InvalidSignature/)
    await world.writeToken()
    await world.writeCredentials()
    await provider.newDataKey(key, CONTEXT)
    assert.equal(world.keys.report().find(({ name }) => name === service)?.state, "reachable")
  })

  test(`${service}: without its file of credentials nothing is sent`, async () => {
    const world = await KmsWorld.open()
    const { provider, key, standIn } = world.provider(service)
    await world.disk.remove(service === "vault" ? "/secrets/token" : "/secrets/aws")
    await assert.rejects(async () => provider.newDataKey(key, CONTEXT), /refuses the credentials/)
    assert.equal(standIn.received, 0)
  })

  test(`${service}: a file that is gone for a moment changes nothing`, async () => {
    const world = await KmsWorld.open()
    const { provider, key } = world.provider(service)
    await provider.newDataKey(key, CONTEXT)
    await world.disk.remove(service === "vault" ? "/secrets/token" : "/secrets/aws")
    await world.clock.advance(10 * KMS_LIMITS.fileFreshMs)
    await provider.newDataKey(key, CONTEXT)
  })
}

test("vault that is sealed is unavailable, and its reason is in status", async () => {
  const world = await KmsWorld.open()
  const { provider, key } = world.provider("vault")
  world.vault.isSealed = true
  for (let i = 0; i < 3; i += 1)
    await assert.rejects(world.clock.runUntil(Promise.resolve(provider.newDataKey(key, CONTEXT))))
  const [report] = world.keys.report()
  assert.equal(report?.state, "unreachable")
  assert.match(report.reason ?? "", /Vault is sealed/)
})

test("vault without such an engine has no such key", async () => {
  const world = await KmsWorld.open()
  const { provider } = world.provider("vault")
  await assert.rejects(async () => provider.newDataKey(keyOf("a/b"), CONTEXT), failsAs("noSuchKmsKey"))
})

for (const [state, kind] of [
  ["Disabled", "kmsKeyDisabled"],
  ["PendingDeletion", "kmsKeyState"],
] as const) {
  test(`aws: a key that is ${state} is ${kind}`, async () => {
    const world = await KmsWorld.open()
    const { provider, key } = world.provider("aws")
    const { ciphertext } = await provider.newDataKey(key, CONTEXT)
    world.aws.setState(world.arn, state)
    await assert.rejects(async () => provider.newDataKey(key, CONTEXT), failsAs(kind))
    await assert.rejects(async () => provider.open(key, ciphertext, CONTEXT), failsAs(kind))
  })
}
