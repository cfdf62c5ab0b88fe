/** STS for people of a directory: what they may do, when it ends, what is refused, and what is recorded. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LdapPeople } from "@hayloft/access/index.js"
import { CHECK_MS, RETRY_MS } from "@hayloft/access/ldap/people.js"
import { FAKE_SETTINGS, FakeDirectory } from "@hayloft/access/ldap/testing-directory.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { allow } from "../access/world.js"
import { formOf, formRequest, IamWorld, sessionIn, tell, type Signer, type Values } from "./world.js"

const ANN = "uid=ann,ou=People,dc=example"
const TEAM = "cn=team,ou=groups,dc=example"
const PASSWORD = "apple pie +%"
const ACTION = "AssumeRoleWithLDAPIdentity"
const [LIST_USERS, LIST_GROUPS] = ["iam:ListUsers", "iam:ListGroups"]
const URL_OF_SERVER = FAKE_SETTINGS.servers[0] ?? ""

class Scene {
  readonly directory = new FakeDirectory()
  readonly clock = new SimClock()
  readonly telemetry = new SimTelemetry()

  private constructor(readonly world: IamWorld) {}

  static async open(): Promise<Scene> {
    const scene = new Scene(await IamWorld.open())
    scene.directory.entries = [
      { dn: ANN, found: ["(uid=ann)"], password: PASSWORD, attributes: { uid: ["ann"] } },
      { dn: TEAM, found: [`(member=${ANN})`] },
      { dn: "cn=others,ou=groups,dc=example", found: [] },
    ]
    const { directory: ldap, clock, telemetry, world } = scene
    const people = new LdapPeople(FAKE_SETTINGS, { ldap, clock, log: telemetry.log })
    world.people = people
    world.access.access.accounts.admit(people)
    return scene
  }

  /** A policy that allows the action, attached to an entry. */
  async attach(dn: string, name: string, text: string): Promise<string> {
    const arn = (await this.world.iam("CreatePolicy", { PolicyName: name, PolicyDocument: text })).one("Arn")
    await this.world.access.access.entries.attach(dn, arn)
    return arn
  }

  async asks(values: Values = {}) {
    const form = formOf(ACTION, { LDAPUsername: "ann", LDAPPassword: PASSWORD, ...values }, "sts")
    return tell(this.world.handler, formRequest(form))
  }

  async signIn(values: Values = {}): Promise<Signer> {
    const reply = await this.asks(values)
    assert.equal(reply.status, 200, reply.xml)
    return sessionIn(reply)
  }

  async may(signer: Signer, action: string): Promise<boolean> {
    const { status, xml } = await this.world.ask(action.slice("iam:".length), {}, signer)
    assert.ok([200, 403].includes(status), xml)
    return status === 200
  }

  /** Returns true if the session is valid then. */
  async lasts(signer: Signer, nowMs: number): Promise<boolean> {
    try {
      const { accounts } = this.world.access.access
      const known = await accounts.secretOf(parseAccessKeyId(signer.accessKeyId), signer.token, nowMs)
      return known !== undefined
    } catch (error) {
      assert.ok(isFailure(error, "invalidToken", "tokenExpired"))
      return false
    }
  }
}

test("a person has the policies of the person and of the groups, and as MinIO answers it", async () => {
  const scene = await Scene.open()
  await scene.attach(` UID=Ann, OU=people,DC=example`, "users", allow(LIST_USERS))
  const reply = await scene.asks()
  assert.match(reply.xml, /<AssumeRoleWithLDAPIdentityResponse [^>]*><AssumeRoleWithLDAPIdentityResult><Credentials>/)
  const ann = sessionIn(reply)
  assert.deepEqual([await scene.may(ann, LIST_USERS), await scene.may(ann, LIST_GROUPS)], [true, false])
  await scene.attach(TEAM, "groups", allow(LIST_GROUPS))
  assert.equal(await scene.may(ann, LIST_GROUPS), true, "at once")
  const caller = await scene.world.sts("GetCallerIdentity", {}, ann)
  assert.match(caller.one("Arn"), /:entry\/uid=ann,ou=people,dc=example$/)
  for (const action of ["GetSessionToken", "AssumeRole"]) {
    const values: Values = action === "AssumeRole" ? { RoleArn: "arn:aws:iam::0:role/x", RoleSessionName: "xy" } : {}
    await scene.world.refused("AccessDenied", action, values, ann, "sts")
  }
})

test("policies know a person by name, DN and groups", async () => {
  const scene = await Scene.open()
  const statement = (Action: string, Condition: object) => ({ Effect: "Allow", Action, Resource: "*", Condition })
  const text = JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      statement(LIST_USERS, { StringEquals: { "ldap:username": "ann" } }),
      statement(LIST_GROUPS, { "ForAnyValue:StringEquals": { "ldap:groups": TEAM } }),
      statement("iam:ListRoles", { StringEquals: { "ldap:user": "uid=bob,dc=example" } }),
    ],
  })
  await scene.attach(ANN, "by-name", text)
  const ann = await scene.signIn()
  assert.deepEqual(
    [await scene.may(ann, LIST_USERS), await scene.may(ann, LIST_GROUPS), await scene.may(ann, "iam:ListRoles")],
    [true, true, false],
  )
})

test("a session policy limits, and a duration is that of MinIO", async () => {
  const scene = await Scene.open()
  await scene.attach(ANN, "all", allow("iam:*"))
  const ann = await scene.signIn({ Policy: allow(LIST_USERS), DurationSeconds: 7 * 86_400 })
  assert.deepEqual([await scene.may(ann, LIST_USERS), await scene.may(ann, LIST_GROUPS)], [true, false])
  assert.equal(await scene.lasts(ann, Date.now() + 6 * 86_400_000), true)
  assert.equal(await scene.lasts(ann, Date.now() + 8 * 86_400_000), false)
  assert.equal((await scene.asks({ DurationSeconds: 60 })).code, "ValidationError")
  assert.equal((await scene.asks({ Policy: "{" })).code, "MalformedPolicyDocument")
  assert.equal((await scene.asks({ RoleArn: "x" })).status, 501, "a parameter that it does not have")
})

