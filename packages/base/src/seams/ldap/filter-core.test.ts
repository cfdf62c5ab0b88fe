/** Filters with what users type: it stays one value, whatever it contains. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { attributeOfName, filledFilter, problemOfFilter } from "./filter-core.js"

const filled = (s: string, d = ""): string => filledFilter("(&(uid=%s)(member=%d))", { s, d })

test("letters with a meaning in filters are escaped", () => {
  assert.equal(filled("*"), "(&(uid=\\2a)(member=))")
  assert.equal(filled("a)(uid=*"), "(&(uid=a\\29\\28uid=\\2a)(member=))")
  assert.equal(filled("\\2a"), "(&(uid=\\5c2a)(member=))")
  assert.equal(filled("a\0b\n"), "(&(uid=a\\00b\\0a)(member=))")
  assert.equal(filled("josé 李"), "(&(uid=josé 李)(member=))", "letters beyond ASCII have none")
  assert.equal(filled("a", "cn=lee\\, ann (boss),dc=x"), "(&(uid=a)(member=cn=lee\\5c, ann \\28boss\\29,dc=x))")
})

test("a value that looks like a place, or like a replacement, is not filled", () => {
  assert.equal(filled("%d", "x"), "(&(uid=%d)(member=x))")
  assert.equal(filled("$&$1"), "(&(uid=$&$1)(member=))")
})

test("every place is filled", () => {
  const filter = "(|(sAMAccountName=%s)(userPrincipalName=%s))"
  const filledTwice = filledFilter(filter, { s: "a(b", d: "" })
  assert.equal(filledTwice, "(|(sAMAccountName=a\\28b)(userPrincipalName=a\\28b))")
  assert.equal(attributeOfName(filter), "sAMAccountName")
  assert.equal(attributeOfName("(memberOf=%d)"), undefined)
})

test("a filter that is none is recognised", () => {
  for (const filter of [
    "(uid=%s)",
    "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:=%d))",
    "(&(sAMAccountName=%s)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
  ])
    assert.equal(problemOfFilter(filter), undefined, filter)
  for (const filter of ["", "uid=%s", "(uid=%s", "(uid=%s))", "(a=%s)(b=%s)", ")(", "( uid=%s)", "(&(a=%s) (b=c))"])
    assert.notEqual(problemOfFilter(filter), undefined, filter)
})
