/**
 * `hayloft trace`: the requests of all nodes as they end, until Ctrl-C.
 *
 * Lines for people are coloured by status on a terminal, unless NO_COLOR is set. With `--json` each request is one line
 * of JSON, as the admin API sends it.
 */
import type { Command } from "commander"
import type { z } from "zod"
import { streamOf, TRACE_LINE, type LIVE_REQUEST } from "@hayloft/admin/index.js"
import { checked } from "../checked.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import type { OutputOptions } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"
import { paintOf, type Paint } from "../terminal-text.js"
import { printable, sizeText } from "../text.js"

const LINE = streamOf(TRACE_LINE)
type Line = z.output<typeof LINE>
type Request = z.output<typeof LIVE_REQUEST>

interface TraceOptions extends StoreOptions, OutputOptions {
  readonly operation?: string
  readonly bucket?: string
  readonly prefix?: string
  readonly status?: string
  readonly minMs?: string
  readonly account?: string
  readonly address?: string
  readonly node?: string
  readonly port?: string
  readonly errors?: boolean
}

export function addTraceCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("trace"))
    .description("show the requests of all nodes as they end, until Ctrl-C")
    .option("--operation <NAME>", "only these: GetObject, ListObjectsV2, iam:CreateUser …")
    .option("--bucket <NAME>", "only of this bucket")
    .option("--prefix <TEXT>", "only keys that begin with this")
    .option("--status <STATUS>", "only with this status: 404, 4xx")
    .option("--min-ms <N>", "only those that took at least so many milliseconds")
    .option("--account <ID>", "only of this account, or of this access key")
    .option("--address <ADDRESS>", "only of this client")
    .option("--node <NAME>", "only of this node; of all by default")
    .option("--port <NAME>", "only of this port: s3, admin, websites, swift, k2v, queue")
    .option("--errors", "only those that failed")
    .action((options: TraceOptions) => trace(io, options, signal))
}

async function trace(io: CliIo, options: TraceOptions, signal: AbortSignal): Promise<void> {
  const { operation, bucket, prefix, status, minMs, account, address, node, port: server, errors } = options
  const query = {
    operation,
    bucket,
    prefix,
    status,
    minMs,
    account,
    address,
    node,
    server,
    ...(errors === true && { errors: "true" }),
  }
  const paint = paintOf(io)
  try {
    await withAdmin(io, options, signal, async client => {
      for await (const line of client.lines("/v1/trace", query)) await show(io, options, checked(LINE, line), paint)
    })
  } catch (error) {
    // Ctrl-C is how a trace ends.
    if (!signal.aborted) throw error
  }
}

async function show(io: CliIo, options: OutputOptions, line: Line, paint: Paint): Promise<void> {
  if (line.type === "end") throw new CliError("failed", line.reason)
  if (line.type === "heartbeat") return
  if (options.json === true) return io.out(`${JSON.stringify(line)}\n`)
  if (line.type === "dropped") return io.error(`hayloft: ${line.lines} requests are not shown: there were too many\n`)
  if (line.type === "node") return io.error(nodeLine(line))
  await io.out(requestLine(line, paint))
}

const nodeLine = ({ node, isShown, reason = "unknown" }: Extract<Line, { type: "node" }>): string =>
  isShown
    ? `hayloft: node ${printable(node)} is shown again\n`
    : `hayloft: node ${printable(node)} is not shown: ${printable(reason)}\n`

const SERVER_ERROR_STATUS = 500
const ERROR_STATUS = 400

function requestLine(request: Request, paint: Paint): string {
  const { atMs, status, method, operation, bucket, key, path, server, node } = request
  const colour = status === 0 || status >= SERVER_ERROR_STATUS ? "red" : status >= ERROR_STATUS ? "yellow" : "green"
  const place = bucket === undefined ? path : key === undefined ? bucket : `${bucket}/${key}`
  const who = request.accessKeyId ?? request.account ?? "-"
  const failure = [request.code, request.reason].filter(text => text !== undefined).join(": ")
  const stages = (["auth", "meta", "data"] as const).flatMap(stage => {
    const spentMs = request[`${stage}Ms`]
    return spentMs === undefined ? [] : [`${stage} ${spentMs}`]
  })
  return [
    paint("dim", new Date(atMs).toISOString().slice(11, 23)),
    ...(node === undefined ? [] : [printable(node)]),
    paint(colour, status === 0 ? "---" : String(status)),
    server.padEnd(5),
    operation === "none" ? method : printable(operation),
    printable(place),
    `${request.totalMs} ms`,
    ...(stages.length === 0 ? [] : [paint("dim", `(${stages.join(", ")})`)]),
    `in ${sizeText(request.receivedBytes)} out ${sizeText(request.sentBytes)}`,
    printable(who),
    request.remoteAddress,
    paint("dim", request.requestId),
    ...(request.clientGone === true ? ["client left"] : []),
    ...(failure === "" ? [] : [paint(colour, printable(failure))]),
  ]
    .join("  ")
    .concat("\n")
}
