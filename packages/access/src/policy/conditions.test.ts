/** Conditions as AWS documents them: operators, absent keys, keys with several values, variables. */
import { test } from "node:test"
import assert from "node:assert/strict"
import type { AccessRequest } from "./contract.js"
import { decide, NO_RESOURCE_POLICIES } from "./decide.js"
import { identityOf, OTHER, OWNER, requestOf, rootOf, sessionOf, userOf, type Keys } from "./testing-requests.js"

const STATEMENT = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" }

function holds(condition: object, keys: Keys = {}, more: Partial<AccessRequest> = {}): boolean {
  const own = identityOf({ ...STATEMENT, Condition: condition })
  return decide(requestOf({ ...more, keys }), own, NO_RESOURCE_POLICIES).outcome === "allow"
}

/** Returns true if a Deny statement with this condition applies. */
function denies(condition: object, keys: Keys = {}, more: Partial<AccessRequest> = {}): boolean {
  const own = identityOf(STATEMENT, { ...STATEMENT, Effect: "Deny", Condition: condition })
  return decide(requestOf({ ...more, keys }), own, NO_RESOURCE_POLICIES).outcome === "explicitDeny"
}

type Line = readonly [operator: string, wanted: unknown, actual: string | readonly string[] | undefined, holds: boolean]

