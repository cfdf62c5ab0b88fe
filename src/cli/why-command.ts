/** `hayloft why`: explains why a request was denied, from the running store's memory. */
import type { Command } from "commander"
import type { z } from "zod"
import { DENIAL } from "../admin/index.js"
import { checked } from "./checked.js"
import type { CliIo } from "./io.js"
import { withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable, tableText, timeText } from "./text.js"

type Denial = z.output<typeof DENIAL>
type Side = Denial["grants"][number]["side"]

export function addWhyCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("why"))
    .description("why a recent request was denied (403), and the smallest statement that would have allowed it")
    .argument("<REQUEST-ID>", "x-amz-request-id or RequestId of the response")
    .action(async (requestId: string, options: StoreOptions & OutputOptions) => {
      const path = `/v1/denials/${encodeURIComponent(requestId)}`
      const denial = checked(DENIAL, await withAdmin(io, options, signal, client => client.get(path)))
      await answer(io, options, denial, textOf(denial))
    })
}

const SIDES: Readonly<Record<Side, string>> = {
  identity: "identity policy",
  boundary: "permissions boundary",
  session: "session policy",
  resource: "bucket policy",
}

/** The policy that contains a statement, or should contain it. */
const sideText = (side: Side, { service }: Denial): string =>
  side === "resource" && service !== "s3" ? "trust policy" : SIDES[side]

function callerText({ kind, arn, accessKeyId }: Denial["caller"]): string {
  if (kind === "anonymous") return "anonymous: the request is not signed"
  const key = accessKeyId === undefined ? "" : `, access key ${accessKeyId}`
  return kind === "unknown" ? `not verified${key}` : `${arn ?? ""}${key}`
}

function textOf(denial: Denial): string {
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

const statementText = ({ policy, statement, sid }: NonNullable<Denial["decidedBy"]>): string =>
  `${policy}, statement ${statement}${sid === undefined ? "" : ` (${sid})`}`
