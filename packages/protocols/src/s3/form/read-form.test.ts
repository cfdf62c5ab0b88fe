/** Forms with several files: in order, however they arrive, whether each is read, and cut short. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { FormOfFiles } from "./read-form.js"

const part = (disposition: string, content: string, headers = ""): string =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\n${headers}\r\n${content}\r\n`
const END = "--b--\r\n"
const BODY =
  part('name="max_file_count"', "5") +
  part('name="none"; filename=""', "") +
  part('name="f1"; filename="a.txt"', "first", "Content-Type: text/plain\r\n") +
  part('name="late"', "ignored") +
  part('name="f2"; filename="b"', "", "Content-Encoding: gzip\r\n") +
  part('name="f1"; filename="c/d"', "third\r\n--c") +
  END

async function* piecesOf(text: string, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += length) yield Buffer.from(text.slice(at, at + length), "latin1")
}

const formOf = (text: string, length: number) => {
  const open = () => piecesOf(text, length)
  return FormOfFiles.begin({ lengthBytes: undefined, chunked: true, open, gather: () => undefined }, "b")
}

async function readAll(text: string, length: number, reads: (name: string) => boolean = () => true) {
  const form = await formOf(text, length)
  const files: unknown[] = []
  for (let file = await form.next(); file !== undefined; file = await form.next()) {
    const { fileName, contentType, contentEncoding } = file
    let content = ""
    if (reads(fileName)) for await (const bytes of file.open("reader")) content += Buffer.from(bytes).toString("latin1")
    files.push([fileName, contentType, contentEncoding, content])
  }
  return { fields: [...form.fields], files }
}

test("all files are read in order, and only fields before the first one count", async () => {
  for (const length of [1, 2, 3, 7, 1000]) {
    const { fields, files } = await readAll(BODY, length)
    assert.deepEqual(fields, [
      ["max_file_count", "5"],
      ["none", ""],
    ])
    assert.deepEqual(files, [
      ["a.txt", "text/plain", undefined, "first"],
      ["b", undefined, "gzip", ""],
      ["c/d", undefined, undefined, "third\r\n--c"],
    ])
  }
})

test("a file that is not read is skipped", async () => {
  for (const length of [1, 5, 1000]) {
    const { files } = await readAll(BODY, length, name => name === "c/d")
    assert.deepEqual(files.at(-1), ["c/d", undefined, undefined, "third\r\n--c"])
    assert.equal(files.length, 3)
  }
})

test("a form without files ends, and one that is cut short is refused", async () => {
  assert.deepEqual((await readAll(part('name="a"', "1") + END, 3)).files, [])
  for (let cut = BODY.length - 3; cut > BODY.length - 40; cut -= 1)
    await assert.rejects(readAll(BODY.slice(0, cut), 5), error => isFailure(error, "malformedForm"), String(cut))
})