test("without a policy nobody gets in, and without the last one a session ends", async () => {
  const scene = await Scene.open()
  const reply = await scene.asks()
  assert.deepEqual([reply.status, reply.code], [403, "AccessDenied"])
  assert.match(reply.xml, /no policy is attached to uid=ann,ou=people,dc=example/)
  const arn = await scene.attach(TEAM, "users", allow(LIST_USERS))
  const ann = await scene.signIn()
  const held = await scene.world.refused("DeleteConflict", "DeletePolicy", { PolicyArn: arn })
  assert.match(held.xml, /attached/)
  assert.equal((await scene.world.iam("GetPolicy", { PolicyArn: arn })).one("AttachmentCount"), "1")
  await scene.world.access.access.entries.detach("cn=TEAM,ou=groups,dc=example", arn)
  assert.equal(await scene.lasts(ann, Date.now()), false)
  await scene.world.iam("DeletePolicy", { PolicyArn: arn })
})

test("who leaves a group loses its policies, and who leaves the directory the session, within minutes", async () => {
  const scene = await Scene.open()
  const { directory } = scene
  await scene.attach(ANN, "users", allow(LIST_USERS))
  await scene.attach(TEAM, "groups", allow(LIST_GROUPS))
  const ann = await scene.signIn()
  const keyOf = async (nowMs: number) => {
    const { accounts } = scene.world.access.access
    const known = await accounts.secretOf(parseAccessKeyId(ann.accessKeyId), ann.token, nowMs)
    return known?.policies.identity.length
  }
  const nowMs = Date.now()
  // The clock of the test begins at another time than that of requests, so that the first use asks.
  assert.equal(await keyOf(nowMs), 2)
  const [person, , ...rest] = directory.entries
  assert.ok(person)
  directory.entries = [person, ...rest]
  assert.equal(await keyOf(nowMs + CHECK_MS - 1), 2)
  assert.equal(await keyOf(nowMs + CHECK_MS), 1)
  directory.down = new Set([URL_OF_SERVER])
  assert.equal(await keyOf(nowMs + 2 * CHECK_MS), 1, "a directory that is down ends nothing")
  directory.down = new Set()
  directory.entries = rest
  assert.equal(await scene.lasts(ann, nowMs + 2 * CHECK_MS + RETRY_MS), false)
})

test("after a start without the directory, the groups of the sign-in hold", async () => {
  const scene = await Scene.open()
  await scene.attach(TEAM, "groups", allow(LIST_GROUPS))
  const ann = await scene.signIn()
  scene.directory.down = new Set([URL_OF_SERVER])
  assert.equal(await scene.may(ann, LIST_GROUPS), true)
})

test("a directory that does not answer is a failure that clients of STS repeat", async () => {
  const scene = await Scene.open()
  scene.directory.down = new Set([URL_OF_SERVER])
  const reply = await scene.asks()
  assert.deepEqual([reply.status, reply.code], [503, "ServiceUnavailable"])
  assert.match(reply.xml, /The LDAP directory does not answer/)
  assert.ok(!reply.xml.includes(URL_OF_SERVER), "strangers do not learn where it is")
})

test("wrong passwords have to wait, and each sign-in is recorded without its password", async () => {
  const scene = await Scene.open()
  await scene.attach(ANN, "users", allow(LIST_USERS))
  await scene.signIn()
  const { audit } = scene.world
  const done = audit.last(`sts:${ACTION}`)
  assert.deepEqual([done?.target, done?.ended?.outcome], ["ann", "done"])
  assert.match(done?.caller.name ?? "", /:entry\/uid=ann/)
  for (let i = 0; i < 5; i += 1) {
    const { status, xml } = await scene.clock.runUntil(scene.asks({ LDAPPassword: `pear${i}` }))
    assert.equal(status, 403)
    assert.match(xml, /the user name or the password is not right/)
  }
  const failed = audit.last(`sts:${ACTION}`)
  assert.deepEqual([failed?.target, failed?.ended?.outcome], ["ann", "accessDenied"])
  scene.directory.sent.length = 0
  assert.equal((await scene.asks()).code, "Throttling", "the right one, too")
  assert.deepEqual(scene.directory.sent, [], "the directory is not asked meanwhile")
  const all = JSON.stringify([audit.all, scene.telemetry.entries()])
  assert.ok(!/apple|pear/.test(all), all)
})

test("a name and a password may be in the query, as MinIO's client of Python sends them", async () => {
  const scene = await Scene.open()
  await scene.attach(ANN, "users", allow(LIST_USERS))
  const query = formOf(ACTION, { LDAPUsername: "ann", LDAPPassword: PASSWORD }, "sts")
  assert.ok(query.includes("apple+pie"))
  const reply = await tell(scene.world.handler, {
    method: "POST",
    rawTarget: `/?${query}`,
    rawHeaders: ["host", "localhost"],
  })
  assert.equal(reply.status, 200, reply.xml)
  assert.ok(!JSON.stringify(reply.notes).includes("apple"), "no line of a log has it")
})

test("without a directory the action is refused by name", async () => {
  const world = await IamWorld.open()
  const reply = await tell(world.handler, formRequest(formOf(ACTION, { LDAPUsername: "a", LDAPPassword: "b" }, "sts")))
  assert.equal(reply.status, 501)
  assert.match(reply.xml, /--ldap-server/)
})
