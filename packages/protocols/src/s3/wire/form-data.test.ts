import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { boundaryOf, FORM_BYTES_MAX, FormDecoder } from "./form-data.js"

const BOUNDARY = "b0undary"

interface Decoded {
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly file: string | undefined
  readonly fileName: string | undefined
}

/** Decodes a body that arrives in the given pieces. */
function decode(pieces: readonly (Uint8Array | string)[], boundary = BOUNDARY): Decoded {
  const decoder = new FormDecoder(boundary)
  const fields: [string, string][] = []
  let file: string | undefined
  let fileName: string | undefined
  for (const piece of pieces) {
    for (const event of decoder.push(typeof piece === "string" ? Buffer.from(piece, "latin1") : piece)) {
      if (event.kind === "field") fields.push([event.name, ""])
      else if (event.kind === "file") {
        file = ""
        fileName = event.fileName
      } else if (event.kind === "content") {
        const text = Buffer.from(event.bytes).toString("latin1")
        const field = fields.at(-1)
        if (file !== undefined) file += text
        else if (field) field[1] += text
      }
    }
  }
  decoder.end()
  return { fields, file, fileName }
}

const refuses = (kind: FailureKind, ...pieces: string[]): void =>
  assert.throws(
    () => decode(pieces),
    (error: unknown) => isFailure(error, kind),
    JSON.stringify(pieces).slice(0, 200),
  )

