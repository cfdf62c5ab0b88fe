/**
 * `hayloft presign`: a URL with which anyone can read or write one object until it expires. Nothing is sent to the store.
 *
 * Limits    7 days, which Signature V4 sets; keys with a session token end earlier, and the URL with them.
 */
import { Option, type Command } from "commander"
import { parseDuration } from "@hayloft/node/config/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { parseRemote } from "../place.js"
import { withS3, type StoreOptions } from "../stores.js"

const EXPIRES_DEFAULT = "1h"
const EXPIRES_MS_MAX = 7 * 86_400_000
const METHODS = ["GET", "PUT"]

interface PresignOptions extends StoreOptions, OutputOptions {
  readonly expires: string
  readonly method: string
  readonly transform?: string
}

export function addPresignCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("presign"))
    .description("print a URL with which anyone can read an object, or write it with PUT, until it expires")
    .argument("<s3://BUCKET/KEY>")
    .option("--expires <DURATION>", "like 30s, 10m, 1h or 7d; at most 7 days", EXPIRES_DEFAULT)
    .option("--transform <PIPELINE>", "read what the store makes of it, like svgmin or image,width=200")
    .addOption(new Option("--method <METHOD>", "what the URL is for: GET or PUT").choices(METHODS).default("GET"))
    .action((place: string, options: PresignOptions) => presignCommand(io, place, options, signal))
}

async function presignCommand(io: CliIo, place: string, options: PresignOptions, signal: AbortSignal): Promise<void> {
  const { bucket, key } = parseRemote(place)
  if (key === "") throw new CliError("usage", `name a key: s3://${bucket}/KEY`)
  const { method, transform } = options
  if (transform !== undefined && method !== "GET") throw new CliError("usage", "--transform: only for reading")
  const expiresMs = parseDuration(options.expires, "--expires")
  if (expiresMs > EXPIRES_MS_MAX)
    throw new CliError(
      "usage",
      `--expires: ${options.expires} is too long; a presigned URL is valid for 7 days (7d) at most`,
    )
  await withS3(io, options, signal, async client => {
    const url = client.presign(method, { bucket, key }, expiresMs / 1000, transform)
    const expires = new Date(io.clock.wallMs() + expiresMs).toISOString()
    await answer(io, options, { url, method, expires }, `${url}\n`)
  })
}
