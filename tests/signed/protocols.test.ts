/**
 * Signed protocols do alike, whichever of them a request uses: they count, charge, limit and note the same callers, and show an
 * operator the same of a request that is refused.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { ROOT, type Signer } from "../iam/world.js"
import { BUCKET, casesOf, SignedWorld, type Recorded, type SignedCase } from "./world.js"

let world: SignedWorld
let cases: readonly SignedCase[] = []

before(async () => {
  world = await SignedWorld.open()
  cases = casesOf(await world.rootNumber)
})
after(() => world.stop())

const ofAccount = () => world.telemetry.metric("hayloft_account_requests_total", { account: world.access.account })

const requestsOf = ({ port, operation }: SignedCase, { answer }: Recorded): number =>
  world.telemetry.metric("hayloft_http_requests_total", { server: port, operation, status: String(answer.status) })

/** A user of its own for each protocol, so that nothing of one is seen in another. */
const userOf = (name: string, { operation, port }: SignedCase, at: number) =>
  world.user(`${name}-${port}-${operation.replace(/\W/g, "")}-${at}`)

const deniedOf = ({ line }: Recorded) => world.denials.find(String(line["requestId"]))

test("a caller who may not do it is counted for its account, and denied with a reason that the operator finds", async () => {
  for (const [at, each] of cases.entries()) {
    const user = await userOf("denied", each, at)
    const before = ofAccount()
    const recorded = await world.send(each.port, each.of(user))
    assert.equal(recorded.answer.status, 403, `${each.name}: ${recorded.answer.text}`)
    assert.equal(ofAccount() - before, 1, `${each.name}: the account is counted`)
    assert.ok(requestsOf(each, recorded) > 0, `${each.name}: the metrics name the operation`)
    const { operation, accessKeyId, kind, reason } = recorded.line
    assert.deepEqual([operation, accessKeyId, kind], [each.operation, user.id, "accessDenied"], each.name)
    assert.match(String(reason), /no policy|not allow|denie/, `${each.name}: the log tells the decision`)
    assert.doesNotMatch(recorded.answer.text, /no policy of/, `${each.name}: the client gets no decision`)
    const denied = deniedOf(recorded)
    assert.deepEqual([denied?.service, denied?.status, denied?.accessKeyId], [each.service, 403, user.id], each.name)
    assert.equal(denied?.principal?.kind, "user", each.name)
    assert.equal((await world.access.access.accounts.lastUse(user.id))?.service, each.service, each.name)
  }
})

test("a caller who proves nothing counts for no account; the metrics still name the operation", async () => {
  for (const [at, each] of cases.entries()) {
    const user = await userOf("unproved", each, at)
    const before = ofAccount()
    const recorded = await world.send(each.port, each.of({ ...user, secret: "wrong" }))
    assert.equal(recorded.answer.status, each.unproved, `${each.name}: ${recorded.answer.text}`)
    assert.equal(ofAccount(), before, `${each.name}: nobody is counted`)
    assert.ok(requestsOf(each, recorded) > 0, `${each.name}: ${String(recorded.line["operation"])}`)
    const denied = deniedOf(recorded)
    assert.deepEqual([denied?.principal, denied?.accessKeyId], [undefined, user.id], each.name)
    assert.equal(await world.access.access.accounts.lastUse(user.id), undefined, `${each.name}: the key was not used`)
  }
})

test("a caller beyond its limit is refused, and its key counts as used", async () => {
  const limits = { requestsPerSecond: 1, burst: 1, bytesPerSecond: undefined }
  const refuse = async (each: SignedCase, at: number): Promise<void> => {
    const user = await userOf("limited", each, at)
    await world.access.access.accounts.limitKey(user.id, limits)
    const refused = () => world.telemetry.metric("hayloft_rate_limit_refused_total", { holder: "key", id: user.id })
    const statuses: number[] = []
    for (let i = 0; i < 2; i += 1) statuses.push((await world.send(each.port, each.of(user))).answer.status)
    assert.equal(statuses[0], 403, `${each.name}: the first request is denied by policies`)
    assert.equal(refused(), 1, `${each.name}: ${statuses.join()}`)
    assert.notEqual(await world.access.access.accounts.lastUse(user.id), undefined, each.name)
  }
  await Promise.all(cases.map(refuse))
})

test("who has signed in to coordination without a signature is counted and limited as by its key", async () => {
  const user = await world.user("signed-in")
  await world.access.access.accounts.limitKey(user.id, { requestsPerSecond: 1, burst: 1, bytesPerSecond: undefined })
  world.signedIn = user.id
  const request = { method: "GET", rawTarget: "/coord/locks/app/", rawHeaders: ["host", "localhost"] }
  const before = ofAccount()
  const [first, second] = [await world.send("coord", request), await world.send("coord", request)]
  assert.deepEqual([first.answer.status, second.answer.status], [403, 429])
  assert.deepEqual([first.line["accessKeyId"], ofAccount() - before], [user.id, 2])
})

test("a busy server learns which account a head names, from every protocol", async () => {
  const shapes = new HeaderShapes()
  const accountOf = (each: SignedCase, signer: Signer): string | undefined => {
    const { rawTarget, rawHeaders } = each.of(signer)
    return world.protocols[each.port]?.accountOf?.({ rawTarget, headers: shapes.ofFlat(rawHeaders) })
  }
  for (const [at, each] of cases.entries()) {
    const user = await userOf("busy", each, at)
    assert.equal(accountOf(each, user), undefined, `${each.name}: a key that nobody has used is not looked up`)
    await world.send(each.port, each.of(user))
    assert.equal(accountOf(each, user), world.access.account, each.name)
  }
})

test("a bucket counts the requests of all protocols that it lets in, and no others", async () => {
  const inBucket = () => world.telemetry.metric("hayloft_bucket_requests_total", { bucket: BUCKET })
  const ofBucket = cases.filter(({ port }) => ["s3", "swift", "k2v"].includes(port))
  assert.equal(ofBucket.length, 3)
  for (const [at, each] of ofBucket.entries()) {
    const before = inBucket()
    await world.send(each.port, each.of(await userOf("outside", each, at)))
    assert.equal(inBucket(), before, each.name)
    await world.send(each.port, each.of(ROOT))
    assert.equal(inBucket(), before + 1, each.name)
  }
})
