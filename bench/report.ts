/** The report as tables for people. Pure. */
import { sizeText, tableText } from "../src/main/cli/text.js"
import type { Summary } from "./latency.js"
import type { OperationName } from "./options.js"
import type { ListingResult, MultipartResult } from "./scenarios.js"

export interface WorkloadRow {
  readonly operation: OperationName
  readonly sizeBytes: number
  readonly concurrency: number
  readonly result: Summary
  /** Shares of the limits, where they apply: 1 is as fast as the machine. */
  readonly ofDisk?: number | undefined
  readonly ofHash?: number | undefined
  readonly ofHttp?: number | undefined
}

export interface Report {
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
  readonly workload: readonly WorkloadRow[]
  readonly multipart: MultipartResult | undefined
  readonly listing: readonly ListingResult[]
  readonly idleMegabytes: number | undefined
}

const share = (value: number | undefined): string => (value === undefined ? "" : String(value))

export function textOfReport({ machine, workload, multipart, listing, idleMegabytes }: Report): string {
  const sections = [`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}\n`]
  if (workload.length > 0) {
    const rows = workload.map(({ operation, sizeBytes, concurrency, result, ...of }) => [
      operation,
      sizeText(sizeBytes),
      String(concurrency),
      String(result.operationsPerSecond),
      String(result.megabytesPerSecond),
      ...[result.p50Ms, result.p95Ms, result.p99Ms, result.maxMs, result.errors].map(String),
      share(of.ofDisk),
      share(of.ofHash),
      share(of.ofHttp),
    ])
    const head = [
      "OPERATION",
      "SIZE",
      "AT ONCE",
      "OPS/S",
      "MB/S",
      "P50 MS",
      "P95",
      "P99",
      "MAX",
      "ERRORS",
      "OF DISK",
      "OF MD5",
      "OF HTTP",
    ]
    sections.push(tableText(head, rows))
  }
  if (multipart !== undefined) {
    const {
      bytes,
      uploadSeconds,
      downloadSeconds,
      uploadMegabytesPerSecond: up,
      downloadMegabytesPerSecond: down,
    } = multipart
    sections.push(
      `${sizeText(bytes)} by multipart with the AWS SDK: ${uploadSeconds} s up (${up} MB/s), ${downloadSeconds} s down (${down} MB/s)\n`,
    )
  }
  if (listing.length > 0) {
    const rows = listing.map(({ keys, page, againstSmallest }) => [
      String(keys),
      String(page.p50Ms),
      String(page.p99Ms),
      share(againstSmallest),
    ])
    sections.push(tableText(["KEYS", "PAGE OF 1,000: P50 MS", "P99", "AGAINST 1,000 KEYS"], rows))
  }
  if (idleMegabytes !== undefined) sections.push(`idle: ${idleMegabytes} MB resident\n`)
  return sections.join("\n")
}
