/** People of a directory: who gets in, which groups count, and when they cease to, with a directory in memory. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { LdapSettings } from "@hayloft/base/seams/ldap/contract.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { CHECK_MS, LdapPeople, REFUSAL_STEP_MS, RETRY_MS } from "./people.js"
import { FAKE_SETTINGS, FakeDirectory } from "./testing-directory.js"

const [FIRST, SECOND] = ["ldaps://first", "ldaps://second"]
const ANN = "uid=Ann,ou=People,dc=example"
const READER = { dn: "cn=reader,dc=example", password: "reads" }
const SETTINGS: LdapSettings = { ...FAKE_SETTINGS, servers: [FIRST, SECOND], lookup: READER }
const READER_ENTRY = { ...READER, found: [] }
const ANN_ENTRY = { dn: ANN, found: ["(uid=ann)", "(uid=ANN)"], password: "apple", attributes: { uid: ["ann"] } }
const TEAM = { dn: "CN=Team,ou=groups,dc=example", found: [`(member=${ANN})`] }
const OTHERS = { dn: "cn=others,ou=groups,dc=example", found: [] }

function world(change: Partial<LdapSettings> = {}) {
  const clock = new SimClock()
  const directory = new FakeDirectory()
  const telemetry = new SimTelemetry()
  directory.entries = [READER_ENTRY, ANN_ENTRY, TEAM, OTHERS]
  const people = new LdapPeople({ ...SETTINGS, ...change }, { ldap: directory, clock, log: telemetry.log })
  const refused = async (login: string, password: string, reason: RegExp): Promise<void> => {
    const answer = assert.rejects(people.signIn(login, password), error => {
      assert.ok(isFailure(error, "accessDenied"), String(error))
      assert.deepEqual(error.details, { message: "the user name or the password is not right" })
      return true
    })
    await clock.runUntil(answer)
    assert.match(String(telemetry.entries("ldap_refused").at(-1)?.fields["reason"]), reason)
  }
  const groupsAt = async (nowMs: number): Promise<readonly string[] | undefined> => {
    const ref = { dn: ANN, login: "ann" }
    return (await people.membershipOf(ref, ["cn=team,ou=groups,dc=example"], nowMs))?.groups
  }
  return { clock, directory, telemetry, people, refused, groupsAt }
}

test("a person signs in by name and password", async () => {
  const { people, directory } = world()
  assert.deepEqual(await people.signIn("ANN", "apple"), {
    dn: ANN,
    login: "ANN",
    userName: "ann",
    groups: ["cn=team,ou=groups,dc=example"],
  })
  assert.deepEqual(directory.sent, [
    `connect ${FIRST}`,
    "bind cn=reader,dc=example",
    "search ou=people,dc=example (uid=ANN)",
    `connect ${FIRST}`,
    `bind ${ANN}`,
    `search ou=groups,dc=example (member=${ANN})`,
    "close",
    "close",
  ])
})

test("an empty password is never sent", async () => {
  const { directory, refused } = world()
  await refused("ann", "", /empty/)
  await refused("", "apple", /empty/)
  assert.deepEqual(directory.sent, [])
})

test("whatever is wrong, the answer is the same", async () => {
  const { directory, refused } = world()
  await refused("ann", "pear", /invalid credentials/)
  await refused("bob", "pear", /no entry/)
  directory.entries = [...directory.entries, { ...ANN_ENTRY, dn: "uid=ann,ou=guests,ou=people,dc=example" }]
  await refused("ann", "apple", /several entries/)
  directory.entries = [
    ...directory.entries.slice(0, 1),
    TEAM,
    OTHERS,
    { ...ANN_ENTRY, dn: "" },
    { dn: "ou=people,dc=example", found: [] },
  ]
  await refused("ann", "apple", /cannot be used/)
  assert.equal(directory.sent.filter(line => line === "bind ").length, 0, "nobody is bound")
})

test("the time of a refusal does not show whether there is a person of that name", async () => {
  const { clock, directory, refused } = world()
  const connect = directory.connect.bind(directory)
  // A password is proved on a connection of its own.
  directory.connect = async server => {
    await clock.sleep(100, new AbortController().signal)
    return connect(server)
  }
  const tookMs = async (login: string, password: string, reason: RegExp): Promise<number> => {
    const startMs = clock.monotonicMs()
    await refused(login, password, reason)
    return clock.monotonicMs() - startMs
  }
  assert.equal(await tookMs("ann", "pear", /invalid credentials/), REFUSAL_STEP_MS)
  assert.equal(await tookMs("bob", "pear", /no entry/), REFUSAL_STEP_MS)
  assert.equal(await tookMs("bob", "", /empty/), REFUSAL_STEP_MS)
})

test("what is typed is a value", async () => {
  const { directory, refused } = world()
  for (const login of ["*", "ann)(uid=*", "ann\0", "a\\nn"]) await refused(login, "apple", /no entry/)
  assert.deepEqual(
    directory.sent.filter(line => line.startsWith("search")),
    ["\\2a", "ann\\29\\28uid=\\2a", "ann\\00", "a\\5cnn"].map(text => `search ou=people,dc=example (uid=${text})`),
  )
})

test("without the first server the second is asked, and goes on to be", async () => {
  const { directory, people } = world()
  directory.down = new Set([FIRST])
  await people.signIn("ann", "apple")
  directory.sent.length = 0
  await people.signIn("ann", "apple")
  assert.equal(directory.sent[0], `connect ${SECOND}`)
  directory.down = new Set([FIRST, SECOND])
  await assert.rejects(people.signIn("ann", "apple"), error => isFailure(error, "directoryUnavailable"))
})

test("a directory that refuses the account for searches, or has no such base, cannot be asked", async () => {
  const { directory, people, telemetry } = world()
  directory.entries = [ANN_ENTRY, TEAM]
  await assert.rejects(people.signIn("ann", "apple"), error => isFailure(error, "directoryUnavailable"))
  directory.entries = [READER_ENTRY]
  await assert.rejects(people.signIn("ann", "apple"), error => isFailure(error, "directoryUnavailable"))
  const reasons = telemetry.entries("ldap_unavailable").map(({ fields }) => String(fields["reason"]))
  assert.match(reasons[0] ?? "", /refuses the account for searches/)
  assert.match(reasons[1] ?? "", /has no ou=people,dc=example/)
  assert.ok(reasons.every(reason => !reason.includes("apple") && !reason.includes("reads")))
})

test("groups are asked for again after some minutes, at the next use", async () => {
  const { directory, people, groupsAt, clock } = world()
  await people.signIn("ann", "apple")
  directory.sent.length = 0
  const nowMs = clock.wallMs()
  directory.entries = [READER_ENTRY, ANN_ENTRY, OTHERS]
  assert.deepEqual(await groupsAt(nowMs + CHECK_MS - 1), ["cn=team,ou=groups,dc=example"])
  assert.equal(directory.sent.length, 0)
  assert.deepEqual(await groupsAt(nowMs + CHECK_MS), [])
  assert.ok(directory.sent.includes(`search ${ANN} (uid=ann)`))
})

test("whoever is gone, or found by the filter no more, has no session", async () => {
  const { directory, people, groupsAt, clock } = world()
  await people.signIn("ann", "apple")
  const nowMs = clock.wallMs() + CHECK_MS
  directory.entries = [READER_ENTRY, { ...ANN_ENTRY, found: [] }, TEAM]
  assert.equal(await groupsAt(nowMs), undefined)
  directory.entries = [READER_ENTRY, TEAM]
  assert.equal(await groupsAt(nowMs + CHECK_MS), undefined)
  directory.entries = [READER_ENTRY, ANN_ENTRY, TEAM]
  assert.deepEqual(await groupsAt(nowMs + 2 * CHECK_MS), ["cn=team,ou=groups,dc=example"], "they are back")
})

test("what the directory answered while the clock was ahead is asked for again once the clock is right", async () => {
  const { directory, groupsAt, clock } = world()
  const nowMs = clock.wallMs()
  assert.deepEqual(await groupsAt(nowMs + 24 * 60 * 60_000), ["cn=team,ou=groups,dc=example"])
  directory.entries = [READER_ENTRY, TEAM]
  assert.equal(await groupsAt(nowMs), undefined)
})

test("while the directory is down sessions go on, and it is asked again soon", async () => {
  const { directory, groupsAt, clock } = world()
  directory.down = new Set([FIRST, SECOND])
  const nowMs = clock.wallMs()
  assert.deepEqual(await groupsAt(nowMs), ["cn=team,ou=groups,dc=example"], "those of the session, after a start")
  directory.sent.length = 0
  await groupsAt(nowMs + RETRY_MS - 1)
  assert.deepEqual(directory.sent, [], "not with each request")
  directory.down = new Set()
  directory.entries = [READER_ENTRY, TEAM]
  assert.equal(await groupsAt(nowMs + RETRY_MS), undefined)
  directory.down = new Set([FIRST, SECOND])
  assert.equal(await groupsAt(nowMs + RETRY_MS + CHECK_MS), undefined, "whoever is gone stays so")
})

test("requests at the same time ask once", async () => {
  const { directory, groupsAt, clock } = world()
  let release = (): void => undefined
  directory.held = new Promise(resolve => (release = resolve))
  const nowMs = clock.wallMs()
  const all = Array.from({ length: 100 }, () => groupsAt(nowMs))
  release()
  assert.deepEqual(new Set((await Promise.all(all)).flat()), new Set(["cn=team,ou=groups,dc=example"]))
  assert.equal(directory.sent.filter(line => line.startsWith("connect")).length, 1)
})

test("an entry that is outside of the bases now has no session", async () => {
  const { groupsAt, clock } = world({ userBases: ["ou=staff,dc=example"] })
  assert.equal(await groupsAt(clock.wallMs()), undefined)
})

test("of too many sign-ins at once the last are refused, and sessions are checked meanwhile", async () => {
  const { directory, people, groupsAt, clock } = world()
  await people.signIn("ann", "apple")
  const nowMs = clock.wallMs() + CHECK_MS
  let release = (): void => undefined
  directory.held = new Promise(resolve => (release = resolve))
  const asked = Array.from({ length: 25 }, () =>
    people.signIn("ann", "apple").then(
      () => "in",
      error => (isFailure(error) ? error.kind : ""),
    ),
  )
  assert.equal(await Promise.race(asked), "tooManyInFlight")
  // Otherwise a person who is gone could keep a session by a wave of sign-ins at each check.
  const checked = groupsAt(nowMs)
  directory.entries = [READER_ENTRY, ANN_ENTRY, OTHERS]
  release()
  assert.deepEqual(await checked, [])
  assert.deepEqual((await Promise.all(asked)).filter(each => each === "in").length, 24)
})
