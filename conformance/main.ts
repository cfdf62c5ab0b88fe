/**
 * The conformance suite as a command, against any S3 endpoint:
 *
 *   node dist/conformance/main.js --endpoint URL --access-key K --secret-key S
 *        [--other-access-key K --other-secret-key S] [--region R] [--domain D] [--ca FILE]
 *        [--only PATTERN] [--json] [--report]
 *
 * PATTERN is a row ("58.3"), a line ("58", "54-57") or words of a title. Ends with 1 when a row failed.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { Client } from "./client.js"
import { parseEndpoint } from "./raw-client.js"
import { ROWS } from "./rows/index.js"
import { byLine, report, runRows, select } from "./suite.js"
import type { Outcome } from "./suite.js"

const OPTIONS = {
  endpoint: { type: "string" },
  "access-key": { type: "string" },
  "secret-key": { type: "string" },
  "other-access-key": { type: "string" },
  "other-secret-key": { type: "string" },
  region: { type: "string", default: "us-east-1" },
  domain: { type: "string", default: "localhost" },
  ca: { type: "string" },
  only: { type: "string" },
  json: { type: "boolean", default: false },
  report: { type: "boolean", default: false },
} as const

const show = ({ result, id, title, message, durationMs }: Outcome): string =>
  result === "passed"
    ? `ok       ${id}  ${title} (${durationMs} ms)\n`
    : `${result.padEnd(9)}${id}  ${title}: ${message}\n`

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS })
  const { endpoint: url, "access-key": accessKey, "secret-key": secretKey } = values
  if (url === undefined || accessKey === undefined || secretKey === undefined) {
    process.stderr.write("conformance: --endpoint, --access-key and --secret-key are needed\n")
    return 2
  }
  const endpoint = parseEndpoint(url, values.ca === undefined ? undefined : readFileSync(values.ca, "utf8"))
  const region = values.region
  const client = new Client(endpoint, { accessKey, secretKey }, region)
  const [otherKey, otherSecret] = [values["other-access-key"], values["other-secret-key"]]
  const other =
    otherKey === undefined || otherSecret === undefined
      ? undefined
      : new Client(endpoint, { accessKey: otherKey, secretKey: otherSecret }, region)
  const quiet = values.json || values.report
  const onOutcome = (outcome: Outcome) => void (quiet || process.stdout.write(show(outcome)))
  const outcomes = await runRows(select(ROWS, values.only), client, { domain: values.domain, other }, onOutcome)
  const failed = outcomes.filter(outcome => outcome.result === "failed").length
  if (values.json) process.stdout.write(`${JSON.stringify({ rows: outcomes, lines: byLine(outcomes) })}\n`)
  else if (values.report) process.stdout.write(report(outcomes))
  else
    process.stdout.write(
      `${outcomes.length - failed} of ${outcomes.length} rows passed or left out, ${failed} failed\n`,
    )
  return failed > 0 || outcomes.length === 0 ? 1 : 0
}

process.exitCode = await main()
