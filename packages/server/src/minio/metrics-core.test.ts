/** Metrics under MinIO's names: which of ours they are, and their labels. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import { renderMetrics } from "@hayloft/base/seams/telemetry/metrics-text-core.js"
import type { DeviceReport } from "@hayloft/node/status/contract.js"
import { minioMetrics, type MinioMetricsKind } from "./metrics-core.js"

const device = (id: number, path: string, totalBytes: number, freeBytes: number, node?: string): DeviceReport => ({
  id: parseDeviceId(id.toString(16).padStart(16, "0")),
  path,
  ...(node === undefined ? {} : { node }),
  state: "active",
  reason: "",
  weight: 1,
  metadataReplica: "yes",
  totalBytes,
  freeBytes,
  fileSystemKind: "ext4",
  queues: [],
})

function samples(kind: MinioMetricsKind, devices: readonly DeviceReport[], policy = "ec:4+2"): readonly string[] {
  const metrics = new MetricsInMemory()
  const requests = metrics.counter("hayloft_http_requests_total", "requests")
  requests.add({ server: "s3", operation: "PutObject", status: "200" }, 3)
  requests.add({ server: "s3", operation: "PutObject", status: "403" }, 2)
  requests.add({ server: "s3", operation: "CreateBucket", status: "500" })
  requests.add({ server: "s3", operation: "getLive", status: "200" }, 9)
  requests.add({ server: "admin", operation: "GetObject", status: "200" }, 9)
  metrics.gauge("hayloft_http_in_flight", "under way", () => [
    [{ server: "s3" }, 4],
    [{ server: "admin" }, 1],
  ])
  metrics.counter("hayloft_http_sent_bytes_total", "sent").add({ server: "s3" }, 700)
  metrics.counter("hayloft_bucket_errors_total", "errors").add({ bucket: "a", status: "4xx" }, 5)
  metrics.counter("hayloft_bucket_sent_bytes_total", "sent").add({ bucket: "a" }, 70)
  metrics.gauge("hayloft_bucket_objects", "objects", () => [
    [{ bucket: "a" }, 8],
    [{ bucket: "b" }, 2],
  ])
  metrics.gauge("hayloft_bucket_bytes", "bytes", () => [
    [{ bucket: "a" }, 80],
    [{ bucket: "b" }, 20],
  ])
  metrics.gauge("process_open_fds", "open files", () => [[{}, 33]])
  const health = { ready: true, reasons: [] }
  const report = { version: "1.2.3", startedMs: 5_000, uptimeSeconds: 7, policy, health, devices }
  const text = renderMetrics([minioMetrics(kind, { report, metrics: metrics.snapshot(), server: "127.0.0.1:9000" })])
  return text.split("\n").filter(line => line !== "" && !line.startsWith("#"))
}

const valueOf = (lines: readonly string[], start: string): number =>
  Number(
    lines
      .find(line => line.startsWith(start))
      ?.split(" ")
      .at(-1),
  )

test("requests of S3 are counted by operation, and not those of health or of other ports", () => {
  const lines = samples("node", [])
  assert.deepEqual(
    lines.filter(line => line.startsWith("minio_s3_requests_")),
    [
      'minio_s3_requests_4xx_errors_total{api="putobject",server="127.0.0.1:9000"} 2',
      'minio_s3_requests_5xx_errors_total{api="putbucket",server="127.0.0.1:9000"} 1',
      'minio_s3_requests_errors_total{api="putobject",server="127.0.0.1:9000"} 2',
      'minio_s3_requests_errors_total{api="putbucket",server="127.0.0.1:9000"} 1',
      'minio_s3_requests_inflight_total{server="127.0.0.1:9000"} 4',
      'minio_s3_requests_total{api="putobject",server="127.0.0.1:9000"} 5',
      'minio_s3_requests_total{api="putbucket",server="127.0.0.1:9000"} 1',
      'minio_s3_requests_waiting_total{server="127.0.0.1:9000"} 0',
    ],
  )
  assert.equal(valueOf(lines, "minio_s3_traffic_sent_bytes"), 700)
  assert.equal(valueOf(lines, "minio_node_file_descriptor_open_total"), 33)
  assert.equal(valueOf(lines, "minio_node_process_starttime_seconds"), 5)
  assert.ok(lines.includes('minio_software_version_info{version="1.2.3",server="127.0.0.1:9000"} 1'))
})

test("the store has its disks and its capacity, as its redundancy leaves it", () => {
  const devices = [device(1, "/d1", 600, 300), device(2, "/d2", 600, 150), device(3, "/d3", 0, 0)]
  const lines = samples("cluster", devices)
  const values = ["drive_total", "drive_online_total", "drive_offline_total", "nodes_online_total", "health_status"]
  assert.deepEqual(
    values.map(name => valueOf(lines, `minio_cluster_${name}{`)),
    [3, 2, 1, 1, 1],
  )
  const bytes = ["raw_total", "raw_free", "usable_total", "usable_free"]
  assert.deepEqual(
    bytes.map(name => valueOf(lines, `minio_cluster_capacity_${name}_bytes`)),
    [1200, 450, 800, 300],
  )
  const replicas = samples("cluster", devices, "replica:2")
  assert.equal(valueOf(replicas, "minio_cluster_capacity_usable_total_bytes"), 600)
  assert.deepEqual(
    [valueOf(lines, "minio_cluster_usage_object_total"), valueOf(lines, "minio_cluster_usage_total_bytes")],
    [10, 100],
  )
})

test("a node has its own disks, by their folders", () => {
  const lines = samples("node", [device(1, '/d"1', 600, 200)])
  assert.ok(lines.includes('minio_node_drive_used_bytes{drive="/d\\"1",server="127.0.0.1:9000"} 400'), lines.join("\n"))
  assert.equal(
    lines.some(line => line.startsWith("minio_cluster_")),
    false,
  )
})

test("buckets have their objects, their bytes, their requests that failed", () => {
  assert.deepEqual(samples("bucket", []), [
    'minio_bucket_requests_4xx_errors_total{bucket="a",server="127.0.0.1:9000"} 5',
    'minio_bucket_traffic_sent_bytes{bucket="a",server="127.0.0.1:9000"} 70',
    'minio_bucket_usage_object_total{bucket="a",server="127.0.0.1:9000"} 8',
    'minio_bucket_usage_object_total{bucket="b",server="127.0.0.1:9000"} 2',
    'minio_bucket_usage_total_bytes{bucket="a",server="127.0.0.1:9000"} 80',
    'minio_bucket_usage_total_bytes{bucket="b",server="127.0.0.1:9000"} 20',
  ])
})
