/** Temporary credentials: who gets them, what they allow, and what ends them. */
import assert from "node:assert/strict"
import type { AssumeRequest, IssuedSession } from "@hayloft/access/index.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { AccessWorld, allow, HOUR_MS, NO_CONTEXT, NOW_MS, rejects, ROOT_KEY, testBothWays, trust } from "./world.js"

const NUMBER = accountNumberOf(ROOT_KEY.accountId)
const READER = `arn:aws:iam::${NUMBER}:role/reader`
const asking = (change: Partial<AssumeRequest> = {}): AssumeRequest => ({
  roleArn: READER,
  sessionName: "work",
  seconds: undefined,
  policy: undefined,
  policyArns: [],
  tags: [],
  context: NO_CONTEXT,
  nowMs: NOW_MS,
  ...change,
})

/** A user that may assume a role that reads. */
async function scene(answersLater: boolean) {
  const world = await AccessWorld.open(answersLater)
  const { ref, id } = await world.user("bob", "sts:AssumeRole")
  const role = await world.create("role", "reader", trust({ AWS: `arn:aws:iam::${NUMBER}:root` }))
  await world.access.identities.putInline(role, "read", allow("s3:GetObject"))
  const assume = async (change?: Partial<AssumeRequest>) =>
    world.access.sessions.assume(await world.mustKnow(id), asking(change))
  return { world, ref, id, role, assume }
}

const ends = (world: AccessWorld, { accessKeyId, token }: IssuedSession) =>
  rejects("invalidToken", world.known(accessKeyId, token))

testBothWays("a key's session acts as the owner until it expires, or the key is disabled", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { id } = await world.user("bob", "s3:GetObject")
  const session = world.access.sessions.ofKey(await world.mustKnow(id), { seconds: 900, nowMs: NOW_MS })
  const { accessKeyId, token } = session
  assert.match(accessKeyId, /^ASIA[A-Z2-7]{16}$/)
  assert.equal((await world.mustKnow(accessKeyId, token)).secret, session.secret)
  assert.equal(await world.may(accessKeyId, "s3:GetObject", token), true)
  assert.equal(await world.may(accessKeyId, "s3:PutObject", token), false)
  assert.equal(await world.known(accessKeyId), undefined, "the key is refused without its token")
  await world.mustKnow(accessKeyId, token, NOW_MS + 899_999)
  await rejects("tokenExpired", world.known(accessKeyId, token, NOW_MS + 900_000))
  await rejects("invalidToken", world.known(id, token))
  const now = (of: AccessKeyId, by: string | undefined, nowMs = NOW_MS) =>
    world.access.accounts.knownSecret(of, by, nowMs)?.secret
  assert.equal(now(accessKeyId, token, NOW_MS + 899_999), session.secret)
  const none = [now(accessKeyId, token, NOW_MS + 900_000), now(id, token), now(accessKeyId, undefined), now(id, "")]
  assert.deepEqual(none, [undefined, undefined, undefined, undefined])
  await rejects("invalidToken", world.known(accessKeyId, `${token.slice(0, -2)}AA`))
  await rejects("invalidToken", world.known(accessKeyId, "nonsense"))
  await rejects("invalidToken", world.known(id, "nonsense"))
  await world.restart()
  await world.mustKnow(accessKeyId, token)
  const limits = { requestsPerSecond: 5, burst: undefined, bytesPerSecond: undefined }
  await world.access.accounts.limitKey(id, limits)
  const ofKey = [{ holder: "key", id, limits }]
  assert.deepEqual((await world.mustKnow(accessKeyId, token)).limited, ofKey, "a session shares its key's limits")
  const { account } = await world.mustKnow(id)
  await world.access.accounts.limitAccount(account.id, limits)
  const ofAccount = { holder: "account", id: account.id, limits }
  assert.deepEqual((await world.mustKnow(id)).limited, [ofAccount, ...ofKey])
  await world.access.accounts.limitKey(id, undefined)
  assert.deepEqual((await world.mustKnow(accessKeyId, token)).limited, [ofAccount])
  await world.access.accounts.limitAccount(account.id, undefined)
  assert.equal((await world.mustKnow(accessKeyId, token)).limited, undefined)
  await rejects("invalidRequest", world.access.accounts.limitKey(ROOT_KEY.accessKeyId, limits))
  await world.access.accounts.setKeyActive(id, false)
  assert.equal(now(accessKeyId, token), undefined)
  await ends(world, session)
  await world.access.accounts.setKeyActive(id, true)
  await world.mustKnow(accessKeyId, token)
  await world.access.accounts.removeKey(id)
  await ends(world, session)
})

