/** Several nodes of one store that start with the same settings at the same time. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccessKeyId, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { Provider } from "./provider.js"

test("what another node makes meanwhile is no failure of this one", async () => {
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
  const user = await identities.get({ accountId: rootAccount, kind: "user", name: "app" })
  assert.deepEqual([user.attached.length, user.inline.length], [1, 1])
})
