/** Files of realms: what OpenStack's examples say is read, and what would have no effect is refused with its line. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { isOfRealm, parseRealms, syncSignature, targetOfSync } from "./sync-core.js"

// The sample follows `etc/container-sync-realms.conf-sample` of OpenStack Swift.
const SAMPLE = `[DEFAULT]
# The number of seconds between checking the modified time of this config file
mtime_check_interval = 300

[realm1]
key = realm1key
key2 = realm1key2
cluster_clustername1 = https://host1/v1/
cluster_clustername2 = https://host2/v1

[Realm2]
key: realm2 key
cluster_name1=http://10.0.0.1:8080/v1/
`

test("realms, their keys and their clusters are read, whatever the case of their names", () => {
  const realms = parseRealms(SAMPLE)
  assert.deepEqual(
    Array.from(realms, ([name, { keys, clusters }]) => [name, keys, [...clusters]]),
    [
      [
        "REALM1",
        ["realm1key", "realm1key2"],
        [
          ["CLUSTERNAME1", "https://host1/v1/"],
          ["CLUSTERNAME2", "https://host2/v1/"],
        ],
      ],
      ["REALM2", ["realm2 key"], [["NAME1", "http://10.0.0.1:8080/v1/"]]],
    ],
  )
  assert.deepEqual(targetOfSync("//REALM1/clusterName2/AUTH_a/c", realms), {
    realm: "REALM1",
    realmKey: "realm1key",
    url: "https://host2/v1/AUTH_a/c",
  })
})

test("what would have no effect is refused, with the number of its line", () => {
  for (const [text, message] of [
    ["key = x", /line 1 .*expected \[REALM\]/],
    ["[a]\nkey = x\nkay2 = y", /line 3 .*kay2 is not known/],
    ["[a]\nkey = x\nkey2 =", /line 3 .*key2 is empty/],
    ["[a]\nkey = x\n[A]\nkey = y", /line 3 .*second realm A/],
    ["[DEFAULT]\nkey = of all realms\n[a]", /line 2 .*key is not known in \[DEFAULT\]/],
    ["[a]\nkey = x\ncluster_b = host:8080/v1", /line 3 .*cluster_b is no URL/],
    ["[a]\nkey = x\nwords", /line 3 .*NAME = VALUE/],
    ["[a]\nkey2 = x", /realm A has no key/],
  ] as const)
    assert.throws(
      () => parseRealms(text),
      (error: unknown) => isFailure(error, "invalidConfig") && message.test(error.message),
      text,
    )
})

test("a signature with either key of the realm is valid, for the request that it was made for", () => {
  const realms = parseRealms(SAMPLE)
  const request = { method: "PUT", path: "/v1/AUTH_a/c/o%20p", timestamp: "1700000000.00001" }
  const auth = (key: string) => `realm1 n ${syncSignature({ ...request, nonce: "n" }, key, "shared")}`
  assert.ok(isOfRealm(auth("realm1key"), request, realms, "shared"))
  assert.ok(isOfRealm(auth("realm1key2"), request, realms, "shared"))
  assert.ok(!isOfRealm(auth("realm2 key"), request, realms, "shared"))
  assert.ok(!isOfRealm(auth("realm1key"), request, realms, "another"))
  assert.ok(!isOfRealm(auth("realm1key"), { ...request, method: "DELETE" }, realms, "shared"))
  assert.ok(!isOfRealm(auth("realm1key"), { ...request, timestamp: "1700000000.00002" }, realms, "shared"))
  assert.ok(!isOfRealm(auth("realm1key").replace("realm1", "realm3"), request, realms, "shared"))
  const unkeyed = syncSignature({ ...request, nonce: "n" }, "realm1key", "")
  assert.ok(!isOfRealm(`realm1 n ${unkeyed}`, request, realms, ""))
})
