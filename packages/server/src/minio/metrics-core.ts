/**
 * Metrics under the names that MinIO has for the same, as dashboards and alerts of MinIO ask for them. Pure.
 *
 * Promises  A metric is left out if the store has nothing that means the same. Of a store of several nodes, requests and processes
 *           are those of the node that is asked, as its own metrics are.
 */
import { parsePolicy, shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import type { InstrumentSnapshot, MetricsSnapshot } from "@hayloft/base/seams/telemetry/metrics-text-core.js"
import type { DeviceReport, StoreReport } from "@hayloft/node/status/contract.js"

/** The paths of MinIO: the store with its requests, a node with its disks and its process, the buckets. */
export const MINIO_METRICS = ["cluster", "node", "bucket"] as const
export type MinioMetricsKind = (typeof MINIO_METRICS)[number]

interface MinioFacts {
  readonly report: Pick<
    StoreReport,
    "version" | "startedMs" | "uptimeSeconds" | "policy" | "health" | "devices" | "nodes"
  >
  /** The metrics of all threads, each metric once. */
  readonly metrics: MetricsSnapshot
  /** MinIO's label `server`: where S3 listens. */
  readonly server: string
}

/** The labels of a row, escaped as they are shown, and its value. */
type Row = readonly [labels: Readonly<Record<string, string>>, value: number]

/** MinIO's names of operations where they are not ours in lower case. */
const API: Readonly<Record<string, string>> = {
  CreateBucket: "putbucket",
  CreateMultipartUpload: "newmultipartupload",
  DeleteObjects: "deletemultipleobjects",
  GetObjectLockConfiguration: "getbucketobjectlockconfig",
  ListObjects: "listobjectsv1",
  UploadPart: "putobjectpart",
  UploadPartCopy: "copyobjectpart",
}

const apiOf = (operation: string): string => API[operation] ?? operation.toLowerCase()

function labelsOf(key: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...key.matchAll(/\b(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name = "", value = ""]) => [name, value]),
  )
}

const keyOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")

class Scrape {
  readonly found: InstrumentSnapshot[] = []

  constructor(private readonly facts: MinioFacts) {}

  /** The rows of one of our counters or gauges. */
  rowsOf(name: string): readonly Row[] {
    const instrument = this.facts.metrics.find(each => each.name === name)
    return instrument?.keys.map((key, at) => [labelsOf(key), instrument.values[at] ?? 0] as const) ?? []
  }

  /** The sum of one of our counters or gauges over the requests of S3. */
  sumOfS3(name: string): number {
    return this.rowsOf(name).reduce((sum, [labels, value]) => sum + (labels["server"] === "s3" ? value : 0), 0)
  }

  /** Rows with equal labels add up. */
  add(type: "counter" | "gauge", name: string, help: string, rows: readonly Row[]): void {
    const sums = new Map<string, number>()
    for (const [labels, value] of rows) {
      const key = keyOf({ ...labels, server: escaped(this.facts.server) })
      sums.set(key, (sums.get(key) ?? 0) + value)
    }
    if (sums.size === 0) return
    const values = Float64Array.from(sums.values())
    this.found.push({ name: `minio_${name}`, help, type, merge: "sum", keys: [...sums.keys()], values })
  }

  gauge(name: string, help: string, value: number | undefined): void {
    this.add("gauge", name, help, value === undefined ? [] : [[{}, value]])
  }
}

const isOnline = ({ totalBytes }: DeviceReport): boolean => totalBytes > 0

const sum = (devices: readonly DeviceReport[], of: (device: DeviceReport) => number): number =>
  devices.reduce((all, device) => all + of(device), 0)

function addRequests(scrape: Scrape): void {
  const requests = scrape
    .rowsOf("hayloft_http_requests_total")
    .filter(([{ server, operation = "" }]) => server === "s3" && /^[A-Z]/.test(operation))
  const of = (statuses: RegExp): readonly Row[] =>
    requests
      .filter(([{ status = "" }]) => statuses.test(status))
      .map(([{ operation = "" }, value]) => [{ api: apiOf(operation) }, value])
  scrape.add("counter", "s3_requests_total", "Requests of S3 by operation", of(/./))
  scrape.add("counter", "s3_requests_errors_total", "Requests of S3 that failed, by operation", of(/^[45]/))
  scrape.add("counter", "s3_requests_4xx_errors_total", "Requests of S3 that were refused, by operation", of(/^4/))
  scrape.add("counter", "s3_requests_5xx_errors_total", "Requests of S3 that the store failed, by operation", of(/^5/))
  scrape.gauge("s3_requests_inflight_total", "Requests of S3 under way", scrape.sumOfS3("hayloft_http_in_flight"))
  scrape.gauge("s3_requests_waiting_total", "Requests of S3 that wait", scrape.sumOfS3("hayloft_http_waiting"))
  const traffic = (name: string): readonly Row[] => [[{}, scrape.sumOfS3(name)]]
  scrape.add(
    "counter",
    "s3_traffic_received_bytes",
    "Bytes of bodies received",
    traffic("hayloft_http_received_bytes_total"),
  )
  scrape.add("counter", "s3_traffic_sent_bytes", "Bytes of bodies sent", traffic("hayloft_http_sent_bytes_total"))
}

