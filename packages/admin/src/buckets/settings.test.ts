/** Settings of a bucket in the admin API: one path for each, which the audit log shows before and after. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LIFECYCLE_PREVIEW } from "@hayloft/features/lifecycle/schemas.js"
import { BUCKET_SETTING, BUCKET_SETTINGS } from "@hayloft/features/operator/index.js"
import { world } from "../testing-api.js"

async function opened() {
  const { store, json } = world()
  await json("POST", "/v1/buckets", { body: { name: "photos" } })
  const at = (setting: string): string => `/v1/buckets/photos/settings/${setting}`
  const shown = async (setting: string) => BUCKET_SETTING.parse((await json("GET", at(setting))).value)
  return { store, json, at, shown }
}

test("a setting is set, shown and removed; the audit log has what it was and what it is", async () => {
  const { store, json, at, shown } = await opened()
  assert.deepEqual(await shown("policy"), { setting: "policy", isSet: false, canRemove: true })
  const set = await json("PUT", at("policy"), { body: { value: { Version: "1" } } })
  assert.deepEqual([set.status, BUCKET_SETTING.parse(set.value).value], [200, { Version: "1" }])
  await json("PUT", at("policy"), { body: { value: { Version: "2" } } })
  const entry = store.audit.last("setBucketSetting")
  assert.equal(entry?.target, "photos/policy")
  assert.match(entry?.before ?? "", /"Version":"1"/)
  assert.match(entry?.after ?? "", /"Version":"2"/)
  assert.equal((await json("DELETE", at("policy"))).status, 204)
  assert.equal((await shown("policy")).isSet, false)
})

test("quota and undelete are settings, too", async () => {
  const { store, json, at, shown } = await opened()
  assert.deepEqual((await shown("quota")).value, { hardBytes: 1_000, warnBytes: 800, hardObjects: 10 })
  assert.equal((await json("PUT", at("quota"), { body: { value: { hardBytes: 5 } } })).status, 200)
  assert.ok(store.touched.includes('setQuota {"hardBytes":5}'))
  assert.equal((await json("PUT", at("undelete"), { body: { value: { days: 9 } } })).status, 200)
  assert.ok(store.touched.includes("setUndelete 9"))
  for (const [setting, value] of [
    ["quota", { hardBytes: -1 }],
    ["quota", { bytes: 1 }],
    ["undelete", { days: 1_000 }],
    ["undelete", []],
    ["nothing", {}],
  ] as const) {
    const refused = await json("PUT", at(setting), { body: { value } })
    assert.equal(refused.status, 400, JSON.stringify(refused.value))
  }
})

test("a list shows all settings, and says which the bucket's own policy refuses to show", async () => {
  const { store, json } = await opened()
  store.documents.values.set("acl", { Grants: [] })
  store.documents.denied = "policy"
  const { settings } = BUCKET_SETTINGS.parse((await json("GET", "/v1/buckets/photos/settings")).value)
  assert.deepEqual(
    settings.map(({ setting, isSet, refused }) => [setting, isSet, refused]),
    [
      ["policy", false, "the policy refuses it"],
      ["acl", true, undefined],
      ["quota", true, undefined],
      ["undelete", false, undefined],
      ["history", false, undefined],
      ["copies", false, undefined],
      ["dedup", false, undefined],
      ["packing", false, undefined],
      ["append", false, undefined],
    ],
  )
  assert.equal((await json("GET", "/v1/buckets/missing/settings")).status, 404)
})

test("a known caller whom the store refuses a setting gets 403: with 401 a console would end the session", async () => {
  const { store, json, at } = await opened()
  store.documents.denied = "policy"
  assert.equal((await json("PUT", at("policy"), { body: { value: { Version: "1" } } })).status, 403)
  assert.equal((await json("GET", at("policy"))).status, 403)
  assert.equal((await json("GET", at("policy"), { token: "wrong" })).status, 401)
})

test("to change a setting takes the scope all: it may open the bucket to others", async () => {
  const { json, at } = await opened()
  const tokenFor = async (scope: string): Promise<string> => {
    const { value } = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    return String((value as { token: string }).token)
  }
  const [buckets, read, all] = [await tokenFor("buckets"), await tokenFor("read"), await tokenFor("all")]
  const put = async (token: string) => (await json("PUT", at("policy"), { token, body: { value: {} } })).status
  assert.deepEqual([await put(buckets), await put(read), await put(all)], [403, 403, 200])
  for (const token of [buckets, read]) assert.equal((await json("GET", at("policy"), { token })).status, 200)
})

test("lifecycle rules are tried out without being set; a token that only reads may do it", async () => {
  const { store, json } = await opened()
  const { value } = await json("POST", "/v1/tokens", { body: { name: "r", scopes: ["read"] } })
  const { token } = value as { token: string }
  const path = "/v1/buckets/photos/lifecycle/preview"
  const tried = await json("POST", path, { token, body: { value: { Rules: [] } } })
  assert.deepEqual([tried.status, LIFECYCLE_PREVIEW.parse(tried.value).isComplete], [200, false])
  assert.ok(store.touched.includes('tryRules photos {"Rules":[]}'))
  assert.equal(store.audit.last("tryLifecycle"), undefined)
  const refused = await json("POST", path, { body: { value: {} } })
  assert.equal(refused.status, 400)
  assert.match(JSON.stringify(refused.value), /At least one lifecycle rule/)
})
