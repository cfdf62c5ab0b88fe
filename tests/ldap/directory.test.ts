/**
 * The people of a real OpenLDAP server: TLS in each form, what users type, the forms of Active Directory, and a server of
 * Hayloft at which they sign in.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { join } from "node:path"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { LdapPeople } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { LdapSettings } from "@hayloft/base/seams/ldap/contract.js"
import { RealLdap } from "@hayloft/base/seams/ldap/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { forTestsOfFile } from "../harness/folders.js"
import { NODE_24 } from "../harness/new-node.js"
import { REGION, ServerProcess } from "../harness/server.js"
import { BASE, noSlapd, ODD, PASSWORD, READER, Slapd } from "../harness/slapd.js"

const options = { skip: noSlapd }
let slapd: Slapd
let home = ""

forTestsOfFile(async folder => {
  home = folder
  if (noSlapd !== false) return async () => undefined
  slapd = await Slapd.start(join(folder, "slapd"), TEST_CERTIFICATES.first)
  return () => slapd.stop()
})

const settings = (change: Partial<LdapSettings> = {}): LdapSettings => ({
  servers: [slapd.tlsUrl],
  tls: "verified",
  caFile: slapd.caFile,
  timeoutMs: 60_000,
  lookup: READER,
  userBases: [`ou=people,${BASE}`],
  userFilter: "(uid=%s)",
  userAttribute: undefined,
  groupBases: [`ou=groups,${BASE}`],
  groupFilter: "(&(objectClass=groupOfNames)(member=%d))",
  ...change,
})

const signIn = (change: Partial<LdapSettings>, login = "ann", password = PASSWORD, { log } = new SimTelemetry()) => {
  return new LdapPeople(settings(change), { ldap: new RealLdap(), clock: new RealClock(), log }).signIn(login, password)
}

/** The reason of a refusal, or why the directory cannot be asked. */
async function whyNot(change: Partial<LdapSettings>, login = "ann", password = PASSWORD): Promise<string> {
  const telemetry = new SimTelemetry()
  try {
    await signIn(change, login, password, telemetry)
  } catch (error) {
    assert.ok(isFailure(error, "accessDenied", "directoryUnavailable"), String(error))
    return `${error.kind} ${String(telemetry.entries().at(-1)?.fields["reason"])}`
  }
  return "in"
}

test("people sign in over TLS, StartTLS, and in plain text only if that is asked for", options, async () => {
  const ann = await signIn({})
  assert.deepEqual(ann, {
    dn: `uid=ann,ou=People,${BASE}`,
    login: "ann",
    userName: "ann",
    groups: [`cn=admins,ou=groups,${BASE}`, `cn=research\\, development,ou=groups,${BASE}`],
  })
  assert.deepEqual(await signIn({ servers: [slapd.url] }), ann, "StartTLS")
  assert.deepEqual(await signIn({ servers: [slapd.url], tls: "off", caFile: undefined }), ann)
  assert.deepEqual(await signIn({ tls: "unverified", caFile: undefined }), ann)
  assert.deepEqual(await signIn({ servers: ["ldaps://127.0.0.1:1", slapd.tlsUrl] }), ann, "the second server")
})

test("a certificate of somebody else ends the connection before anything is sent", options, async () => {
  const other = join(home, "other.pem")
  writeFileSync(other, TEST_CERTIFICATES.second.cert)
  for (const servers of [[slapd.tlsUrl], [slapd.url]]) {
    assert.match(await whyNot({ servers, caFile: undefined }), /^directoryUnavailable .*self-signed/)
    assert.match(await whyNot({ servers, caFile: other }), /^directoryUnavailable .*self-signed/)
  }
  assert.match(await whyNot({ caFile: join(home, "missing.pem") }), /^directoryUnavailable .*no such file/)
})

test("wrong names and passwords, and what only looks like a pattern", options, async () => {
  assert.match(await whyNot({}, "ann", "pear"), /^accessDenied .*Invalid credentials|Code: 0x31/i)
  assert.match(await whyNot({}, "ann", ""), /empty/)
  for (const login of ["*", "a*", "ann)(uid=*", "*)(|(uid=*", "ann\0", "\\2a", "nobody", "李"])
    assert.match(await whyNot({}, login), /^accessDenied no entry/, login)
  assert.match(await whyNot({}, "twin"), /^accessDenied several entries/)
  const odd = await signIn({}, ODD.name)
  assert.deepEqual(odd.groups, [`cn=research\\, development,ou=groups,${BASE}`])
  assert.equal(odd.userName, ODD.name)
  assert.equal((await signIn({}, "ANN")).userName, "ann", "as the directory spells it")
})

test("an account for searches that is refused, and a base that does not exist, are named", options, async () => {
  assert.match(await whyNot({ lookup: { ...READER, password: "x" } }), /refuses the account for searches, cn=reader/)
  assert.match(await whyNot({ userBases: [`ou=nobody,${BASE}`] }), /the directory has no ou=nobody/)
  assert.match(await whyNot({ lookup: undefined }), /the directory has no ou=people/, "nobody may search")
  assert.match(await whyNot({ userFilter: "(uid=%s)(", groupFilter: "(member=%d)" }), /^directoryUnavailable/)
})

