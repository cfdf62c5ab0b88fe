/** When the keys of providers are fetched. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fail } from "@hayloft/base/failures.js"
import { ProviderKeys } from "./provider-keys.js"

const ISSUER = "https://id.example.com/"
const MINUTE_MS = 60_000

function scene() {
  const request: string[] = []
  let [isDown, hangs] = [false, false]
  const web = {
    allows: () => true,
    async get(url: string): Promise<Uint8Array> {
      request.push(url)
      if (hangs) await new Promise(() => undefined)
      if (isDown) throw fail("providerUnreachable")
      const isKeys = url.endsWith("/keys")
      return Buffer.from(JSON.stringify(isKeys ? { keys: [] } : { issuer: ISSUER, jwks_uri: `${ISSUER}keys` }))
    },
  }
  return { keys: new ProviderKeys(web), request, goDown: () => void (isDown = true), hang: () => void (hangs = true) }
}

test("keys are cached for an hour, and fetched again if one is missing, every ten seconds at most", async () => {
  const { keys, request } = scene()
  await Promise.all([keys.of(ISSUER, 0, false), keys.of(ISSUER, 0, false)])
  assert.deepEqual(request, [`${ISSUER}.well-known/openid-configuration`, `${ISSUER}keys`])
  await keys.of(ISSUER, 59 * MINUTE_MS, false)
  assert.equal(request.length, 2)
  await keys.of(ISSUER, 61 * MINUTE_MS, false)
  assert.equal(request.length, 4)
  await keys.of(ISSUER, 61 * MINUTE_MS + 9_000, true)
  assert.equal(request.length, 4)
  await keys.of(ISSUER, 61 * MINUTE_MS + 11_000, true)
  assert.equal(request.length, 6)
})

test("the keys of a provider that is down stay valid, and the fetch is retried soon", async () => {
  const { keys, request, goDown } = scene()
  const known = await keys.of(ISSUER, 0, false)
  goDown()
  await assert.rejects(keys.of(ISSUER, 61 * MINUTE_MS, false))
  assert.equal(await keys.of(ISSUER, 61 * MINUTE_MS + 1_000, false), known)
  assert.equal(request.length, 3)
  await assert.rejects(keys.of(ISSUER, 61 * MINUTE_MS + 11_000, false))
  assert.equal(request.length, 4)
})

test("a provider that is down is not asked more often by tokens of unknown keys, and its known keys hold", async () => {
  const { keys, request, goDown } = scene()
  const known = await keys.of(ISSUER, 0, false)
  goDown()
  await assert.rejects(keys.of(ISSUER, 11_000, true))
  assert.equal(request.length, 3)
  assert.equal(await keys.of(ISSUER, 12_000, true), known)
  assert.equal(request.length, 3, "the last query was a second ago")
  assert.equal(await keys.of(ISSUER, 30_000, false), known)
  assert.equal(request.length, 3, "the keys are those of half a minute ago")
  await assert.rejects(keys.of(ISSUER, 31_000, true))
  assert.equal(request.length, 4)
})

test("known keys hold while the provider does not answer a query for an unknown one", async () => {
  const { keys, request, hang } = scene()
  const known = await keys.of(ISSUER, 0, false)
  hang()
  void keys.of(ISSUER, 11_000, true)
  assert.equal(request.length, 3)
  assert.equal(await Promise.race([keys.of(ISSUER, 12_000, false), Promise.resolve("it waits").then(later)]), known)
})

/** The value after all that settles by itself. */
const later = <T>(value: T): Promise<T> => new Promise(resolve => setImmediate(() => resolve(value)))
