/** Access lists of accounts: their form, what is refused, and whom they name. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { accessLevelOf, formatAccountAccess, parseAccountAccess } from "./account-access-core.js"

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
    [JSON.stringify({ admin: Array.from({ length: 1001 }, String) }), /more than 1000 names/],
  ]
  for (const [text, message] of cases) assert.throws(() => parseAccountAccess(text), { message }, text)
})

test("a caller has the highest level at which its account or its user is named", () => {
  const access = parseAccountAccess('{"admin":["x:boss"],"read-write":["y"],"read-only":["x","x:guest","z:anna"]}')
  const level = (account: string, user: string) => accessLevelOf(access, { accounts: [account], users: [user] })
  assert.equal(level("x", "boss"), "admin")
  assert.equal(level("y", "boss"), "read-write")
  assert.equal(level("x", "other"), "read-only")
  assert.equal(level("z", "anna"), "read-only")
  assert.equal(level("z", "boss"), undefined)
  assert.equal(level("boss", "x"), undefined)
})