testBothWays("credentials that a clock which was ahead has issued are over once it is right", async answersLater => {
  const { world, id } = await scene(answersLater)
  const { sessions } = world.access
  const aheadMs = NOW_MS + 365 * 24 * HOUR_MS
  const known = await world.mustKnow(id)
  const issued = [
    sessions.ofKey(known, { seconds: 900, nowMs: aheadMs }),
    await sessions.assume(known, asking({ nowMs: aheadMs })),
  ]
  for (const { accessKeyId, token } of issued) {
    await world.mustKnow(accessKeyId, token, aheadMs)
    await rejects("tokenExpired", world.known(accessKeyId, token))
    assert.equal(world.access.accounts.knownSecret(accessKeyId, token, NOW_MS), undefined)
    await world.restart()
    await rejects("tokenExpired", world.known(accessKeyId, token))
    await world.mustKnow(accessKeyId, token, aheadMs - HOUR_MS / 4)
  }
})

testBothWays("sessions end with the secret of the key that they were derived from", async answersLater => {
  const { world, id, assume } = await scene(answersLater)
  const { sessions, accounts } = world.access
  const own = sessions.ofKey(await world.mustKnow(id), { seconds: 900, nowMs: NOW_MS })
  const asRole = await assume()
  for (const { accessKeyId, token } of [own, asRole]) await world.mustKnow(accessKeyId, token)
  await accounts.changeKey(id, { secret: "another-secret-of-forty-characters-00000", service: undefined })
  for (const session of [own, asRole]) await ends(world, session)
  const later = sessions.ofKey(await world.mustKnow(id), { seconds: 900, nowMs: NOW_MS })
  await world.restart()
  await world.mustKnow(later.accessKeyId, later.token)
})

testBothWays("a key's session may have a policy, which takes rights away and gives none", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { sessions, accounts } = world.access
  const { id } = await world.user("bob", "s3:GetObject")
  const bob = await world.mustKnow(id)
  const policy = allow("s3:DeleteObject")
  for (const [limit, expected] of [
    [allow("s3:*"), [true, false]],
    [policy, [false, false]],
  ] as const) {
    const { accessKeyId, token } = sessions.ofKey(bob, { seconds: 900, policy: limit, nowMs: NOW_MS })
    const may = async (action: string) => world.may(accessKeyId, action, token)
    assert.deepEqual([await may("s3:GetObject"), await may("s3:DeleteObject")], expected, limit)
  }
  const root = sessions.ofKey(await world.mustKnow(ROOT_KEY.accessKeyId), { seconds: 900, policy, nowMs: NOW_MS })
  assert.equal(await world.may(root.accessKeyId, "s3:DeleteObject", root.token), true)
  assert.equal(await world.may(root.accessKeyId, "s3:PutObject", root.token), false)
  await rejects("malformedPolicy", () => sessions.ofKey(bob, { seconds: 900, policy: "{}", nowMs: NOW_MS }))
  const service = { description: "", policy: allow("s3:PutObject"), expiresMs: undefined }
  const { key } = await accounts.createKey({ accountId: world.account, userName: "bob", service })
  const limited = await world.mustKnow(key.id)
  await rejects("accessDenied", () => sessions.ofKey(limited, { seconds: 900, policy, nowMs: NOW_MS }))
  const within = sessions.ofKey(limited, { seconds: 900, nowMs: NOW_MS })
  assert.equal(await world.may(within.accessKeyId, "s3:GetObject", within.token), false)
  const open = { description: "", policy: undefined, expiresMs: undefined }
  const { key: later } = await accounts.createKey({ accountId: world.account, userName: "bob", service: open })
  const before = sessions.ofKey(await world.mustKnow(later.id), { seconds: 900, policy: allow("s3:*"), nowMs: NOW_MS })
  assert.equal(await world.may(before.accessKeyId, "s3:GetObject", before.token), true)
  await accounts.changeKey(later.id, { service })
  await ends(world, before)
})