const AD: Partial<LdapSettings> = {
  userFilter: "(&(objectClass=user)(sAMAccountName=%s))",
  groupBases: [],
}

test("Active Directory's names, groups in filters, and names at sign-in", options, async () => {
  const userBases = [`OU=Staff,OU=AD,${BASE}`]
  const { dn, userName } = await signIn({ ...AD, userBases }, "CDIAZ")
  assert.deepEqual([dn, userName], [`cn=Carla Diaz,ou=Staff,ou=AD,${BASE}`, "cdiaz"])
  const member = `(&(objectClass=user)(sAMAccountName=%s)(memberOf=CN=Storage,OU=AD,${BASE}))`
  await signIn({ ...AD, userBases, userFilter: member }, "cdiaz")
  assert.match(await whyNot({ ...AD, userBases, userFilter: member }, "droe"), /no entry/)
  const either = { ...AD, userBases, userFilter: "(|(sAMAccountName=%s)(userPrincipalName=%s))" }
  assert.equal((await signIn(either, "droe@example.org")).userName, "droe")
})

test("a server that says nothing is left in time", options, async () => {
  const silent = createServer(() => undefined)
  silent.listen(0, "127.0.0.1")
  await once(silent, "listening")
  const address = silent.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  try {
    for (const [scheme, tls] of [
      ["ldaps", "verified"],
      ["ldap", "verified"],
      ["ldap", "off"],
    ] as const) {
      const servers = [`${scheme}://127.0.0.1:${port}`]
      assert.match(await whyNot({ servers, tls, timeoutMs: 50 }), /^directoryUnavailable/)
    }
  } finally {
    silent.close()
  }
})

test("people sign in at a server of Hayloft with front threads, until the directory is down", options, async () => {
  const env = {
    HAYLOFT_LDAP_SERVER: slapd.url,
    HAYLOFT_LDAP_CA_FILE: slapd.caFile,
    HAYLOFT_LDAP_BIND_DN: READER.dn,
    HAYLOFT_LDAP_BIND_PASSWORD: READER.password,
    HAYLOFT_LDAP_USER_BASE: `ou=people,${BASE}`,
    HAYLOFT_LDAP_GROUP_BASE: `ou=groups,${BASE}`,
  }
  const server = await ServerProcess.start({
    folders: [join(home, "disk")],
    env,
    ...(NODE_24 !== undefined && { threads: 1 }),
  })
  try {
    const tells = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await server.hayloft(["ldap", ...args])
      assert.equal(code, 0, stderr)
      return stdout
    }
    await tells("attach", `CN=Admins, OU=Groups,${BASE}`, "readwrite")
    assert.match(await tells("check", "ann"), /readwrite of cn=admins,ou=groups/)
    assert.match(await tells("list"), /cn=admins,ou=groups,dc=example,dc=org +readwrite/)
    for (const endpoint of [server.endpoint, server.adminEndpoint]) {
      assert.equal((await ask(endpoint, "ann", "pear")).status, 403)
      const answer = await ask(endpoint, "ann", PASSWORD)
      assert.equal(answer.status, 200, answer.text)
      const textIn = (name: string): string => new RegExp(`<${name}>([^<]+)`).exec(answer.text)?.[1] ?? ""
      const client = new Client(
        parseEndpoint(server.endpoint),
        {
          accessKey: textIn("AccessKeyId"),
          secretKey: textIn("SecretAccessKey"),
          sessionToken: textIn("SessionToken"),
        },
        REGION,
      )
      const bucket = `photos-${endpoint === server.endpoint ? "s3" : "admin"}`
      assert.equal((await client.call("PUT", { bucket })).status, 200)
      assert.equal((await client.call("PUT", { bucket, key: "a", body: "x" })).status, 200)
    }
    const session = await fetch(`${server.adminEndpoint}/v1/session`, {
      method: "POST",
      headers: { origin: server.adminEndpoint, "content-type": "application/json" },
      body: JSON.stringify({ ldap: { username: "ann", password: PASSWORD } }),
    })
    assert.equal(session.status, 201, await session.text())
    await slapd.stop()
    const down = await ask(server.endpoint, "ann", PASSWORD)
    assert.deepEqual([down.status, /ServiceUnavailable/.test(down.text)], [503, true])
    assert.ok(
      !server.log.includes(PASSWORD) && !server.log.includes("pear") && !server.log.includes(READER.password),
      server.log,
    )
  } finally {
    await server.stop()
    await slapd.launch()
  }
})

async function ask(endpoint: string, LDAPUsername: string, LDAPPassword: string) {
  const form = { Action: "AssumeRoleWithLDAPIdentity", Version: "2011-06-15", LDAPUsername, LDAPPassword }
  const answer = await fetch(endpoint, { method: "POST", body: new URLSearchParams(form) })
  return { status: answer.status, text: await answer.text() }
}
