/** The table itself: ids are unique, every line has rows or a reason, selection finds the requested rows. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { lineOf } from "./row.js"
import { LINES, LINES_WITHOUT_ROWS, ROWS } from "./rows/index.js"
import { byLine, report, select } from "./suite.js"
import { elements, escapeXml, text, unescapeXml } from "./xml.js"

test("ids are unique and titles are filled", () => {
  assert.deepEqual(
    ROWS.map(row => row.id).filter((id, index, all) => all.indexOf(id) !== index),
    [],
  )
  for (const { id, title } of ROWS) {
    assert.match(id, /^\d+\.\d+$/)
    assert.ok(title.length > 5)
  }
})

test("every line of the list has a row, or a reason why not", () => {
  for (let line: number = LINES.first; line <= LINES.last; line += 1) {
    const rows = ROWS.filter(row => lineOf(row) === line)
    assert.equal(rows.length === 0, line in LINES_WITHOUT_ROWS, `line ${line}`)
  }
})

test("rows are selected by id, line, range and words", () => {
  assert.deepEqual(
    select(ROWS, "58.3").map(row => row.id),
    ["58.3"],
  )
  assert.ok(select(ROWS, "58").every(row => lineOf(row) === 58))
  assert.deepEqual([...new Set(select(ROWS, "54-57").map(lineOf))], [54, 55, 56, 57])
  assert.ok(select(ROWS, "delete marker").length > 1)
})

test("the report counts by line and lists failures", () => {
  const outcome = { id: "58.3", line: 58, title: "a title", message: "expected 304, got 200", durationMs: 1 }
  const outcomes = [{ ...outcome, result: "failed" } as const, { ...outcome, id: "58.4", result: "passed" } as const]
  const of58 = byLine(outcomes)[57]
  assert.deepEqual([of58?.line, of58?.passed, of58?.failed], [58, 1, 1])
  assert.match(report(outcomes), /\| 58 \| 1 \| 1 \| 0 \|/)
  assert.match(report(outcomes), /58\.3 a title: expected 304, got 200/)
})

test("XML helpers read the XML of servers", () => {
  const xml = `<R xmlns="n"><A>1</A><AB>no</AB><A/><A x="y">&lt;&#13;&#x1F600;&amp;lt;</A></R>`
  assert.deepEqual(elements(xml, "A").map(unescapeXml), ["1", "", "<\r😀&lt;"])
  assert.equal(text(xml, "C"), undefined)
  assert.equal(unescapeXml(escapeXml('a&b<c>\r\u0001"')), 'a&b<c>\r\u0001"')
})