const LINES: readonly Line[] = [
  ["StringEquals", "a", "a", true],
  ["StringEquals", "a", "A", false],
  ["StringEquals", "a*", "ab", false],
  ["StringEquals", "a*", "a*", true],
  ["StringEquals", ["x", "a"], "a", true],
  ["StringNotEquals", ["x", "a"], "a", false],
  ["StringNotEquals", ["x", "y"], "a", true],
  ["StringEqualsIgnoreCase", "AbC", "aBc", true],
  ["StringNotEqualsIgnoreCase", "AbC", "aBc", false],
  ["StringLike", "a*c?", "abbcd", true],
  ["StringLike", "a*c?", "abbc", false],
  ["StringLike", "a*?b?c?*?d?", "a_b-c=_dx", true],
  ["StringLike", "a*?b?c?*?d?", "ab-c=_dx", false],
  ["StringLike", "a*?b?c?*?d?", "a_b-c=_d", false],
  ["StringLike", "*.?+*", "x.\u{1f600}+", true],
  ["StringLike", "*.?+*", "x_\u{1f600}+", false],
  ["StringLike", "*??", "\u{1f600}", false],
  ["StringLike", "*??", "\u{1f600}\u{1f601}", true],
  ["StringLike", "*?*??*", "abc", true],
  ["StringLike", "*?*??*", "ab", false],
  ["StringLike", "ab*?b", "abb", false],
  ["StringLike", "", "", true],
  ["StringLike", "b*b", "b", false],
  ["StringNotLike", "a*", "abc", false],
  ["NumericEquals", 10, "10.0", true],
  ["NumericNotEquals", "10", "11", true],
  ["NumericLessThan", "10", "9", true],
  ["NumericLessThan", "10", "10", false],
  ["NumericLessThanEquals", "10", "10", true],
  ["NumericGreaterThan", "9", "10", true],
  ["NumericGreaterThanEquals", "10", "9", false],
  ["NumericLessThan", "10", "many", false],
  ["DateEquals", "2026-05-01T14:00:00+02:00", "2026-05-01T12:00:00Z", true],
  ["DateLessThan", "2026-05-02", "2026-05-01T12:00:00Z", true],
  ["DateGreaterThan", "1777636799", "2026-05-01T12:00:00Z", true],
  ["DateNotEquals", "2026-05-01", "2026-05-01T00:00:00Z", false],
  ["Bool", true, "true", true],
  ["Bool", "false", "true", false],
  ["BinaryEquals", "QUJD", "QUJD", true],
  ["BinaryEquals", "QUJD", "QUJE", false],
  ["IpAddress", "203.0.113.0/24", "203.0.113.7", true],
  ["IpAddress", "203.0.113.0/24", "203.0.114.7", false],
  ["IpAddress", "203.0.112.0/23", "203.0.113.7", true],
  ["IpAddress", "203.0.113.0/24", "::ffff:203.0.113.7", true],
  ["IpAddress", "2001:db8::/33", "2001:db8:7fff::1", true],
  ["IpAddress", "2001:db8::/33", "2001:db8:8000::1", false],
  ["IpAddress", "0.0.0.0/0", "2001:db8::1", false],
  ["NotIpAddress", ["10.0.0.0/8", "192.0.2.1"], "192.0.2.1", false],
  ["NotIpAddress", "10.0.0.0/8", "192.0.2.1", true],
  ["ArnLike", "arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a:b", true],
  ["ArnEquals", "arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a", true],
  ["ArnLike", "arn:aws:x:*:1:finance/*", "arn:aws:x:us:9:store/abc:1:finance/d", false],
  ["StringLike", "arn:aws:x:*:1:finance/*", "arn:aws:x:us:9:store/abc:1:finance/d", true],
  ["ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::2:role/a", true],
  // Keys that are absent
  ["StringEquals", "a", undefined, false],
  ["StringNotEquals", "a", undefined, true],
  ["StringEqualsIfExists", "a", undefined, true],
  ["StringEqualsIfExists", "a", "b", false],
  ["NotIpAddress", "10.0.0.0/8", undefined, true],
  ["Bool", "false", undefined, false],
  ["Null", "true", undefined, true],
  ["Null", "false", undefined, false],
  ["Null", "false", "", true],
  ["Null", true, "x", false],
  // Sets
  ["ForAllValues:StringEquals", ["a", "b"], ["a", "b"], true],
  ["ForAllValues:StringEquals", ["a", "b"], ["a", "c"], false],
  ["ForAllValues:StringEquals", ["a"], [], true],
  ["ForAllValues:StringEquals", ["a"], undefined, true],
  ["ForAllValues:StringEquals", ["a"], "", true],
  ["ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], true],
  ["ForAnyValue:StringEquals", ["a", "b"], ["c"], false],
  ["ForAnyValue:StringEquals", ["a"], undefined, false],
  ["ForAnyValue:StringEquals", [""], "", false],
  ["ForAnyValue:StringNotEquals", ["a"], undefined, false],
  ["ForAnyValue:StringNotEquals", ["a"], ["a", "b"], true],
  ["ForAllValues:StringNotEquals", ["a"], ["a", "b"], false],
  ["ForAnyValue:StringLikeIfExists", ["a*"], undefined, true],
  ["StringEquals", "a", ["a", "b"], true],
  ["StringNotEquals", "a", ["a", "b"], false],
]

for (const [operator, wanted, actual, expected] of LINES) {
  test(`${operator} ${JSON.stringify(wanted)} of ${JSON.stringify(actual) ?? "nothing"}: ${expected}`, () => {
    const keys: Keys = actual === undefined ? {} : { "aws:referer": actual }
    assert.equal(holds({ [operator]: { "aws:Referer": wanted } }, keys), expected)
    assert.equal(denies({ [operator]: { "aws:Referer": wanted } }, keys), expected)
  })
}

test("all operators and keys of a condition must hold", () => {
  const both = { StringEquals: { "s3:prefix": "a", "s3:delimiter": "/" }, Bool: { "aws:SecureTransport": "true" } }
  const keys = { "s3:prefix": "a", "s3:delimiter": "/", "aws:securetransport": "true" }
  assert.equal(holds(both, keys), true)
  for (const [key, value] of [
    ["s3:prefix", "b"],
    ["s3:delimiter", "-"],
    ["aws:securetransport", "false"],
  ] as const) {
    assert.equal(holds(both, { ...keys, [key]: value }), false)
  }
})

test("keys are compared without case, and tag keys of objects keep their case", () => {
  assert.equal(holds({ StringEquals: { "AWS:UserName": "bob" } }), true)
  assert.equal(
    holds({ StringEquals: { "S3:existingobjecttag/Team": "red" } }, { "s3:existingobjecttag/Team": "red" }),
    true,
  )
})

test("the engine derives the keys of caller, owner and time without the request", () => {
  const bob = { principal: { ...userOf(OWNER, "bob"), tags: [["Team", "red"]] as const } }
  const session = {
    principal: { ...sessionOf(OTHER, "writer", "one"), claims: [["id.example.com:sub", "c"]] as const },
  }
  const is = (key: string, value: string, more: Partial<AccessRequest>): boolean =>
    holds({ StringEquals: { [key]: value } }, {}, more)
  assert.ok(is("aws:PrincipalArn", `arn:aws:iam::${OWNER}:user/bob`, bob))
  assert.ok(is("aws:username", "bob", bob))
  assert.ok(is("aws:PrincipalTag/team", "red", bob))
  assert.ok(is("aws:PrincipalType", "User", bob))
  assert.ok(is("aws:ResourceAccount", OWNER, bob))
  assert.ok(is("aws:CurrentTime", "2026-05-01T12:00:00.000Z", bob))
  assert.ok(is("aws:EpochTime", String(Date.UTC(2026, 4, 1, 12) / 1000), bob))
  assert.ok(holds({ Null: { "aws:TokenIssueTime": "true", "aws:MultiFactorAuthPresent": "true" } }, {}, bob))
  const trusting = (condition: object): boolean => denies(condition, {}, session)
  assert.ok(trusting({ StringEquals: { "aws:PrincipalArn": `arn:aws:iam::${OTHER}:role/writer` } }))
  assert.ok(trusting({ StringEquals: { "aws:PrincipalType": "AssumedRole", "aws:PrincipalAccount": OTHER } }))
  assert.ok(trusting({ StringLike: { "aws:userid": "AROAWRITER*:one" } }))
  assert.ok(trusting({ StringEquals: { "id.example.com:sub": "c" } }))
  assert.ok(trusting({ Null: { "aws:username": "true", "aws:TokenIssueTime": "false" } }))
  assert.ok(trusting({ Bool: { "aws:MultiFactorAuthPresent": "false" } }))
  assert.ok(holds({ StringEquals: { "aws:PrincipalType": "Account" } }, {}, { principal: rootOf(OWNER) }))
})

test("neither a request nor a claim can override the keys that the engine derives", () => {
  const forged = { "aws:username": "ann", "aws:principalarn": "x", "aws:currenttime": "2000-01-01" }
  assert.equal(holds({ StringEquals: { "aws:username": "ann" } }, forged), false)
  const claims = [["aws:SourceIp", "10.0.0.1"]] as const
  const principal = { ...sessionOf(OWNER, "writer", "one"), claims }
  assert.equal(denies({ IpAddress: { "aws:SourceIp": "10.0.0.0/8" } }, {}, { principal }), false)
})

const at = (place: string): string => `arn:aws:s3:::photos/${place}`

function mayGet(pattern: object, place: string, more: Partial<AccessRequest> = {}): boolean {
  const own = identityOf({ Effect: "Allow", Action: "s3:GetObject", ...pattern })
  return decide(requestOf({ ...more, resource: at(place) }), own, NO_RESOURCE_POLICIES).outcome === "allow"
}

test("variables stand for their literal values", () => {
  const home = { Resource: at(`\${aws:username}/*`) }
  assert.equal(mayGet(home, "bob/a"), true)
  assert.equal(mayGet(home, "ann/a"), false)
  assert.equal(mayGet(home, "ann/a", { principal: userOf(OWNER, "*") }), false)
  assert.equal(mayGet(home, "*/a", { principal: userOf(OWNER, "*") }), true)
  assert.equal(mayGet({ Resource: at(`\${*}\${?}\${$}`) }, "*?$"), true)
  assert.equal(mayGet({ Resource: at(`\${*}\${?}\${$}`) }, "ab$"), false)
  assert.equal(holds({ StringLike: { "s3:prefix": `\${aws:username}/*` } }, { "s3:prefix": "bob/x" }), true)
  assert.equal(holds({ StringEquals: { "s3:prefix": `\${aws:username}/` } }, { "s3:prefix": "bob/" }), true)
})

test("a variable without a value takes its default, or matches nothing", () => {
  const team = { Resource: at(`\${aws:PrincipalTag/team, 'none'}/*`) }
  assert.equal(mayGet(team, "none/a"), true)
  const principal = { ...userOf(OWNER, "bob"), tags: [["team", "red"]] as const }
  assert.equal(mayGet(team, "none/a", { principal }), false)
  assert.equal(mayGet(team, "red/a", { principal }), true)
  assert.equal(mayGet({ Resource: at(`\${aws:PrincipalTag/team}*`) }, "x"), false)
})

test("a variable without a value never widens an Allow statement, and never narrows a Deny", () => {
  const open = { NotResource: at(`\${aws:PrincipalTag/team}/*`) }
  assert.equal(mayGet(open, "x"), false)
  assert.equal(holds({ StringNotEquals: { "s3:prefix": `\${aws:PrincipalTag/team}` } }, { "s3:prefix": "x" }), false)
  assert.equal(denies({ StringNotEquals: { "s3:prefix": `\${aws:PrincipalTag/team}` } }, { "s3:prefix": "x" }), true)
})

test("a key with several values has no value as a variable", () => {
  const keys = { "s3:requestobjecttagkeys": ["a", "b"], "s3:prefix": "a" }
  assert.equal(holds({ StringEquals: { "s3:prefix": `\${s3:RequestObjectTagKeys}` } }, keys), false)
})

test("resources match component by component, and a final star matches everything below", () => {
  const rows: readonly (readonly [pattern: string, place: string, matches: boolean])[] = [
    [at("*"), "a/b:c", true],
    [at("?"), "a", true],
    [at("?"), "\u{1f600}", true],
    [at("??"), "\u{1f600}", false],
    [at("?"), "ab", false],
    [at("a*b*c"), "a-b-b-c", true],
    [at("a*b*c"), "acb", false],
    [at("*ab"), "aab", true],
    [at("a*a"), "a", false],
    ["arn:aws:s3:::*", "a", true],
    ["arn:*:s3:*:*:photos/a", "a", true],
    ["arn:aws:s3:*:*:c", "a:b:c", false],
    ["arn:aws:s3:::photo", "a", false],
    [at("A"), "a", false],
  ]
  for (const [Resource, place, matches] of rows)
    assert.equal(mayGet({ Resource }, place), matches, `${Resource} ${place}`)
})

test("a pattern that invites backtracking takes little time", () => {
  const began = process.cpuUsage()
  const Resource = at(`${"*a".repeat(500)}*b`)
  for (let n = 0; n < 100; n += 1) assert.equal(mayGet({ Resource }, "a".repeat(1000)), false)
  assert.ok(process.cpuUsage(began).user < 5_000_000)
})