function addCluster(scrape: Scrape, { report }: MinioFacts): void {
  const { devices, nodes, health, policy } = report
  const online = devices.filter(isOnline)
  const parsed = parsePolicy(policy)
  const share = shardsNeeded(parsed) / shardCount(parsed)
  const [total, free] = [sum(online, each => each.totalBytes), sum(online, each => each.freeBytes)]
  scrape.gauge("cluster_health_status", "1 while the store accepts requests", health.ready ? 1 : 0)
  scrape.gauge("cluster_capacity_raw_total_bytes", "Size of all disks", total)
  scrape.gauge("cluster_capacity_raw_free_bytes", "Free bytes of all disks", free)
  scrape.gauge(
    "cluster_capacity_usable_total_bytes",
    "Size for data, by the store's redundancy",
    Math.floor(total * share),
  )
  scrape.gauge(
    "cluster_capacity_usable_free_bytes",
    "Free bytes for data, by the store's redundancy",
    Math.floor(free * share),
  )
  scrape.gauge("cluster_drive_total", "Disks", devices.length)
  scrape.gauge("cluster_drive_online_total", "Disks that respond", online.length)
  scrape.gauge("cluster_drive_offline_total", "Disks that do not respond", devices.length - online.length)
  const silent = nodes?.nodes.filter(({ state }) => state !== "serving").length ?? 0
  scrape.gauge("cluster_nodes_online_total", "Nodes that respond", (nodes?.nodes.length ?? 1) - silent)
  scrape.gauge("cluster_nodes_offline_total", "Nodes that do not respond", silent)
  const buckets = scrape.rowsOf("hayloft_bucket_objects")
  scrape.gauge("cluster_bucket_total", "Buckets, up to a thousand", buckets.length)
  const all = (name: string): number => scrape.rowsOf(name).reduce((bytes, [, value]) => bytes + value, 0)
  scrape.gauge("cluster_usage_object_total", "Objects in all buckets", all("hayloft_bucket_objects"))
  scrape.gauge("cluster_usage_total_bytes", "Bytes of the objects in all buckets", all("hayloft_bucket_bytes"))
}

function addDrives(scrape: Scrape, { report }: MinioFacts): void {
  const own = report.nodes?.own
  const devices = report.devices.filter(({ node }) => node === own)
  const perDrive = (name: string, help: string, of: (device: DeviceReport) => number): void =>
    scrape.add(
      "gauge",
      `node_drive_${name}`,
      help,
      devices.map(device => [{ drive: escaped(device.path) }, of(device)]),
    )
  perDrive("total_bytes", "Size of a disk", each => each.totalBytes)
  perDrive("free_bytes", "Free bytes of a disk", each => each.freeBytes)
  perDrive("used_bytes", "Used bytes of a disk, of other programs as well", each => each.totalBytes - each.freeBytes)
  const online = devices.filter(isOnline).length
  scrape.gauge("node_drive_total", "Disks of this node", devices.length)
  scrape.gauge("node_drive_online_total", "Disks of this node that respond", online)
  scrape.gauge("node_drive_offline_total", "Disks of this node that do not respond", devices.length - online)
}

function addProcess(scrape: Scrape, { report }: MinioFacts): void {
  const { startedMs, uptimeSeconds, version } = report
  const valueOf = (name: string): number | undefined => scrape.rowsOf(`process_${name}`)[0]?.[1]
  const cpuSeconds = valueOf("cpu_seconds_total") ?? 0
  scrape.add("counter", "node_process_cpu_total_seconds", "Processor time of the process", [[{}, cpuSeconds]])
  scrape.gauge("node_process_starttime_seconds", "When the process started, since 1970", startedMs / 1000)
  scrape.gauge("node_process_uptime_seconds", "How long the process has run", uptimeSeconds)
  scrape.gauge("node_process_resident_memory_bytes", "Memory of the process", valueOf("resident_memory_bytes"))
  scrape.gauge("node_file_descriptor_open_total", "Open files of the process", valueOf("open_fds"))
  scrape.gauge("node_file_descriptor_limit_total", "How many files the process may open", valueOf("max_fds"))
  scrape.add("gauge", "software_version_info", "The version of Hayloft", [[{ version: escaped(version) }, 1]])
}

function addBuckets(scrape: Scrape): void {
  const perBucket = (type: "counter" | "gauge", name: string, help: string, rows: readonly Row[]): void =>
    scrape.add(
      type,
      `bucket_${name}`,
      help,
      rows.map(([{ bucket = "" }, value]) => [{ bucket }, value]),
    )
  const errors = scrape.rowsOf("hayloft_bucket_errors_total")
  const ofStatus = (status: string): readonly Row[] => errors.filter(([labels]) => labels["status"] === status)
  perBucket("counter", "requests_total", "Requests of S3 on a bucket", scrape.rowsOf("hayloft_bucket_requests_total"))
  perBucket("counter", "requests_4xx_errors_total", "Requests of S3 on a bucket that were refused", ofStatus("4xx"))
  perBucket("counter", "requests_5xx_errors_total", "Requests of S3 on a bucket that the store failed", ofStatus("5xx"))
  const [received, sent] = ["hayloft_bucket_received_bytes_total", "hayloft_bucket_sent_bytes_total"] as const
  perBucket("gauge", "traffic_received_bytes", "Bytes of bodies received for a bucket", scrape.rowsOf(received))
  perBucket("gauge", "traffic_sent_bytes", "Bytes of bodies sent for a bucket", scrape.rowsOf(sent))
  perBucket("gauge", "usage_object_total", "Objects in a bucket", scrape.rowsOf("hayloft_bucket_objects"))
  perBucket("gauge", "usage_total_bytes", "Bytes of the objects in a bucket", scrape.rowsOf("hayloft_bucket_bytes"))
}

/** The metrics of one of MinIO's paths. */
export function minioMetrics(kind: MinioMetricsKind, facts: MinioFacts): MetricsSnapshot {
  const scrape = new Scrape(facts)
  if (kind === "bucket") addBuckets(scrape)
  else {
    addRequests(scrape)
    addProcess(scrape, facts)
    if (kind === "cluster") addCluster(scrape, facts)
    else addDrives(scrape, facts)
  }
  return scrape.found
}