testBothWays(
  "a role's session ends with the key that assumed the role, also if that key expires",
  async answersLater => {
    const { world } = await scene(answersLater)
    const service = { description: "", policy: undefined, expiresMs: NOW_MS + 1_000 }
    const { key } = await world.access.accounts.createKey({ accountId: world.account, userName: "bob", service })
    const session = await world.access.sessions.assume(await world.mustKnow(key.id), asking())
    const { accessKeyId, token } = session
    await world.mustKnow(accessKeyId, token, NOW_MS + 999)
    await rejects("tokenExpired", world.known(accessKeyId, token, NOW_MS + 1_000))
    await world.restart()
    await rejects("invalidToken", world.known(accessKeyId, token, NOW_MS + 1_000))
  },
)

testBothWays("a token with any flipped bit is refused", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const session = world.access.sessions.ofKey(await world.mustKnow(ROOT_KEY.accessKeyId), {
    seconds: 900,
    nowMs: NOW_MS,
  })
  const bytes = Buffer.from(session.token.slice(4), "base64url")
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await rejects("invalidToken", world.known(session.accessKeyId, `HL1.${flipped.toString("base64url")}`))
  }
})

testBothWays("a token is compared exactly: another encoding of the same bytes is refused", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { accessKeyId, token } = world.access.sessions.ofKey(await world.mustKnow(ROOT_KEY.accessKeyId), {
    seconds: 900,
    nowMs: NOW_MS,
  })
  assert.ok(await world.known(accessKeyId, token))
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  const others = [...alphabet].flatMap(character => [token + character, token.slice(0, -1) + character])
  const spellings = [...others, `${token}=`, `${token} `, ` ${token}`, token.toLowerCase(), token.slice(0, -1)]
  for (const other of spellings.filter(text => text !== token)) {
    await rejects("invalidToken", world.known(accessKeyId, other))
  }
})

testBothWays(
  "durations of sessions are bounded, and a session cannot create another one of its kind",
  async answersLater => {
    const { world, id, assume } = await scene(answersLater)
    const { sessions } = world.access
    const [bob, root] = [await world.mustKnow(id), await world.mustKnow(ROOT_KEY.accessKeyId)]
    assert.equal(sessions.ofKey(bob, { seconds: undefined, nowMs: NOW_MS }).expiresMs, NOW_MS + 12 * HOUR_MS)
    assert.equal(sessions.ofKey(root, { seconds: undefined, nowMs: NOW_MS }).expiresMs, NOW_MS + HOUR_MS)
    await rejects("invalidArgument", () => sessions.ofKey(bob, { seconds: 899, nowMs: NOW_MS }))
    await rejects("invalidArgument", () => sessions.ofKey(root, { seconds: 3_601, nowMs: NOW_MS }))
    const session = sessions.ofKey(bob, { seconds: 900, nowMs: NOW_MS })
    const known = await world.mustKnow(session.accessKeyId, session.token)
    await rejects("accessDenied", () => sessions.ofKey(known, { seconds: 900, nowMs: NOW_MS }))
    assert.equal((await assume()).expiresMs, NOW_MS + HOUR_MS)
    await rejects("invalidArgument", assume({ seconds: 3_601 }))
    await rejects("invalidArgument", assume({ sessionName: "a b" }))
  },
)

testBothWays("a role can be assumed if its trust policy and the caller's policies allow it", async answersLater => {
  const { world, ref, id, role, assume } = await scene(answersLater)
  const { identities } = world.access
  const session = await assume()
  assert.equal(session.arn, `arn:aws:sts::${NUMBER}:assumed-role/reader/work`)
  const { principal } = await world.mustKnow(session.accessKeyId, session.token)
  assert.equal(principal.kind, "session")
  assert.equal(principal.arn, READER)
  assert.equal(principal.userId, session.userId)
  assert.equal(principal.issuedMs, NOW_MS)
  assert.equal(await world.may(session.accessKeyId, "s3:GetObject", session.token), true)
  assert.equal(
    await world.may(session.accessKeyId, "sts:AssumeRole", session.token),
    false,
    "none of the user's own permissions",
  )
  await identities.removeInline(ref, "own")
  await rejects("accessDenied", assume())
  await identities.updateRole(role, { trust: trust({ AWS: `arn:aws:iam::${NUMBER}:user/bob` }) })
  await assume()
  const { number: stranger } = await world.access.accounts.createAccount({ displayName: "other", email: "" })
  await identities.updateRole(role, { trust: trust({ AWS: stranger }) })
  await rejects("accessDenied", assume())
  await rejects("accessDenied", assume({ roleArn: `${READER}s` }))
  await rejects("accessDenied", assume({ roleArn: "nonsense" }))
  await world.mustKnow(id)
})

