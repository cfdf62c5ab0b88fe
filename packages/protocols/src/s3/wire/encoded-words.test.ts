/** Values of headers as RFC 2047 writes them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { encodedWords } from "./encoded-words.js"

const bytesOf = (text: string): string => Buffer.from(text).toString("latin1")

/** Written from section 2 and 4 of the RFC: white space between encoded words is dropped. */
const decoded = (value: string): string =>
  value
    .split(" ")
    .map(word => {
      const [, encoding, text = ""] = /^=\?UTF-8\?([QB])\?([!->@-~]+)\?=$/.exec(word) ?? assert.fail(word)
      if (encoding === "B") return Buffer.from(text, "base64").toString("latin1")
      return text
        .replaceAll("_", " ")
        .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    })
    .join("")

test("ASCII stays as it is, encoded words included", () => {
  for (const text of ["", "a value with = and ? and _", "=?UTF-8?B?w6k=?=", "a\tb"])
    assert.equal(encodedWords(text), text)
})

test("mostly ASCII is quoted, and other text is base64", () => {
  assert.equal(encodedWords(bytesOf("Hello World é")), "=?UTF-8?Q?Hello_World_=C3=A9?=")
  assert.equal(encodedWords(bytesOf("a=?_é")), "=?UTF-8?Q?a=3D=3F=5F=C3=A9?=")
  assert.equal(encodedWords(bytesOf("é")), "=?UTF-8?B?w6k=?=")
})

test("bytes that are not UTF-8 are Latin-1", () => {
  assert.equal(encodedWords("caf\u00e9"), "=?UTF-8?Q?caf=C3=A9?=")
})

test("words have at most 75 characters, none cuts a character, and together they are the value", () => {
  const character = fc.constantFrom("a", " ", "=", "?", "_", "é", "中", "😀")
  fc.assert(
    fc.property(fc.array(character, { minLength: 1, maxLength: 400 }), characters => {
      const text = characters.join("")
      fc.pre(/[^ -~]/.test(text))
      const shown = encodedWords(bytesOf(text))
      assert.equal(decoded(shown), bytesOf(text))
      for (const word of shown.split(" ")) {
        assert.ok(word.length <= 75, word)
        assert.ok(!Buffer.from(decoded(word), "latin1").toString().includes("\ufffd"), word)
      }
    }),
  )
})
