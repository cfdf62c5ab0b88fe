/** Access lists of accounts: their form, what is refused, and whom they name. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { formatAccountAccess, matchOfAction, matchOfOwner, parseAccountAccess } from "./account-access-core.js"

test("a list is written with its keys in order, in ASCII, and without levels that name nobody", () => {
  const text = '{"read-only":["b\u00e9","c"], "read-write": [], "admin":["a"]}'
  assert.equal(formatAccountAccess(parseAccountAccess(text)), '{"admin":["a"],"read-only":["b\\u00e9","c"]}')
  for (const empty of ["", " ", "{}", '{"admin":[]}'])
    assert.equal(formatAccountAccess(parseAccountAccess(empty)), "", empty)
  const again = formatAccountAccess(parseAccountAccess(text))
  assert.equal(formatAccountAccess(parseAccountAccess(again)), again)
})

test("what is no such list is refused, and the message says why", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["{", /Syntax error/],
    ["[]", /must be a JSON object/],
    ["null", /must be a JSON object/],
    ['{"owner":[]}', /Key "owner" not recognized/],
    ['{"__proto__":[]}', /not recognized/],
    ['{"admin":"a"}', /Value "a" for key "admin" must be list/],
    ['{"admin":["a",1]}', /Elements of "admin" list must be strings/],
    [JSON.stringify({ admin: Array.from({ length: 1001 }, () => "a") }), /more than 1000 names/],
    [JSON.stringify({ admin: ["a".repeat(8192)] }), /longer than 8192 characters/],
  ]
  for (const [text, message] of cases) assert.throws(() => parseAccountAccess(text), { message }, text)
})

test("a level gives its actions to the users and accounts that it names, and the user itself counts before its account", () => {
  const access = parseAccountAccess('{"admin":["x:boss"],"read-write":["y"],"read-only":["x","x:guest","z:anna"]}')
  const match = (account: string, user: string, action: string) =>
    matchOfAction(access, { accounts: [account], users: [user] }, action)
  assert.deepEqual(
    ["PutBucketAcl", "CreateBucket", "ListAllMyBuckets"].map(action => match("x", "boss", action)),
    ["caller", "caller", "caller"],
  )
  assert.deepEqual(
    ["PutBucketAcl", "CreateBucket", "GetObject"].map(action => match("y", "boss", action)),
    [undefined, "account", "account"],
  )
  assert.deepEqual(
    ["PutObject", "ListBucket"].map(action => match("x", "other", action)),
    [undefined, "account"],
  )
  assert.equal(match("x", "guest", "ListBucket"), "caller")
  assert.equal(match("z", "anna", "ListAllMyBuckets"), "caller")
  assert.equal(match("z", "boss", "ListAllMyBuckets"), undefined)
  assert.equal(match("boss", "x", "ListAllMyBuckets"), undefined)
  assert.equal(matchOfOwner(access, { accounts: ["x"], users: ["boss"] }), "caller")
  assert.equal(matchOfOwner(access, { accounts: ["y"], users: ["boss"] }), undefined)
})
