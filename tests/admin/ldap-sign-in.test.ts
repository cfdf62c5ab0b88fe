/** Sign-in to the console by a directory, and the operations on policies of people and groups: over real identities. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LdapPeople } from "@hayloft/access/index.js"
import { CHECK_MS } from "@hayloft/access/ldap/people.js"
import { FAKE_SETTINGS, FakeDirectory } from "@hayloft/access/ldap/testing-directory.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Browser, ConsoleWorld, TOKEN } from "./world.js"

const ANN = "uid=ann,ou=people,dc=example"
const TEAM = "cn=team,ou=groups,dc=example"
const PASSWORD = "apple"
const POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"

async function scene() {
  const world = await ConsoleWorld.open()
  const ldap = new FakeDirectory()
  ldap.entries = [
    { dn: ANN, found: ["(uid=ann)"], password: PASSWORD, attributes: { uid: ["ann"] } },
    { dn: TEAM, found: [`(member=${ANN})`] },
  ]
  const people = new LdapPeople(FAKE_SETTINGS, { ldap, clock: world.clock, log: new SimTelemetry().log })
  const node = world.node({ people })
  const operator = new Browser(node)
  await operator.signIn({ token: TOKEN })
  return { world, ldap, operator, browser: new Browser(node) }
}

const credentials = (password = PASSWORD) => ({ ldap: { username: "ann", password } })

test("a person signs in by name and password, and the session ends with the person", async () => {
  const { world, ldap, operator, browser } = await scene()
  const { value: attached } = await operator.send("POST", "/v1/ldap/attach", {
    body: { dn: ` CN=Team,OU=groups,DC=example`, policy: "AdministratorAccess" },
  })
  assert.deepEqual(attached, { dn: TEAM, attached: [POLICY] })
  const { methods } = await browser.session()
  assert.deepEqual(methods, { token: true, key: true, ldap: true })
  await browser.signIn(credentials())
  const { who } = await browser.session()
  assert.match(JSON.stringify(who), /:entry\/uid=ann,ou=people,dc=example/)
  assert.equal((await browser.send("GET", "/v1/ldap/entries")).status, 200)
  ldap.entries = ldap.entries.slice(1)
  await world.clock.advance(CHECK_MS)
  assert.equal(await browser.isSignedIn(), false)
})

test("a refused sign-in says no more than it must, and has its line in the audit log", async () => {
  const { world, ldap, browser } = await scene()
  const none = await browser.send("POST", "/v1/session", { body: credentials() })
  assert.equal(none.status, 401)
  assert.match(JSON.stringify(none.value), /no policy is attached to uid=ann/)
  const refused = (body: object) => world.clock.runUntil(browser.send("POST", "/v1/session", { body }))
  const wrong = await refused(credentials("pear"))
  const unknown = await refused({ ldap: { username: "bob", password: "pear" } })
  assert.deepEqual(wrong.value, unknown.value)
  assert.match(JSON.stringify(wrong.value), /the user name or the password is not right/)
  const last = world.store.audit.last("signIn")
  assert.deepEqual([last?.target, last?.ended?.outcome], ["bob", "accessDenied"])
  assert.ok(!JSON.stringify(world.store.audit.all).includes("pear"))
  ldap.down = new Set(["ldaps://first"])
  const down = await browser.send("POST", "/v1/session", { body: credentials() })
  assert.deepEqual([down.status, down.code], [503, "directoryUnavailable"])
  assert.equal((await new Browser(world.node()).send("POST", "/v1/session", { body: credentials() })).status, 501)
})

test("policies of DNs are listed and detached, and a person is looked up without a password", async () => {
  const { operator } = await scene()
  const ask = (path: string, body?: object) =>
    operator.send(body === undefined ? "GET" : "POST", `/v1/ldap/${path}`, { body })
  for (const dn of [ANN, TEAM]) assert.equal((await ask("attach", { dn, policy: "readonly" })).status, 200)
  const attached = ["arn:aws:iam::aws:policy/readonly"]
  assert.deepEqual((await ask("entries")).value, {
    entries: [
      { dn: TEAM, attached },
      { dn: ANN, attached },
    ],
  })
  assert.deepEqual((await ask("entries?max=1")).value, { entries: [{ dn: TEAM, attached }], next: TEAM })
  assert.deepEqual((await ask(`entries?after=${encodeURIComponent(TEAM)}`)).value, { entries: [{ dn: ANN, attached }] })
  const entries = [
    { dn: ANN, attached },
    { dn: TEAM, attached },
  ]
  assert.deepEqual((await ask("check", { name: "ann" })).value, { dn: ANN, userName: "ann", groups: [TEAM], entries })
  assert.match(JSON.stringify((await ask("check", { name: "bob" })).value), /finds nobody by the name .*no entry/)
  assert.equal((await ask("detach", { dn: ANN.toUpperCase(), policy: "readonly" })).status, 204)
  assert.equal((await ask("detach", { dn: ANN, policy: "readonly" })).status, 404)
  assert.equal((await ask("attach", { dn: "ann", policy: "readonly" })).status, 400)
  assert.equal((await ask("attach", { dn: ANN, policy: "missing" })).status, 404)
})
