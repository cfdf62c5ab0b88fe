/** Bulk operations: which paths are meant, in which order, and the reports in three formats. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  archiveFormatOf,
  BULK_LIMITS,
  deletionOf,
  DeletionLines,
  extractionOf,
  headersOfMember,
  reportOfDeletion,
  reportOfExtraction,
  writeReport,
} from "./bulk-core.js"
import type { UploadedTarMember } from "./tar-core.js"

function linesOf(body: string, length = body.length): readonly string[] {
  const lines = new DeletionLines()
  for (let at = 0; at < body.length; at += length) lines.push(Buffer.from(body.slice(at, at + length), "latin1"))
  return lines.end()
}

test("lines are decoded, objects come before containers, and empty lines do not count", () => {
  const body = "/c\n  c/a%20b \r\n\n/c/%C3%A9\nd/\n/d/x%2Fy%zz\nlast/one"
  const expected = ["c/a b", "/c/\xc3\xa9", "/d/x/y%zz", "last/one", "/c", "d/"]
  for (const length of [1, 3, 10, body.length]) assert.deepEqual(linesOf(body, length), expected, String(length))
  assert.deepEqual(linesOf("\n\n"), [])
})

test("runs of slashes within a path are read at once", () => {
  const slashes = "/".repeat(1_000_000)
  const member = { name: "a", kind: "file", sizeBytes: 0, attributes: new Map<string, string>() } as const
  assert.ok(extractionOf(member, `c${slashes}x`) !== undefined)
  const line = `c/${"/".repeat(3_800)}x\n`
  assert.equal(linesOf(line.repeat(2_000)).length, 2_000)
  assert.throws(() => archiveFormatOf(`${".".repeat(1_000_000)}x${".".repeat(1_000_000)}x`), /Unsupported/)
})

test("too many lines, and a line that is too long, are refused", () => {
  const { deletionsMax, pathBytesMax } = BULK_LIMITS
  assert.equal(linesOf("c/o\n".repeat(deletionsMax)).length, deletionsMax)
  assert.throws(
    () => linesOf("c/o\n".repeat(deletionsMax + 1)),
    error => isFailure(error, "entityTooLarge"),
  )
  for (const end of ["", "\n"])
    assert.throws(() => linesOf("x".repeat(3 * pathBytesMax + 1) + end, 1000), { message: "Invalid File Name" })
})

test("a line addresses an object or a container, or is an error with its status", () => {
  assert.deepEqual(deletionOf("/c/a b"), { target: { container: "c", object: "a b" }, path: "/c/a%20b" })
  assert.deepEqual(deletionOf("c/"), { target: { container: "c", object: undefined }, path: "c/" })
  assert.deepEqual(deletionOf("//"), { error: ["//", "400 Bad Request"] })
  assert.deepEqual(deletionOf("c/\xff"), { error: ["c/%FF", "412 Precondition Failed"] })
})

const member = (name: string, change: Partial<UploadedTarMember> = {}): UploadedTarMember => ({
  name,
  kind: "file",
  sizeBytes: 1,
  attributes: new Map(),
  ...change,
})
const targetOf = (name: string, base = "", change: Partial<UploadedTarMember> = {}) => {
  const step = extractionOf(member(name, change), base)
  return step && "target" in step ? [step.target.container, step.target.object] : step
}

test("files of an archive become objects below the path of the request, and nothing else does", () => {
  assert.deepEqual(targetOf("./c/a/b"), ["c", "a/b"])
  assert.deepEqual(targetOf("/c/a"), ["c", "a"])
  assert.deepEqual(targetOf("../c/a"), ["..", "c/a"])
  assert.deepEqual(targetOf("a", "c"), ["c", "a"])
  assert.deepEqual(targetOf("a/b", "/c/pre/"), ["c", "pre/a/b"])
  assert.equal(targetOf("a"), undefined, "a file at the base has no container")
  assert.equal(targetOf("c/a", "", { kind: "other" }), undefined)
  assert.deepEqual(targetOf("c/a", "", { kind: "sparse" }), { error: ["c/a", "501 Not Implemented"] })
  assert.deepEqual(targetOf("c/\xff"), { error: ["c/%FF", "412 Precondition Failed"] })
  assert.deepEqual(targetOf("c/"), { error: ["c/", "400 Bad Request"] })
})

test("extended attributes become headers, and others do not", () => {
  const attributes = new Map([
    ["SCHILY.xattr.user.mime_type", "a/b"],
    ["LIBARCHIVE.xattr.user.meta.Color", "red"],
    ["SCHILY.xattr.user.other", "x"],
    ["mtime", "1"],
  ])
  assert.deepEqual(headersOfMember(member("a", { attributes })), [
    ["content-type", "a/b"],
    ["x-object-meta-color", "red"],
  ])
})

test("the format of an archive is known, or refused by name", () => {
  assert.deepEqual(["tar", "TAR.GZ", ".tar", "tar.bz2"].map(archiveFormatOf), ["tar", "tar.gz", "tar", "tar.bz2"])
  assert.throws(() => archiveFormatOf("zip"), { message: "Unsupported archive format" })
})

test("reports are written as text, JSON and XML", () => {
  const report = reportOfDeletion({ deleted: 2, notFound: 1, errors: [["/c/<a>", "409 Conflict"]] })
  assert.equal(
    writeReport(report, "plain"),
    "Number Deleted: 2\nNumber Not Found: 1\nResponse Body: \nResponse Status: 400 Bad Request\nErrors:\n/c/<a>, 409 Conflict\n",
  )
  assert.equal(
    writeReport(report, "json"),
    '{"Response Status":"400 Bad Request","Response Body":"","Number Deleted":2,"Number Not Found":1,"Errors":[["/c/<a>","409 Conflict"]]}',
  )
  assert.equal(
    writeReport(report, "xml"),
    '<?xml version="1.0" encoding="UTF-8"?>\n<delete>\n<number_deleted>2</number_deleted>\n' +
      "<number_not_found>1</number_not_found>\n<response_body></response_body>\n" +
      "<response_status>400 Bad Request</response_status>\n<errors>\n" +
      "<object><name>/c/&lt;a&gt;</name><status>409 Conflict</status></object>\n</errors>\n</delete>\n",
  )
})

test("the status in a report tells success, failures, failures of the server, nothing to do, and an early end", () => {
  const statusOf = (report: ReturnType<typeof reportOfDeletion>) => report.members.slice(0, 2).map(([, value]) => value)
  const none = { errors: [], deleted: 0, notFound: 0 }
  assert.deepEqual(statusOf(reportOfDeletion({ ...none, deleted: 1 })), ["200 OK", ""])
  assert.deepEqual(statusOf(reportOfDeletion({ ...none, notFound: 1 })), ["200 OK", ""])
  assert.deepEqual(statusOf(reportOfDeletion(none)), ["400 Bad Request", "Invalid bulk delete."])
  assert.deepEqual(statusOf(reportOfExtraction({ errors: [], created: 3 })), ["201 Created", ""])
  const nothing = ["400 Bad Request", "Invalid Tar File: No Valid Files"]
  assert.deepEqual(statusOf(reportOfExtraction({ errors: [], created: 0 })), nothing)
  const errors = [
    ["a", "404 Not Found"],
    ["b", "503 Service Unavailable"],
  ] as const
  assert.deepEqual(statusOf(reportOfExtraction({ errors, created: 3 })), ["502 Bad Gateway", ""])
  const failure = { status: "401 Unauthorized", text: "who are you" }
  assert.deepEqual(statusOf(reportOfExtraction({ errors, created: 3, failure })), ["401 Unauthorized", "who are you"])
})
