/** Documents and headers of object lock: what is read, what is refused, and that nothing else is ever accepted. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import { Failure, isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import {
  CONFIGURATION_DOCUMENT,
  LEGAL_HOLD_DOCUMENT,
  lockInHeaders,
  readConfiguration,
  readLegalHold,
  readRetention,
  RETENTION_DOCUMENT,
  retentionFields,
  writeConfiguration,
  writeRetention,
} from "./object-lock.js"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"
import { xmlDocument } from "./xml-writer.js"

const refused = (kind: FailureKind, work: () => unknown, what: string) =>
  assert.throws(work, error => isFailure(error, kind), what)

const configurationOf = (inside: string) =>
  readConfiguration(
    parseXmlRoot(
      Buffer.from(`<${CONFIGURATION_DOCUMENT}>${inside}</${CONFIGURATION_DOCUMENT}>`),
      CONFIGURATION_DOCUMENT,
    ),
  )
const ENABLED = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
const defaultOf = (inside: string) =>
  configurationOf(`${ENABLED}<Rule><DefaultRetention>${inside}</DefaultRetention></Rule>`)
const retentionOf = (inside: string) =>
  readRetention(parseXmlRoot(Buffer.from(`<Retention>${inside}</Retention>`), RETENTION_DOCUMENT))
const retained = (until: string) => retentionOf(`<Mode>COMPLIANCE</Mode><RetainUntilDate>${until}</RetainUntilDate>`)
const holdOf = (inside: string) =>
  readLegalHold(parseXmlRoot(Buffer.from(`<LegalHold>${inside}</LegalHold>`), LEGAL_HOLD_DOCUMENT))

test("a default retention has a mode and one period within its range", () => {
  assert.equal(configurationOf(ENABLED), undefined)
  for (const [unit, element, max] of [["days", "Days", 36_500] as const, ["years", "Years", 100] as const]) {
    for (const count of [1, max]) {
      const inside = `<Mode>GOVERNANCE</Mode><${element}>${count}</${element}>`
      assert.deepEqual(defaultOf(inside), { mode: "GOVERNANCE", unit, count })
    }
    for (const count of ["0", "-1", "-0", String(max + 1), "9999999999"]) {
      refused("invalidArgument", () => defaultOf(`<Mode>GOVERNANCE</Mode><${element}>${count}</${element}>`), count)
    }
    const texts = [
      "",
      " ",
      "NaN",
      "Infinity",
      "1e3",
      "1.0",
      "0x1",
      "1 2",
      "--1",
      "9".repeat(11),
      "9".repeat(5_000),
      "١",
    ]
    for (const text of [...texts, "<Days>1</Days>", "<![CDATA[]]>"]) {
      refused("malformedXml", () => defaultOf(`<Mode>GOVERNANCE</Mode><${element}>${text}</${element}>`), text)
    }
  }
})

test("a configuration with anything else is refused", () => {
  const period = "<Mode>GOVERNANCE</Mode><Days>1</Days>"
  const rule = `<Rule><DefaultRetention>${period}</DefaultRetention></Rule>`
  const wrong = [
    "",
    rule,
    "<ObjectLockEnabled>enabled</ObjectLockEnabled>",
    "<ObjectLockEnabled>Disabled</ObjectLockEnabled>",
    "<ObjectLockEnabled><Enabled/></ObjectLockEnabled>",
    ENABLED + ENABLED,
    ENABLED + rule + rule,
    `${ENABLED}<Rule/>`,
    `${ENABLED}<Rule>${period}</Rule>`,
    `${ENABLED}<Rule><DefaultRetention/></Rule>`,
    `${ENABLED}<Rule><DefaultRetention>${period}<Mode>GOVERNANCE</Mode></DefaultRetention></Rule>`,
    `${ENABLED}<Rule><DefaultRetention>${period}<Years>1</Years></DefaultRetention></Rule>`,
    `${ENABLED}<Rule><DefaultRetention><Days>1</Days></DefaultRetention></Rule>`,
    `${ENABLED}<Rule><DefaultRetention><Mode>NONE</Mode><Days>1</Days></DefaultRetention></Rule>`,
    `${ENABLED}<Rule><DefaultRetention>${period}<Hours>1</Hours></DefaultRetention></Rule>`,
    `${ENABLED}<Other/>`,
  ]
  for (const inside of wrong) refused("malformedXml", () => configurationOf(inside), inside)
})

test("a retention needs both members; an empty document stands for none", () => {
  assert.equal(retentionOf(""), undefined)
  assert.deepEqual(retained("2030-01-01T00:00:00Z"), { mode: "COMPLIANCE", untilMs: Date.UTC(2030, 0, 1) })
  const wrong = [
    "<Mode>COMPLIANCE</Mode>",
    "<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>",
    "<Mode>compliance</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>",
    "<Mode/><RetainUntilDate/>",
    "<Retention/>",
    "<Days>1</Days>",
  ]
  for (const inside of wrong) refused("malformedXml", () => retentionOf(inside), inside)
})

test("dates are exact moments of the years 1970 to 9999", () => {
  const dates: readonly (readonly [text: string, untilMs: number])[] = [
    ["2030-01-01T00:00:00.001Z", Date.UTC(2030, 0, 1) + 1],
    ["2030-01-01T00:00:00.1Z", Date.UTC(2030, 0, 1) + 100],
    ["2030-01-01T00:00:00.123456789Z", Date.UTC(2030, 0, 1) + 123],
    ["2030-01-01T05:30:00+05:30", Date.UTC(2030, 0, 1)],
    ["2029-12-31T16:00:00-0800", Date.UTC(2030, 0, 1)],
    ["9999-12-31T23:59:59.999Z", 253_402_300_799_999],
  ]
  for (const [text, untilMs] of dates) assert.equal(retained(text)?.untilMs, untilMs, text)
  const wrong = [
    "",
    "tomorrow",
    "NaN",
    "0",
    "1893456000",
    "1893456000000",
    "2030-01-01T00:00:00",
    "2030-02-30T00:00:00Z",
    "2030-13-01T00:00:00Z",
    "2030-01-01T24:00:00Z",
    "2030-01-01T00:60:00Z",
    "2030-01-01T00:00:00+24:00",
    "10000-01-01T00:00:00Z",
    "+275760-09-13T00:00:00Z",
    "-2030-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2030-01-01T00:00:00.1234567890Z",
    `2030-01-01T00:00:00.${"9".repeat(10_000)}Z`,
    "2030-01-01T00:00:00ZZ",
  ]
  for (const text of wrong) {
    refused("malformedXml", () => retained(text), text)
    const headers = new Map([
      ["x-amz-object-lock-mode", "COMPLIANCE"],
      ["x-amz-object-lock-retain-until-date", text],
    ])
    refused("invalidArgument", () => lockInHeaders(headers), text)
  }
})

test("a legal hold is ON or OFF", () => {
  assert.deepEqual([holdOf("<Status>ON</Status>"), holdOf("<Status>OFF</Status>")], [true, false])
  const wrong = [
    "",
    "<Status/>",
    "<Status>on</Status>",
    "<Status>true</Status>",
    "<Status>ON</Status><Status>OFF</Status>",
  ]
  for (const inside of [...wrong, "<Status>ON</Status><Until/>", "<Status><ON/></Status>"]) {
    refused("malformedXml", () => holdOf(inside), inside)
  }
})

test("what is written is what was read", () => {
  const mode = fc.constantFrom("GOVERNANCE" as const, "COMPLIANCE" as const)
  fc.assert(
    fc.property(mode, fc.integer({ min: 0, max: 253_402_300_799_999 }), (given, untilMs) => {
      const retention = { mode: given, untilMs }
      const xml = xmlDocument(RETENTION_DOCUMENT, to => writeRetention(to, retention))
      assert.deepEqual(readRetention(parseXmlRoot(xml, RETENTION_DOCUMENT)), retention)
      assert.deepEqual(lockInHeaders(new Map(retentionFields(retention))), { retention, legalHold: undefined })
    }),
  )
  fc.assert(
    fc.property(mode, fc.integer({ min: 1, max: 100 }), fc.boolean(), (given, count, inDays) => {
      const retention = { mode: given, unit: inDays ? ("days" as const) : ("years" as const), count }
      const xml = xmlDocument(CONFIGURATION_DOCUMENT, to => writeConfiguration(to, retention))
      assert.deepEqual(readConfiguration(parseXmlRoot(xml, CONFIGURATION_DOCUMENT)), retention)
    }),
  )
})

test("any headers give a lock, none, or a refusal", () => {
  const value = fc.oneof(
    fc.constant(undefined),
    fc.constantFrom("GOVERNANCE", "COMPLIANCE", "ON", "OFF", "2030-01-01T00:00:00Z", ""),
    fc.string(),
  )
  fc.assert(
    fc.property(value, value, value, (mode, until, hold) => {
      const given = [
        ["x-amz-object-lock-mode", mode],
        ["x-amz-object-lock-retain-until-date", until],
        ["x-amz-object-lock-legal-hold", hold],
      ] as const
      const headers = new Map(given.flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const])))
      try {
        const lock = lockInHeaders(headers)
        assert.equal(lock === undefined, headers.size === 0)
        assert.equal(lock?.retention !== undefined, mode !== undefined && until !== undefined)
        assert.equal(lock?.legalHold, hold === undefined ? undefined : hold === "ON")
      } catch (error) {
        assert.ok(error instanceof Failure && error.kind === "invalidArgument", String(error))
      }
    }),
  )
})
