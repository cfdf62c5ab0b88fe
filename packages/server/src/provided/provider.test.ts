/** Several nodes of one store that start with the same settings at the same time. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { GIVEN_TAG } from "./policies-core.js"
import { Provider } from "./provider.js"

/** A provider of a store with a root account, and a user whose policies a test states at each start. */
async function open() {
  const machine = new Machine({ devices: 1 })
  const { clock, telemetry } = machine
  const { accounts, identities, services } = await machine.open()
  const rootAccount = parseAccountId("root")
  await clock.runUntil(accounts.ensureRoot())
  const provider = new Provider({
    clock,
    log: telemetry.log,
    rootAccount,
    rootKey: "ROOTKEY",
    accounts,
    identities,
    buckets: services.buckets,
    newBucketSettings: new Map(),
    documents: { get: async () => undefined, put: async () => undefined, remove: async () => undefined },
  })
  return {
    clock,
    telemetry,
    accounts,
    identities,
    provider,
    user: { accountId: rootAccount, kind: "user", name: "app" },
  } as const
}

test("what another node makes meanwhile is no failure of this one", async () => {
  const { clock, telemetry, accounts, identities, provider, user } = await open()
  const bucket = parseBucketName("photos")
  const provided = (secret: string) => ({
    buckets: [{ name: bucket, access: undefined }],
    users: [
      {
        name: parseAccessKeyId("app"),
        secret,
        policies: ["readonly"],
        grants: [{ bucket, grant: "readwrite" } as const],
      },
    ],
  })
  for (const secret of ["secret-of-app", "another-secret"]) {
    const nodes = Array.from({ length: 3 }, () => provider.provide(provided(secret)))
    await clock.runUntil(Promise.all(nodes))
    assert.deepEqual(telemetry.entries("provide_failed"), [])
    const key = await accounts.secretOf(parseAccessKeyId("app"), undefined, clock.wallMs())
    assert.equal(key?.secret, secret)
  }
  const made = await identities.get(user)
  assert.deepEqual([made.attached.length, made.inline.length], [1, 1])
})

test("policies that a start has attached end with their entry, and those that somebody else has attached stay", async () => {
  const { clock, telemetry, identities, provider, user } = await open()
  const arnOf = (name: string): string => `arn:aws:iam::aws:policy/${name}`
  const start = (...policies: readonly string[]) => {
    const name = parseAccessKeyId("app")
    return clock.runUntil(
      provider.provide({ buckets: [], users: [{ name, secret: "secret-of-app", policies, grants: [] }] }),
    )
  }
  const attached = async () =>
    (await clock.runUntil(identities.get(user))).attached.map(arn => arn.slice(arn.lastIndexOf("/") + 1)).sort()
  await start("readonly", "writeonly")
  await clock.runUntil(identities.attach(user, arnOf("readwrite")))
  await start("writeonly", "readwrite")
  assert.deepEqual(await attached(), ["readwrite", "writeonly"])
  await start()
  assert.deepEqual(await attached(), ["readwrite"], "a list that named it too has not attached it")
  assert.deepEqual((await clock.runUntil(identities.get(user))).tags, [])
  await start("readonly")
  await clock.runUntil(identities.detach(user, arnOf("readonly")))
  await start()
  await clock.runUntil(identities.attach(user, arnOf("readonly")))
  await start()
  assert.deepEqual(await attached(), ["readonly", "readwrite"], "what was taken back once is no start's any more")
  await start("writeonly")
  // A caller who may tag a user could otherwise have a start take any of its policies.
  for (const [tags, removed] of [
    [[[GIVEN_TAG, "x"]], []],
    [[], [GIVEN_TAG.toUpperCase()]],
  ] as const)
    await assert.rejects(clock.runUntil(identities.setTags(user, tags, removed)), error =>
      isFailure(error, "invalidArgument"),
    )
  await start()
  await start("missing")
  assert.deepEqual(telemetry.entries("provide_failed").length, 1)
  assert.deepEqual(await attached(), ["readonly", "readwrite"])
})
