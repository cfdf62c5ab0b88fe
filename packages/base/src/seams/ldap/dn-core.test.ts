/** Distinguished names: two spellings of one name are equal, and no others. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { fc } from "../../testing-properties.js"
import { runsOf } from "../../testing-seed.js"
import { isAtOrBelow, normalDn } from "./dn-core.js"

test("spellings of one name have one normal form", () => {
  const same = [
    ["uid=ann,ou=people,dc=example", " UID = Ann , OU=People,DC=Example ", "uid=\\61nn,ou=people,dc=example"],
    ["cn=lee\\, ann,dc=x", "CN=Lee\\2c  Ann,dc=x", "cn=LEE\\, ANN,dc=X"],
    ["cn=josé", "cn=jose\u0301", "CN=JOS\\C3\\89"],
    ["a=1+b=2,dc=x", "B=2+A=1,dc=x"],
    ["cn=\\#1", "cn=\\231"],
    ["cn=a\\\\", "cn=a\\5C"],
    ["2.5.4.3=a", "OID.2.5.4.3=A"],
    ["1.2=#04024869", "1.2=#0402486 9".replace(" ", "")],
    ["cn=a\\00b", "cn=A\\00B"],
    ["cn=a=b", "cn=a\\=b"],
  ]
  for (const spellings of same) {
    const forms = new Set(spellings.map(normalDn))
    assert.equal(forms.size, 1, spellings.join("   "))
  }
})

test("different names stay different", () => {
  const different = [
    "cn=a,cn=b",
    "cn=a\\,cn=b",
    "cn=a+cn=b",
    "cn=a\\+cn=b",
    "cn=b,cn=a",
    "cn=ab",
    "cn=a b",
    "cn=a\\00",
    "cn=a\\\\",
    "sn=a",
    "cn=#61",
    "cn=\\#61",
  ]
  assert.equal(new Set(different.map(normalDn)).size, different.length)
})

test("what is no name is refused, and the message says why", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /"" is not TYPE=VALUE/],
    ["ann", /"ann" is not TYPE=VALUE/],
    ["uid=ann,", /"" is not TYPE=VALUE/],
    ["uid=", /value of uid is empty/],
    ["uid= ", /value of uid is empty/],
    ["u id=a", /not TYPE=VALUE/],
    ['cn="a"', /not escaped/],
    ["cn=a;cn=b", /not escaped/],
    ["cn=a\0b", /not escaped/],
    ["cn=a\\", /escapes nothing/],
    ["cn=a\\zz", /escapes nothing/],
    ["cn=\\ff", /not UTF-8/],
    [`cn=${"a".repeat(1_025)}`, /more than 1024 bytes/],
    [`cn=${"\ufdfa".repeat(100)}`, /normal form has more than 1024 bytes/],
  ]
  for (const [text, why] of refused)
    assert.throws(
      () => normalDn(text),
      error => isFailure(error, "invalidArgument") && why.test(String(error.details["message"])),
      text,
    )
})

test("a normal form is its own", () => {
  const value = fc.string({ unit: "binary", minLength: 1, maxLength: 6 })
  const escape = (text: string): string =>
    [...Buffer.from(text)].map(byte => `\\${byte.toString(16).padStart(2, "0")}`).join("")
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 3 }), values => {
      const dn = values.map(each => `cn=x${escape(each)}y`).join(",")
      const normal = normalDn(dn)
      assert.equal(normalDn(normal), normal)
      assert.equal(isAtOrBelow(normal, normal), true)
    }),
    { numRuns: runsOf(200) },
  )
})

test("an entry is below its base, but not below a name that only ends alike", () => {
  assert.equal(isAtOrBelow("uid=a,dc=x,dc=y", "dc=x,dc=y"), true)
  assert.equal(isAtOrBelow("dc=x,dc=y", "dc=x,dc=y"), true)
  assert.equal(isAtOrBelow("dc=y", "dc=x,dc=y"), false)
  assert.equal(isAtOrBelow("uid=a\\,dc=y", "dc=y"), false)
  assert.equal(isAtOrBelow("uid=a,adc=y", "dc=y"), false)
})
