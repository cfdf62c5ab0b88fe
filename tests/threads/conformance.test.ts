/** The conformance suite against a server whose S3 port is served by front threads. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { conformanceSuite, rowsOnMetadata } from "../harness/conformance.js"
import { noNode24 } from "../harness/new-node.js"

const NAME = "conformance of four front threads"

if (noNode24 === false) {
  const running = conformanceSuite(NAME, undefined, rowsOnMetadata(), { threads: 4 })
  test("front threads have served the rows", async () => {
    assert.match((await running).log, / thread=front-\d server=s3 /)
  })
} else {
  test(NAME, { skip: noNode24 }, () => undefined)
}
