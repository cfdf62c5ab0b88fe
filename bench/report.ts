/** The report as tables for people. Pure. */
import { sizeText, tableText } from "../src/main/cli/text.js"
import { TARGETS, type DevicesResult } from "./devices.js"
import { JUDGE_MS_MAX, type JudgingResult } from "./judging.js"
import type { Summary } from "../src/main/client/load/latencies.js"
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
  readonly devices: readonly DevicesResult[]
  readonly judging: readonly JudgingResult[]
}

const share = (value: number | undefined): string => (value === undefined ? "" : String(value))

export function textOfReport(report: Report): string {
  const { machine, workload, multipart, listing, idleMegabytes, devices, judging } = report
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
  if (devices.length > 0) sections.push(...textsOfDevices(devices))
  if (judging.length > 0) sections.push(textOfJudging(judging))
  return sections.join("\n")
}

const verdict = (isMet: boolean): string => (isMet ? "met" : "missed")

function textOfJudging(judging: readonly JudgingResult[]): string {
  const rows = judging.map(({ what, milliseconds, isMet }) => [
    what,
    milliseconds.toFixed(2),
    `<= ${JUDGE_MS_MAX}`,
    verdict(isMet),
  ])
  return tableText(["SAFETY JUDGED", "CPU MS", "TARGET", "VERDICT"], rows)
}

function textsOfDevices(devices: readonly DevicesResult[]): string[] {
  const speeds = devices
    .flatMap(each => each.speeds)
    .map(row => [
      row.what,
      row.redundancy,
      sizeText(row.bytes),
      row.seconds.toFixed(2),
      row.plainSeconds.toFixed(2),
      row.isCold ? "disk" : "memory",
      share(row.share),
      `>= ${TARGETS.share}`,
      verdict(row.isMet),
    ])
  const latencies = devices
    .flatMap(each => each.latencies)
    .map(row => [
      row.during,
      row.redundancy,
      String(row.requestsPerSecond),
      ...[row.alone.p50Ms, row.load.p50Ms, row.alone.p99Ms, row.load.p99Ms, row.load.errors].map(String),
      share(row.p99Times),
      `<= ${TARGETS.times}`,
      verdict(row.isMet),
    ])
  return [
    tableText(["WORK", "POLICY", "BYTES", "SECONDS", "PLAINLY", "FROM", "OF PLAIN", "TARGET", "VERDICT"], speeds),
    tableText(
      [
        "CLIENTS DURING",
        "POLICY",
        "REQUESTS/S",
        "P50 MS ALONE",
        "P50",
        "P99 ALONE",
        "P99",
        "ERRORS",
        "TIMES",
        "TARGET",
        "VERDICT",
      ],
      latencies,
    ),
  ]
}