testBothWays(
  "session policies limit a session, and cannot be managed policies of other accounts",
  async answersLater => {
    const { world, role, assume } = await scene(answersLater)
    await world.access.identities.putInline(role, "read", allow("s3:*"))
    const limited = await assume({ policy: allow("s3:GetObject") })
    assert.equal(await world.may(limited.accessKeyId, "s3:GetObject", limited.token), true)
    assert.equal(await world.may(limited.accessKeyId, "s3:PutObject", limited.token), false)
    const managed = await assume({ policyArns: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"] })
    assert.equal(await world.may(managed.accessKeyId, "s3:GetObject", managed.token), true)
    assert.equal(await world.may(managed.accessKeyId, "s3:PutObject", managed.token), false)
    await rejects("malformedPolicy", assume({ policy: "{}" }))
    await rejects("limitExceeded", assume({ policy: allow("s3:GetObject", `arn:aws:s3:::${"x".repeat(2_100)}`) }))
    await rejects("noSuchEntity", assume({ policyArns: [`arn:aws:iam::${NUMBER}:policy/none`] }))
    await world.access.identities.createPolicy(world.account, {
      name: "P",
      path: "/",
      description: "",
      tags: [],
      text: allow("s3:GetObject"),
    })
    const arn = `arn:aws:iam::${NUMBER}:policy/P`
    const own = await assume({ policyArns: [arn] })
    assert.equal(await world.may(own.accessKeyId, "s3:GetObject", own.token), true)
    await world.access.identities.removePolicy(world.account, arn)
    await ends(world, own)
  },
)

testBothWays("the tags of a role decide who may assume it", async answersLater => {
  const { world, role, ref, assume } = await scene(answersLater)
  const { identities } = world.access
  await identities.setTags(role, [["Project", "apollo"]], [])
  for (const key of ["iam:ResourceTag/project", "aws:ResourceTag/Project"]) {
    const only = (Effect: string, value: string) =>
      JSON.stringify({
        Version: "2012-10-17",
        Statement: [
          { Effect: "Allow", Action: "sts:*", Resource: "*" },
          { Effect, Action: "sts:AssumeRole", Resource: "*", Condition: { StringEquals: { [key]: value } } },
        ].slice(Effect === "Allow" ? 1 : 0),
      })
    await identities.putInline(ref, "own", only("Allow", "apollo"))
    await assume()
    await identities.putInline(ref, "own", only("Allow", "gemini"))
    await rejects("accessDenied", assume())
    await identities.putInline(ref, "own", only("Deny", "apollo"))
    await rejects("accessDenied", assume())
    await identities.putInline(ref, "own", only("Deny", "gemini"))
    await assume()
  }
})

testBothWays("session tags need a separate permission, and override the role's tags", async answersLater => {
  const { world, role, assume } = await scene(answersLater)
  const { identities } = world.access
  await identities.setTags(
    role,
    [
      ["Team", "a"],
      ["Stage", "x"],
    ],
    [],
  )
  await rejects("accessDenied", assume({ tags: [["team", "b"]] }))
  const both = {
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${NUMBER}:user/bob` },
    Action: ["sts:AssumeRole", "sts:TagSession"],
  }
  await identities.updateRole(role, { trust: JSON.stringify({ Version: "2012-10-17", Statement: [both] }) })
  const session = await assume({ tags: [["team", "b"]] })
  const { principal } = await world.mustKnow(session.accessKeyId, session.token)
  assert.deepEqual(principal.tags, [
    ["Stage", "x"],
    ["team", "b"],
  ])
  // Its token would be longer than any that is accepted.
  const many = Array.from({ length: 50 }, (_, i) => [`key ${i}`, "v".repeat(250)] as const)
  await rejects("limitExceeded", assume({ tags: many }))
})

testBothWays(
  "a session of chained roles ends with each of the roles, and with the key that assumed the first",
  async answersLater => {
    const { world, id, role, assume } = await scene(answersLater)
    const { identities, accounts, sessions } = world.access
    const second = await world.create("role", "second", trust({ AWS: READER }))
    await identities.putInline(role, "chain", allow("sts:AssumeRole"))
    const first = await assume()
    const caller = await world.mustKnow(first.accessKeyId, first.token)
    const chained = await sessions.assume(caller, asking({ roleArn: `arn:aws:iam::${NUMBER}:role/second` }))
    await world.mustKnow(chained.accessKeyId, chained.token)
    await accounts.setKeyActive(id, false)
    await ends(world, first)
    await ends(world, chained)
    await accounts.setKeyActive(id, true)
    await world.mustKnow(chained.accessKeyId, chained.token)
    for (const policy of ["read", "chain"]) await identities.removeInline(role, policy)
    await identities.remove(role)
    await ends(world, first)
    await ends(world, chained)
    await world.create("role", "reader", trust({ AWS: NUMBER }))
    await ends(world, first)
    await identities.get(second)
  },
)

testBothWays("a role of another account can be assumed only if both accounts allow it", async answersLater => {
  const { world, ref, id } = await scene(answersLater)
  const other = await world.access.accounts.createAccount({ id: parseAccountId("other"), displayName: "", email: "" })
  const far = await world.create("role", "far", trust({ AWS: NUMBER }), other.id)
  const request = asking({ roleArn: `arn:aws:iam::${other.number}:role/far` })
  const session = await world.access.sessions.assume(await world.mustKnow(id), request)
  assert.equal((await world.mustKnow(session.accessKeyId, session.token)).account.id, "other")
  await world.access.identities.removeInline(ref, "own")
  await rejects("accessDenied", world.access.sessions.assume(await world.mustKnow(id), request))
  await world.access.identities.putInline(ref, "own", allow("sts:AssumeRole"))
  await world.access.identities.updateRole(far, { trust: trust({ AWS: other.number }) })
  await rejects("accessDenied", world.access.sessions.assume(await world.mustKnow(id), request))
})

testBothWays("limits of a key and its account follow into roles of other accounts", async answersLater => {
  const { world, id } = await scene(answersLater)
  const { accounts, identities, sessions } = world.access
  const other = await accounts.createAccount({ id: parseAccountId("other"), displayName: "", email: "" })
  const far = await world.create("role", "far", trust({ AWS: NUMBER }), other.id)
  const farArn = `arn:aws:iam::${other.number}:role/far`
  const next = await world.create("role", "next", trust({ AWS: farArn }), other.id)
  await identities.putInline(far, "chain", allow("sts:AssumeRole"))
  const assume = async ({ accessKeyId, token }: { accessKeyId: AccessKeyId; token?: string }, roleArn: string) =>
    sessions.assume(await world.mustKnow(accessKeyId, token), asking({ roleArn }))
  const first = await assume({ accessKeyId: id }, farArn)
  const chained = await assume(first, `arn:aws:iam::${other.number}:role/${next.name}`)
  const limitsOf = async ({ accessKeyId, token }: IssuedSession) => (await world.mustKnow(accessKeyId, token)).limited
  assert.equal(await limitsOf(first), undefined)
  const limits = (requestsPerSecond: number) => ({ requestsPerSecond, burst: undefined, bytesPerSecond: undefined })
  const { account } = await world.mustKnow(id)
  await accounts.limitKey(id, limits(1))
  await accounts.limitAccount(account.id, limits(2))
  await accounts.limitAccount(other.id, limits(3))
  const held = [
    { holder: "account", id: other.id, limits: limits(3) },
    { holder: "account", id: account.id, limits: limits(2) },
    { holder: "key", id, limits: limits(1) },
  ]
  assert.deepEqual(await limitsOf(first), held)
  assert.deepEqual(await limitsOf(chained), held, "each limit counts once")
  await accounts.limitKey(id, undefined)
  assert.deepEqual(await limitsOf(chained), held.slice(0, 2))
})

testBothWays(
  "managed policies that limit a session are those of the role's account, not policies of the same name elsewhere",
  async answersLater => {
    const { world, assume } = await scene(answersLater)
    const policy = { name: "own", path: "/", description: "", tags: [], text: allow("s3:GetObject") }
    await world.access.identities.createPolicy(world.account, policy)
    await assume({ policyArns: [`arn:aws:iam::${NUMBER}:policy/own`] })
    const other = await world.access.accounts.createAccount({ displayName: "other", email: "" })
    for (const number of [other.number, "000000000000"]) {
      await rejects("noSuchEntity", assume({ policyArns: [`arn:aws:iam::${number}:policy/own`] }))
    }
    const ref = await world.create("user", "given")
    await rejects("noSuchEntity", world.access.identities.attach(ref, `arn:aws:iam::${other.number}:policy/own`))
  },
)