const part = (disposition: string, content: string, headers = ""): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n${headers}\r\n${content}\r\n`
const END = `--${BOUNDARY}--\r\n`
const FILE = part('name="file"; filename="a.txt"', "bytes", "Content-Type: text/plain\r\n")

test("fields are returned in order, then the file; everything after the file is dropped", () => {
  const body = part('name="key"', "a/b") + part("name=plain", "") + FILE + part('name="submit"', "x".repeat(500)) + END
  const decoded = decode([body])
  assert.deepEqual(decoded.fields, [
    ["key", "a/b"],
    ["plain", ""],
  ])
  assert.deepEqual([decoded.file, decoded.fileName], ["bytes", "a.txt"])
})

test("the result does not depend on how the bytes are split, whatever the content", () => {
  // Contents made of the characters of boundaries.
  const content = fc
    .array(
      fc.constantFrom(
        "\r",
        "\n",
        "-",
        "--",
        BOUNDARY,
        `--${BOUNDARY}`,
        `\r--${BOUNDARY}`,
        `\n--${BOUNDARY}--`,
        "x",
        "\xff",
      ),
    )
    .map(words => words.join("").replaceAll(`\r\n--${BOUNDARY}`, "\r\n"))
    .filter(text => !`${text}\r\n`.includes(`\r\n--${BOUNDARY}`) && !`\r\n${text}`.includes(`\r\n--${BOUNDARY}`))
  fc.assert(
    fc.property(content, content, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (value, file, cuts) => {
      const body = part('name="a"', value) + part('name="file"; filename="f"', file) + END
      const pieces: string[] = []
      for (let at = 0, i = 0; at < body.length; i += 1) {
        const length = cuts[i % cuts.length] ?? 1
        pieces.push(body.slice(at, at + length))
        at += length
      }
      assert.deepEqual(decode(pieces), { fields: [["a", value]], file, fileName: "f" })
    }),
    { numRuns: 500 },
  )
})

test("boundaries count only at the beginning of a line", () => {
  const content = `--${BOUNDARY}\n--${BOUNDARY}--\n\r--${BOUNDARY}\r\r--${BOUNDARY}--`
  // The content begins right after a line break, where a boundary would end it.
  assert.equal(decode([part('name="file"', `x${content}`) + END]).file, `x${content}`)
})

test("a form without its last boundary is refused", () => {
  refuses("malformedForm", FILE)
  refuses("malformedForm", FILE.slice(0, -3))
  refuses("malformedForm", `${FILE}--${BOUNDARY}`)
  refuses("malformedForm", `${FILE}--${BOUNDARY}-`)
  refuses("malformedForm", "")
  refuses("malformedForm", "bytes without any boundary")
  assert.equal(decode([`${FILE}--${BOUNDARY}--`]).file, "bytes")
})

test("bare line breaks, folded and repeated headers are refused", () => {
  refuses("malformedForm", FILE.replace("\r\nContent-Type", "\nContent-Type") + END)
  refuses("malformedForm", FILE.replace("Content-Type", " folded\r\nContent-Type") + END)
  refuses(
    "malformedForm",
    FILE.replace("Content-Type: text", "Content-Disposition: form-data; name=key\r\nX: text") + END,
  )
  refuses("malformedForm", FILE.replace("a.txt", "a\r.txt") + END)
  refuses("malformedForm", FILE.replace("a.txt", "a\0.txt") + END)
  refuses("malformedForm", FILE.replace(`--${BOUNDARY}\r\n`, `--${BOUNDARY}\n`) + END)
  refuses("malformedForm", FILE.replace(`--${BOUNDARY}\r\n`, `--${BOUNDARY}x\r\n`) + END)
})

test("a part with an empty name is refused", () => {
  refuses("malformedForm", FILE.replace(/name="?file"?/, 'name=""') + END)
})

test("blanks after a boundary, as mail gateways add them, are ignored", () => {
  assert.equal(decode([FILE.replace(`--${BOUNDARY}\r\n`, `--${BOUNDARY} \t\r\n`) + END]).file, "bytes")
})

test("parts need one name, and unknown parameters are refused", () => {
  for (const disposition of [
    'filename="x"',
    'name="a"; name="b"',
    "name",
    'name="a"b',
    "name=a; filename*=UTF-8''x",
    'name="a',
  ]) {
    refuses("malformedForm", part(disposition, "") + END)
  }
  refuses("malformedForm", `--${BOUNDARY}\r\n\r\nno headers\r\n${END}`)
  refuses("malformedForm", FILE.replace("form-data", "attachment") + END)
})

test("content in another coding is refused, not stored as sent", () => {
  refuses("malformedForm", FILE.replace("Content-Type: text/plain", "Content-Transfer-Encoding: base64") + END)
  assert.equal(
    decode([FILE.replace("Content-Type: text/plain", "Content-Transfer-Encoding: Binary") + END]).file,
    "bytes",
  )
})

test("file names are returned as sent: quotes, backslashes, any UTF-8", () => {
  const nameOf = (text: string) => decode([part(`name="file"; filename=${text}`, "") + END]).fileName
  assert.equal(nameOf('"a\\"b"'), 'a"b')
  assert.equal(nameOf('"C:\\dir\\a.txt"'), "C:\\dir\\a.txt")
  assert.equal(nameOf('"%22"'), "%22")
  const unicode = Buffer.from("día — 🎉.txt", "utf8").toString("latin1")
  assert.equal(nameOf(`"${unicode}"`), unicode)
  assert.equal(nameOf('""'), "")
  assert.equal(decode([part('name="File"', "text") + END]).fileName, undefined)
})

test("a second file is refused, since it would be lost", () => {
  refuses("invalidArgument", FILE + FILE + END)
})

test("everything but the file's content counts against the limit: preamble, fields, heads, what follows", () => {
  const large = "x".repeat(FORM_BYTES_MAX)
  refuses("formTooLarge", large + large)
  refuses("formTooLarge", part('name="a"', large) + FILE + END)
  refuses("formTooLarge", FILE + END + large)
  refuses("formTooLarge", FILE + part('name="b"', large) + END)
  refuses("formTooLarge", `--${BOUNDARY}\r\nX: `, large)
  refuses("formTooLarge", ...Array.from({ length: FORM_BYTES_MAX / 8 + 1 }, () => "\r\n--b0un"))
  assert.equal(decode([part('name="file"', large + large) + END]).file, large + large)
  const small = part('name="a"', "x".repeat(FORM_BYTES_MAX - 300))
  assert.equal(decode([`preamble\r\n${small}${FILE}${END}`]).file, "bytes")
})

test("the boundary of a Content-Type", () => {
  assert.equal(boundaryOf("multipart/form-data; boundary=abc"), "abc")
  assert.equal(boundaryOf('Multipart/Form-Data ; charset=utf-8; Boundary="a b:c"; x=y'), "a b:c")
  assert.equal(
    boundaryOf("multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW"),
    "----WebKitFormBoundary7MA4YWxkTrZu0gW",
  )
  for (const other of ["", "text/html", "multipart/mixed; boundary=a", "multipart/form-databoundary=a"]) {
    assert.equal(boundaryOf(other), undefined, other)
  }
  for (const none of [
    "multipart/form-data",
    "multipart/form-data; boundary=",
    `multipart/form-data; boundary=${"x".repeat(71)}`,
    'multipart/form-data; boundary="a "',
  ]) {
    assert.throws(() => boundaryOf(none), /multipart\/form-data/, none)
  }
})
