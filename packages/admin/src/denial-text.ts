/** Says why a request was denied, as text for people. Pure. */
import type { z } from "zod"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import type { DENIAL } from "./schemas.js"

type Explained = z.output<typeof DENIAL>
type Side = Explained["grants"][number]["side"]

const SIDES: Readonly<Record<Side, string>> = {
  identity: "identity policy",
  boundary: "permissions boundary",
  session: "session policy",
  resource: "bucket policy",
}

/** The policy that contains a statement, or should contain it. */
const sideText = (side: Side, { service }: Explained): string =>
  side === "resource" && service !== "s3" ? "trust policy" : SIDES[side]

function callerText({ kind, arn, accessKeyId }: Explained["caller"]): string {
  if (kind === "anonymous") return "anonymous: the request is not signed"
  const key = accessKeyId === undefined ? "" : `, access key ${accessKeyId}`
  return kind === "unknown" ? `not verified${key}` : `${arn ?? ""}${key}`
}

export function denialText(denial: Explained): string {
  const { decidedBy, grants, hints, caller, action, resource } = denial
  const rows: [string, string][] = [
    ["when", `${timeText(denial.deniedMs)}, from ${denial.remoteAddress}`],
    ["asked by", callerText(caller)],
    ["operation", `${denial.service} ${denial.operation || "(not parsed yet)"}`],
  ]
  if (caller.accountId !== undefined) rows.push(["account", `${caller.accountId} (${caller.accountNumber ?? ""})`])
  if (action !== undefined) rows.push(["action", `${action}${resource === undefined ? "" : ` on ${resource}`}`])
  rows.push(["answered", `${denial.status} ${denial.code}`], ["why", denial.sentence])
  if (decidedBy !== undefined)
    rows.push(["decided by", `${sideText(decidedBy.side, denial)}: ${statementText(decidedBy)}`])
  for (const { side, statement } of grants) rows.push(["would help", `in the ${sideText(side, denial)}: ${statement}`])
  for (const hint of hints) rows.push(["note", hint])
  return tableText(
    ["request", denial.requestId],
    rows.map(([name, text]) => [name, printable(text)]),
  )
}

const statementText = ({ policy, statement, sid }: NonNullable<Explained["decidedBy"]>): string =>
  `${policy}, statement ${statement}${sid === undefined ? "" : ` (${sid})`}`
